"""The settings of a report: the comments at the head of its file, as `-- key: value`."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from healthchecks.plugin.configuration.errors import problems_of, renamed_hint
from healthchecks.sql_reports import leading_comments
from healthchecks.sql_reports.report import Report
from servermonitoring.configuration import Problem, nearest
from servermonitoring.files import read_regular

_KEY = re.compile(r"--\s?(?P<key>[a-z_]+):(?:\s+(?P<value>.*))?")
_MORE = re.compile(r"--\s{2,}(?P<value>\S.*)")  # goes on with the value above
_LARGEST = 1_000_000  # bytes of a report: more is a dump
REPEATED = ("param",)


@dataclass
class Header:
    """Values by key, with the lines they stand in; of a repeated key all values."""

    values: dict[str, str] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    repeated: list[tuple[str, str, int]] = field(default_factory=list)
    """Key, value and line of each that may be there more than once."""
    problems: list[tuple[int, str]] = field(default_factory=list)
    """Line, and what is wrong with it."""

    def add(self, key: str, value: str, line: int) -> None:
        if key in REPEATED:
            self.repeated.append((key, value, line))
        elif key in self.values:
            self.problems.append((line, f'"{key}" is there twice: in line {self.lines[key]}, too'))
        else:
            self.values[key], self.lines[key] = value, line

    def go_on(self, key: str, value: str) -> None:
        if key in self.values:
            self.values[key] = f"{self.values[key]} {value}".strip()


def read(path: Path) -> tuple[str, Header]:
    """Return the whole text, and its header. What cannot be read is one of the header's problems."""
    header = Header()
    data = b""
    try:
        data = read_regular(path, _LARGEST)
        text = data.decode("utf-8-sig")
    except OSError as error:
        return "", Header(problems=[(0, f"cannot be read: {error.strerror or error}")])
    except UnicodeDecodeError as error:
        return "", Header(problems=[(data.count(b"\n", 0, error.start) + 1, f"is not UTF-8 (byte {error.start})")])
    if not data:
        return "", Header(problems=[(0, "is empty")])
    if "\0" in text:
        return "", Header(problems=[(text.count("\n", 0, text.index("\0")) + 1, "holds a NUL character")])
    text = text.replace("\r\n", "\n")
    _parse(text.split("\n"), header)
    return text, header


def _parse(lines: list[str], header: Header) -> None:
    last = ""
    for number, line in enumerate(leading_comments(lines), 1):
        if found := _KEY.fullmatch(line.rstrip()):
            last = found["key"]
            header.add(last, (found["value"] or "").strip(), number)
        elif last and (more := _MORE.fullmatch(line.rstrip())):
            header.go_on(last, more["value"])
        else:
            last = ""


_PARAMETER = re.compile(r"(?P<name>[a-z_]\w*)\s*=\s*(?:'(?P<quoted>(?:[^']|'')*)'|(?P<plain>[^'].*|))")


def read_report(path: Path, name: str, shown: str) -> tuple[Report, list[Problem]]:
    """Return the report, and what is wrong with it; `shown` is how messages name the file."""
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
    """Return the report, None for one that cannot be asked, and its errors; one whose chart alone is wrong can."""
    try:
        return Report.model_validate(header.values), []
    except ValidationError as error:
        wrong = [] if header.problems and not header.values else list(_problems(error, header, shown))
        if {detail["loc"][0] for detail in error.errors()} != {"chart"}:
            return None, wrong
    values = {key: value for key, value in header.values.items() if key != "chart"}
    return Report.model_validate(values).without_chart(str(wrong[0])), wrong


def _problems(error: ValidationError, header: Header, shown: str) -> Iterable[Problem]:
    keys = {*Report.model_fields, *REPEATED}
    for detail, problem in zip(error.errors(), problems_of(error, Report, ()), strict=True):
        key = str(detail["loc"][0])
        what = problem.what if detail["type"] == "missing" else f"{key}: {problem.what}"
        if detail["type"] == "extra_forbidden":
            what = f'unknown key "{key}"{renamed_hint("report", key, keys) or nearest(key, keys)}'
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
    """Return a problem for each unknown name. A query without parameters may hold %(name)s for its own ends."""
    unknown = {name: line for name, line in report.references.items() if name not in report.parameters}
    if not report.parameters:
        return []
    return [
        _problem(shown, line, f"%({name})s has no -- param: {name}{nearest(name, report.parameters)}")
        for name, line in unknown.items()
    ]


def _problem(shown: str, line: int, what: str) -> Problem:
    return Problem(f"{shown}, line {line}" if line else shown, what)
