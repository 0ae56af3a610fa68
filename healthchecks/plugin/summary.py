"""What the terminal says at the end: what fails, since when and why, in three seconds' reading."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from healthchecks.plugin.result import Result, Status
from healthchecks.plugin.sinks.history import Course
from servermonitoring.values import in_words

_WIDEST = 40  # columns of a label
_SHOWN = 3  # names of checks that fail alike
_ORDER = (Status.FAILED, Status.ERROR, Status.BLOCKED, Status.SLOW, Status.OK, Status.SKIPPED)
_WORDS = {
    Status.FAILED: "FAILED", Status.ERROR: "BROKEN", Status.BLOCKED: "blocked", Status.SLOW: "slow",
    Status.OK: "ok", Status.SKIPPED: "skipped",
}  # fmt: skip


def headline(results: Iterable[Result]) -> str:
    """One line that says it all: "2 of 14 checks are failing", "All 14 checks are well"."""
    judged = [each for each in results if each.status is not Status.SKIPPED]
    bad = [each for each in judged if each.status.is_failure]
    in_maintenance = sum(each.maintenance for each in bad)
    blocked = sum(each.status is Status.BLOCKED for each in judged)
    return in_one_line(len(judged), len(bad) - in_maintenance, blocked, in_maintenance)


def in_one_line(judged: int, failing: int, blocked: int, in_maintenance: int) -> str:
    """The headline by its figures; what fails in maintenance is told apart, since nobody has to hurry for it."""
    if not judged:
        return "No check was judged"
    parts = [f"{failing} of {_checks(judged)} {'is' if failing == 1 else 'are'} failing"] if failing else []
    parts += [f"{blocked} {'more ' if failing else ''}blocked"] * bool(blocked)
    parts += [f"{in_maintenance} in maintenance"] * bool(in_maintenance)
    if parts:
        return ", ".join(parts if failing else [f"None of {_checks(judged)} is failing", *parts])
    return f"All {_checks(judged)} are well" if judged > 1 else "The one check is well"


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


def _checks(count: int) -> str:
    return f"{count} check{'s' if count > 1 else ''}"
