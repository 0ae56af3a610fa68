"""Metrics in a file for Prometheus, read by node_exporter's textfile collector.

A run of a part of the checks leaves the others as they were last judged: what is known of each is kept in the state
directory, until it is configured no longer, or was not judged for two days.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from healthchecks.plugin.result import Result, Status
from servermonitoring import watchdog_state
from servermonitoring.files import read_regular, remove_abandoned, write_whole

NAME = "metrics.json"  # what is known of each check, in the state directory
_LARGEST = 20_000_000  # bytes of a file that is read
_MODE = 0o644  # node_exporter is another user, and what stands here is for all who look at its port
_KEPT = 2 * 86400.0  # seconds
_JUDGED = tuple(status for status in Status if status is not Status.SKIPPED)


class Course(Protocol):
    """Since when a check has been in its state."""

    @property
    def since(self) -> datetime: ...


@dataclass(frozen=True)
class Known:
    """What is known of one check."""

    check: str
    target: str
    group: str
    reference: str
    status: str
    seconds: float
    judged: float  # unix seconds
    failing_since: float | None  # unix seconds
    maintenance: bool


def write(
    textfile: Path,
    directory: Path,
    results: Iterable[Result],
    courses: Mapping[tuple[str, str], Course],
    configured: Mapping[str, set[str]],
) -> None:
    """Write the file whole, and remember what it holds; `configured` has the targets' references by kind.

    Raises OSError.
    """
    results = list(results)
    known = {(each.check, each.target): each for each in _remembered(directory) if _is_current(each, configured)}
    for result in results:
        known.pop(result.key, None)
        if result.status is not Status.SKIPPED:
            known[result.key] = _known(result, courses.get(result.key))
    ordered = [known[key] for key in sorted(known)]
    write_whole(directory / NAME, json.dumps([asdict(each) for each in ordered]))
    remove_abandoned(textfile.parent)
    write_whole(textfile, "".join(f"{line}\n" for line in _lines(ordered, directory)), mode=_MODE)


def _known(result: Result, course: Course | None) -> Known:
    since = course.since if course else result.started
    return Known(
        check=result.check,
        target=result.target,
        group=result.group,
        reference=str(result.extras.get("reference", "")),
        status=str(result.status),
        seconds=result.seconds,
        judged=round(time.time(), 3),
        failing_since=since.timestamp() if result.status.is_failure else None,
        maintenance=result.maintenance,
    )


def _remembered(directory: Path) -> list[Known]:
    """Nothing where it cannot be read: the next whole run knows all again."""
    try:
        return [Known(**each) for each in json.loads(read_regular(directory / NAME, _LARGEST))]
    except (OSError, ValueError, TypeError, RecursionError):
        return []


def _is_current(known: Known, configured: Mapping[str, set[str]]) -> bool:
    """A kind that this run did not load says nothing about its targets."""
    references = configured.get(known.reference.partition(".")[0])
    return (references is None or known.reference in references) and time.time() - known.judged < _KEPT


def _lines(known: list[Known], directory: Path) -> Iterator[str]:
    """The exposition format of Prometheus, text version 0.0.4."""
    for name, text, value_of in _GAUGES:
        values = [(_labels(each), value_of(each)) for each in known]
        yield from _family(name, "gauge", text, [(labels, value) for labels, value in values if value is not None])
    states = [({**_labels(each), "status": str(state)}, each.status == state) for each in known for state in _JUDGED]
    yield from _family("healthcheck_status", "gauge", "1 for the state that the check is in, 0 for others.", states)
    yield from _of_watchdog(directory)


def _up(known: Known) -> float | None:
    return None if known.status == Status.BLOCKED else float(Status(known.status).is_well)


def _seconds(known: Known) -> float | None:
    return None if known.status == Status.BLOCKED else known.seconds


_GAUGES: tuple[tuple[str, str, Callable[[Known], float | None]], ...] = (
    ("healthcheck_up", "Whether the check passes; absent while it is blocked by another.", _up),
    ("healthcheck_duration_seconds", "How long the probe took.", _seconds),
    ("healthcheck_last_run_timestamp_seconds", "When the check was last judged.", lambda known: known.judged),
    ("healthcheck_failing_since_timestamp_seconds", "Since when it fails; absent while it does not.",
     lambda known: known.failing_since),
    ("healthcheck_maintenance", "Whether it is in maintenance, and nobody to be alerted.",
     lambda known: float(known.maintenance)),
)  # fmt: skip


def _of_watchdog(directory: Path) -> Iterator[str]:
    """From the files that docs/watchdog.md describes; nothing where no watchdog was ever started."""
    seen = _seen(directory)
    if seen is None:
        return
    yield from _family(
        "watchdog_last_seen_timestamp_seconds", "gauge", "Last sign of life of the watchdog.", [({}, seen)]
    )
    kills = _kills(directory)
    yield from _family(
        "watchdog_kills_total", "counter", "Browsers that the watchdog killed.",
        [({"rule": rule, "reason": reason}, count) for (rule, reason), count in sorted(kills.items())],
    )  # fmt: skip


def _seen(directory: Path) -> float | None:
    try:
        return float((watchdog_state.raw_heartbeat(directory) or {})["time"])
    except (ValueError, TypeError, KeyError, OverflowError):
        return None


def _kills(directory: Path) -> Counter[tuple[str, str]]:
    """How many by rule and reason, of the newest; lines that are rubbish are passed over."""
    found = watchdog_state.raw_kills(directory)
    return Counter((str(each["rule"]), str(each["reason"])) for each in found if {"rule", "reason"} <= each.keys())


def _labels(known: Known) -> dict[str, str]:
    return {"check": known.check, "target": known.target, "group": known.group}


def _family(name: str, kind: str, text: str, samples: Sequence[tuple[dict[str, str], float]]) -> Iterator[str]:
    if samples:
        yield f"# HELP {name} {text}"
        yield f"# TYPE {name} {kind}"
    for labels, value in samples:
        inside = ",".join(f'{label}="{_escaped(each)}"' for label, each in labels.items())
        yield f"{name}{{{inside}}} {float(value)!r}" if inside else f"{name} {float(value)!r}"


def _escaped(value: str) -> str:
    text = value.encode(errors="backslashreplace").decode()
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
