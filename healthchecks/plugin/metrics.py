"""Metrics for Prometheus, in a file for the textfile collector of node_exporter.

A run of a part of the checks keeps the metrics of the others. The last result of each check is stored in the state
directory, until its target is no longer configured, or there was no result for two days.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from healthchecks.plugin.history import Streak
from healthchecks.plugin.metric import Metric, make_metric
from healthchecks.plugin.result import Result, Status
from servermonitoring import clock, watchdog_state
from servermonitoring.files import read_regular, remove_abandoned, write_whole

NAME = "metrics.json"  # the last result of each check, in the state directory
_MAX_SIZE = 20_000_000  # bytes of metrics.json
_MODE = 0o644  # node_exporter is another user, and publishes the file anyway
_MAX_AGE = 2 * 86400.0  # seconds
_NUMBERS = {Status.OK: 0, Status.SLOW: 1, Status.FAILED: 2, Status.ERROR: 3, Status.BLOCKED: 4}  # docs/metrics.md


@dataclass(frozen=True)
class LastResult:
    """The last result of a check, for its metrics."""

    check: str
    target: str
    group: str
    reference: str
    status: str
    duration: float  # seconds
    checked_at: float  # unix seconds
    failing_since: float | None  # unix seconds
    maintenance: bool
    silenced: bool = False
    severity: str = "critical"
    runbook: str = ""
    local: bool = False
    metrics: Sequence[Metric] = ()


class Textfile(NamedTuple):
    """The file for the collector, and the labels that all its samples have."""

    path: Path
    labels: Mapping[str, str]


def write(
    textfile: Textfile,
    directory: Path,
    results: Iterable[Result],
    streaks: Mapping[tuple[str, str], Streak],
    is_gone: Callable[[str], bool],
) -> None:
    """Write both files atomically. Raise OSError.

    `is_gone` says of a reference whether its target is no longer configured.
    """
    results = list(results)
    known = {(each.check, each.target): each for each in _read(directory) if _is_current(each, is_gone)}
    for result in results:
        known.pop(result.key, None)
        if result.status is not Status.SKIPPED:
            known[result.key] = _make(result, streaks.get(result.key))
    ordered = [known[key] for key in sorted(known)]
    write_whole(directory / NAME, json.dumps(ordered, default=vars))
    remove_abandoned(textfile.path.parent)
    lines = _format(_families(ordered, directory), textfile.labels)
    write_whole(textfile.path, "".join(f"{line}\n" for line in lines), mode=_MODE)


def _make(result: Result, streak: Streak | None) -> LastResult:
    since = streak.since if streak else result.started
    return LastResult(
        check=result.check,
        target=result.target,
        group=result.group,
        reference=str(result.extras.get("reference", "")),
        status=str(result.status),
        duration=result.duration,
        checked_at=round(clock.time(), 3),
        failing_since=since.timestamp() if result.status.is_failure else None,
        maintenance=result.maintenance,
        silenced=result.silence is not None,
        severity=result.severity,
        runbook=result.runbook if result.runbook.lower().startswith(("http://", "https://")) else "",
        local=result.local,
        metrics=result.metrics,
    )


def _read(directory: Path) -> list[LastResult]:
    """Return the stored results; none if they cannot be read: the next complete run has all again."""
    try:
        return [_restored(**each) for each in json.loads(read_regular(directory / NAME, _MAX_SIZE))]
    except (OSError, ValueError, TypeError, RecursionError):
        return []


def _restored(*, metrics: Iterable[dict[str, object]] = (), **fields: Any) -> LastResult:
    """Return a stored result; one of an older release has no metrics. Raise TypeError or ValueError for a wrong one."""
    return LastResult(**fields, metrics=tuple(make_metric(**each) for each in metrics))


def _is_current(last: LastResult, is_gone: Callable[[str], bool]) -> bool:
    return not is_gone(last.reference) and clock.time() - last.checked_at < _MAX_AGE


class _Family(NamedTuple):
    """A metric with its samples, each of labels and value."""

    name: str
    type: str
    text: str
    samples: Sequence[tuple[dict[str, str], float]]


def _families(known: list[LastResult], directory: Path) -> Iterator[_Family]:
    for name, text, value_of in _GAUGES:
        values = [(_labels(each), value_of(each)) for each in known]
        yield _Family(name, "gauge", text, [(labels, value) for labels, value in values if value is not None])
    yield _Family("healthcheck_info", "gauge", "What is configured of the check; the value is 1.",
                  [(_labels(each) | _info(each), 1) for each in known])  # fmt: skip
    if known:
        yield _Family("healthcheck_last_run_timestamp_seconds", "gauge", "When the checks of this server last ran.",
                      [({}, max(each.checked_at for each in known))])  # fmt: skip
    yield from _number_families(known)
    yield from _watchdog_families(directory)


def _info(last: LastResult) -> dict[str, str]:
    scope = "local" if last.local else "shared"
    return {"severity": last.severity, "scope": scope, "runbook": last.runbook}


def _number_families(known: list[LastResult]) -> Iterator[_Family]:
    """Yield the numbers that checks report, and their limits."""
    metrics = [
        ({**_labels(last), "metric": each.name, "unit": each.unit}, each) for last in known for each in last.metrics
    ]
    values = [(labels, each.value) for labels, each in metrics]
    limits = [
        ({**labels, "bound": bound}, limit)
        for labels, each in metrics
        for bound, limit in (("upper", each.limit), ("lower", each.lower_limit))
        if limit is not None
    ]
    yield _Family("healthcheck_metric", "gauge", "A number that the check reports.", values)
    yield _Family("healthcheck_metric_limit", "gauge", "Where the number fails the check.", limits)


def _up(last: LastResult) -> float | None:
    return None if last.status == Status.BLOCKED else float(Status(last.status).is_passing)


def _duration(last: LastResult) -> float | None:
    return None if last.status == Status.BLOCKED else last.duration


_GAUGES: tuple[tuple[str, str, Callable[[LastResult], float | None]], ...] = (
    ("healthcheck_up", "1 for ok and slow, 0 for failed and error; absent while the check is blocked.", _up),
    ("healthcheck_status", "0 for ok, 1 for slow, 2 for failed, 3 for error, 4 for blocked.",
     lambda last: float(_NUMBERS[Status(last.status)])),
    ("healthcheck_duration_seconds", "Duration of the probe.", _duration),
    ("healthcheck_failing_since_timestamp_seconds", "Start of the failure; absent without one.",
     lambda last: last.failing_since),
    ("healthcheck_maintenance", "1 while the check is in maintenance and sends no alerts; absent otherwise.",
     lambda last: 1.0 if last.maintenance else None),
    ("healthcheck_silenced", "1 while the check is silenced by command and sends no alerts; absent otherwise.",
     lambda last: 1.0 if last.silenced else None),
)  # fmt: skip


def _watchdog_families(directory: Path) -> Iterator[_Family]:
    """Yield the metrics of the watchdog, from the files in docs/watchdog.md; none if it was never started."""
    heartbeat = watchdog_state.heartbeat(directory)
    if heartbeat is None:
        return
    yield _Family(
        "watchdog_last_seen_timestamp_seconds", "gauge", "Last heartbeat of the watchdog.", [({}, heartbeat.time)]
    )
    kills = watchdog_state.count_kills(directory)
    yield _Family(
        "watchdog_kills_total", "counter", "Browsers that the watchdog killed.",
        [({"rule": rule, "reason": reason}, count) for (rule, reason), count in sorted(kills.items())],
    )  # fmt: skip


def _labels(last: LastResult) -> dict[str, str]:
    return {"check": last.check, "target": last.target, "group": last.group}


def _format(families: Iterable[_Family], common: Mapping[str, str]) -> Iterator[str]:
    """Yield lines of the exposition format of Prometheus, text version 0.0.4; each sample has the common labels."""
    for family in families:
        if family.samples:
            yield f"# HELP {family.name} {family.text}"
            yield f"# TYPE {family.name} {family.type}"
        for labels, value in family.samples:
            inside = ",".join(f'{label}="{_escape(each)}"' for label, each in {**labels, **common}.items())
            yield f"{family.name}{{{inside}}} {float(value)!r}" if inside else f"{family.name} {float(value)!r}"


def _escape(value: str) -> str:
    text = value.encode(errors="backslashreplace").decode()
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
