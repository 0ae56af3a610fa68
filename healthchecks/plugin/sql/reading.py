"""From a .sql file to a report; everything that is wrong with it, with file and line."""

import re
from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from healthchecks.plugin.problems import problems_of
from healthchecks.plugin.renamed import hint
from healthchecks.plugin.sql.header import REPEATED, Header, read
from healthchecks.plugin.sql.report import Report
from servermonitoring.configuration import Problem, nearest

_PARAMETER = re.compile(r"(?P<name>[a-z_]\w*)\s*=\s*(?:'(?P<quoted>(?:[^']|'')*)'|(?P<plain>[^'].*|))")


def read_report(path: Path, name: str, shown: str) -> tuple[Report, list[Problem]]:
    """The report, and what is wrong with it; `shown` is how messages name the file."""
    text, header = read(path)
    problems = [_problem(shown, line, what) for line, what in header.problems]
    report, wrong = _validated(header, shown)
    problems += wrong
    if report is None:
        return Report(title=name).called(name), problems
    parameters = _parameters(header, shown, problems)
    report = report.called(name).asking(text, parameters)
    problems += _unknown_references(report, shown)
    return report, problems


def _validated(header: Header, shown: str) -> tuple[Report | None, list[Problem]]:
    """None for one that cannot be asked; one whose chart alone is wrong can."""
    try:
        return Report.model_validate(header.values), []
    except ValidationError as error:
        wrong = [] if header.problems and not header.values else list(_told(error, header, shown))
        if {detail["loc"][0] for detail in error.errors()} != {"chart"}:
            return None, wrong
    values = {key: value for key, value in header.values.items() if key != "chart"}
    return Report.model_validate(values).without_chart(str(wrong[0])), wrong


def _told(error: ValidationError, header: Header, shown: str) -> Iterable[Problem]:
    keys = {*Report.model_fields, *REPEATED}
    for detail, problem in zip(error.errors(), problems_of(error, Report, ()), strict=True):
        key = str(detail["loc"][0])
        what = problem.what if detail["type"] == "missing" else f"{key}: {problem.what}"
        if detail["type"] == "extra_forbidden":
            what = f'unknown key "{key}"{hint("report", key, keys) or nearest(key, keys)}'
        elif detail["type"] == "missing":
            what = f'"-- {key}:" is missing'
        yield _problem(shown, header.lines.get(key, 0), what)


def _parameters(header: Header, shown: str, problems: list[Problem]) -> dict[str, str]:
    found = {}
    for _, text, line in header.repeated:
        match = _PARAMETER.fullmatch(text)
        if match is None:
            problems.append(_problem(shown, line, f"param: {text!r}: write NAME = 'VALUE'"))
        elif match["name"] in found:
            problems.append(_problem(shown, line, f"param: {match['name']} is there twice"))
        else:
            quoted = match["quoted"]
            found[match["name"]] = match["plain"].strip() if quoted is None else quoted.replace("''", "'")
    return found


def _unknown_references(report: Report, shown: str) -> list[Problem]:
    """A query without parameters may hold %(name)s for its own ends."""
    unknown = {name: line for name, line in report.references.items() if name not in report.parameters}
    if not report.parameters:
        return []
    return [
        _problem(shown, line, f"%({name})s has no -- param: {name}{nearest(name, report.parameters)}")
        for name, line in unknown.items()
    ]


def _problem(shown: str, line: int, what: str) -> Problem:
    return Problem(f"{shown}, line {line}" if line else shown, what)
