"""Terminal output: the header of a run; at its end what failed, since when and why."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import pytest

from healthchecks.plugin.history import Streak
from healthchecks.plugin.result import Result, Status
from healthchecks.plugin.run import Run
from healthchecks.plugin.wording import make_headline, rank
from servermonitoring.scrubbing import scrub
from servermonitoring.values import in_words

_MAX_LABEL = 40  # columns of the names, beyond which the messages do not line up
_LONGEST_NAME = 100  # characters
_MAX_NAMES = 3  # of checks that fail in the same way
_COLOURS = {Status.FAILED: "red", Status.ERROR: "red", Status.BLOCKED: "yellow", Status.SLOW: "yellow"}


def format_header(run: Run) -> list[str]:
    """Return the configuration file, the number of targets by kind, where alerts go, and what is silenced."""
    kinds = {kind.kind(): len(targets) for kind, targets in run.configuration.kinds().items() if targets}
    targets = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    lines = [
        f"configuration: {_name_configuration(run)}",
        f"targets: {targets or 'none'}",
        f"alerts: {run.outputs.alerts}",
        *([f"silenced: {run.silences.summary}"] if run.silences else []),
    ]
    return [scrub(line) for line in lines]


def _name_configuration(run: Run) -> str:
    count = len(run.configuration.additional_files)
    more = f" and {count} additional file{'s' * (count > 1)}" if count else ""
    return f"{run.configuration.path or 'none, so this machine is checked'}{more}"


def print_summary(run: Run, terminal: pytest.TerminalReporter) -> None:
    """Print what failed, the headline, what was not checked, notices, and the path of the page."""
    results = list(run.results.values())
    terminal.write_sep("=", "health checks")
    for status, line in format_results(results, run.outputs.streaks, verbose=terminal.verbosity > 0):
        terminal.write_line(line, **{_COLOURS.get(status, "green"): True})
    _print_details(run, terminal)
    cut = "Cut off before all checks ran. " if run.interrupted else ""
    terminal.write_line(cut + make_headline(results), bold=True)
    for line in [
        format_skipped(results),
        *run.notices,
        *(run.outputs.dispatcher.summary() if run.outputs.dispatcher else ()),
    ]:
        if line:
            terminal.write_line(line)
    run.said_notices = len(run.notices)
    if run.outputs.page:
        terminal.write_line(f"page: {run.outputs.page.path}")


def format_report(run: Run) -> str:
    """Return the headline with this host's name, and a line for each check with something to report."""
    results = list(run.results.values())
    cut = "cut off before all checks ran. " if run.interrupted else ""
    lines = format_results(results, run.outputs.streaks, verbose=False)
    return "\n".join([f"{run.host}: {cut}{make_headline(results)}", *(line for _, line in lines)])


def _print_details(run: Run, terminal: pytest.TerminalReporter) -> None:
    """Print the tracebacks of checks that ended in error, for their authors; not what their lines say already."""
    for result in run.results.values():
        if result.details and result.details.strip() != result.message:
            terminal.write_sep("-", f"error: {result.label}")
            terminal.write_line(result.details)


def format_results(
    results: Iterable[Result], streaks: Mapping[tuple[str, str], Streak], *, verbose: bool
) -> list[tuple[Status, str]]:
    """Return a line for each check with something to report, or with `verbose` for all; equal failures share one."""
    shown = [each for each in results if verbose or _has_news(each)]
    shown.sort(key=lambda each: rank(each.status))
    groups: dict[tuple[str, ...], list[Result]] = {}
    for each in shown:
        alone = each.target if verbose or each.status is not Status.FAILED else ""
        notes = _format_notes(each, streaks.get(each.key))
        groups.setdefault((each.status, each.check, each.message, notes, alone), []).append(each)
    named = [(_shorten(_format_names(group)), group[0], key[3]) for key, group in groups.items()]
    width = min(_MAX_LABEL, max((len(name) for name, _, _ in named), default=0))
    return [(each.status, _format_line(name, each, notes, width)) for name, each, notes in named]


def format_skipped(results: Iterable[Result]) -> str:
    """Return in one line which kinds are not configured, and why other checks were skipped; empty if none were."""
    reasons = [each.message for each in results if each.status is Status.SKIPPED]
    tables = sorted({each.split()[1] for each in reasons if each.startswith("no [")})
    others = [each for each in reasons if not each.startswith("no [")]
    parts = [f"not configured: {' '.join(tables)}"] if tables else []
    return "; ".join(parts + sorted(set(others)))


def _has_news(result: Result) -> bool:
    """Return whether the check is not ok and not skipped, or ok only because of a retry."""
    return result.status not in (Status.OK, Status.SKIPPED) or (result.status is Status.OK and result.message != "")


def _format_names(group: list[Result]) -> str:
    """Return the label of one; for several that fail in the same way the first few and how many more."""
    if len(group) == 1:
        return group[0].label
    kind = group[0].label.split("[")[0]
    more = f" and {len(group) - _MAX_NAMES} more" if len(group) > _MAX_NAMES else ""
    return f"{kind}[{', '.join(each.target for each in group[:_MAX_NAMES])}{more}]"


def _shorten(name: str) -> str:
    """Return a name that leaves its message on the same screen: those of parameters may have any length."""
    return name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…"


def _format_line(name: str, result: Result, notes: str, width: int) -> str:
    word = result.status.upper() if result.status.is_failure else str(result.status)
    return f"{word:<8}{name:<{width}}  {result.message or in_words(result.duration)}{notes}"


def _format_notes(result: Result, streak: Streak | None) -> str:
    notes = [_format_since(streak)] if streak and result.status.is_failure else []
    notes += ["maintenance"] if result.maintenance else []
    notes += [f"silenced until {result.silence.ends}"] if result.silence else []
    return f"  ({', '.join(notes)})" if notes else ""


def _format_since(streak: Streak) -> str:
    if streak.runs == 1:
        return "new"
    age = in_words((datetime.now(UTC) - streak.since).total_seconds())
    return f"for {age}, {streak.runs} runs"
