"""What the terminal prints: the header of a run, then what fails, since when and why."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import pytest

from healthchecks.plugin.history import Course
from healthchecks.plugin.result import Result, Status
from healthchecks.plugin.run import Run
from healthchecks.plugin.wording import headline
from servermonitoring.scrubbing import scrub
from servermonitoring.values import in_words

_WIDEST = 40  # columns of a label

_SHOWN = 3  # names of checks that fail alike

_ORDER = (Status.FAILED, Status.ERROR, Status.BLOCKED, Status.SLOW, Status.OK, Status.SKIPPED)

_WORDS = {
    Status.FAILED: "FAILED", Status.ERROR: "BROKEN", Status.BLOCKED: "blocked", Status.SLOW: "slow",
    Status.OK: "ok", Status.SKIPPED: "skipped",
}  # fmt: skip


def lines(
    results: Iterable[Result], courses: Mapping[tuple[str, str], Course], *, verbose: bool
) -> list[tuple[Status, str]]:
    """A line for each check that is not simply well; with `verbose` for all. Several that are alike share one."""
    shown = [each for each in results if verbose or _is_worth_a_line(each)]
    shown.sort(key=lambda each: _ORDER.index(each.status))
    alike: dict[tuple[str, ...], list[Result]] = {}
    for each in shown:
        alone = each.target if verbose or each.status is not Status.FAILED else ""
        notes = _notes(each, courses.get(each.key))
        alike.setdefault((each.status, each.check, each.message, notes, alone), []).append(each)
    named = [(_names(group), group[0], key[3]) for key, group in alike.items()]
    width = min(_WIDEST, max((len(name) for name, _, _ in named), default=0))
    return [(each.status, _line(name, each, notes, width)) for name, each, notes in named]


def skipped(results: Iterable[Result]) -> str:
    """Which kinds have nothing configured, in one line; empty if none."""
    absent = [each.message for each in results if each.status is Status.SKIPPED]
    tables = sorted({each.split()[1] for each in absent if each.startswith("no [")})
    others = [each for each in absent if not each.startswith("no [")]
    parts = [f"not configured: {' '.join(tables)}"] if tables else []
    return "; ".join(parts + sorted(set(others)))


def _names(group: list[Result]) -> str:
    """The label of one; for several that fail alike, as in a great outage, the first few and their number."""
    if len(group) == 1:
        return group[0].label
    kind = group[0].label.split("[")[0]
    more = f" and {len(group) - _SHOWN} more" if len(group) > _SHOWN else ""
    return f"{kind}[{', '.join(each.target for each in group[:_SHOWN])}{more}]"


def _is_worth_a_line(result: Result) -> bool:
    """A check that is well has something to say if a retry saved it."""
    return result.status not in (Status.OK, Status.SKIPPED) or (result.status is Status.OK and result.message != "")


def _line(name: str, result: Result, notes: str, width: int) -> str:
    return f"{_WORDS[result.status]:<8}{name:<{width}}  {result.message or in_words(result.seconds)}{notes}"


def _notes(result: Result, course: Course | None) -> str:
    notes = [_since(course)] if course and result.status.is_failure else []
    notes += ["maintenance"] if result.maintenance else []
    return f"  ({', '.join(notes)})" if notes else ""


def _since(course: Course) -> str:
    if course.runs == 1:
        return "new"
    age = in_words((datetime.now(UTC) - course.since).total_seconds())
    return f"for {age}, {course.runs} runs"


_COLOURS = {Status.FAILED: "red", Status.ERROR: "red", Status.BLOCKED: "yellow", Status.SLOW: "yellow"}


def summarize(run: Run, terminal: pytest.TerminalReporter) -> None:
    """What fails, since when and why; then what was not checked, what went wrong, and where the page is."""
    results = list(run.results.values())
    terminal.write_sep("=", "health checks")
    for status, line in lines(results, run.courses, verbose=terminal.verbosity > 0):
        terminal.write_line(line, **{_COLOURS.get(status, "green"): True})
    _tell_broken(run, terminal)
    cut = "Cut off before all were judged. " if run.interrupted else ""
    terminal.write_line(cut + headline(results), bold=True)
    for line in [skipped(results), *run.notices, *(run.telling.summary() if run.telling else ())]:
        if line:
            terminal.write_line(line)
    run.said_notices = len(run.notices)
    if run.page:
        terminal.write_line(f"page: {run.page.path}")


def _tell_broken(run: Run, terminal: pytest.TerminalReporter) -> None:
    """A broken check is for its author: with the traceback."""
    for result in run.results.values():
        if result.details:
            terminal.write_sep("-", f"broken: {result.label}")
            terminal.write_line(result.details)


def header(run: Run) -> list[str]:
    """What is in force: the configuration file, how many targets of which kind, where alerts go."""
    kinds = {kind.kind(): len(targets) for kind, targets in run.configuration.kinds().items() if targets}
    targets = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    lines = [
        f"configuration: {run.configuration.path or 'none, so this machine is checked'}",
        f"targets: {targets or 'none'}",
        f"alerts: {run.alerts}",
    ]
    return [scrub(line) for line in lines]
