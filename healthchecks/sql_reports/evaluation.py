"""Whether a report's answer is as it should be, and which number of it is kept. Pure."""

import textwrap
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from healthchecks.plugin.result import CheckError, Unhealthy
from servermonitoring.scrubbing import scrub

if TYPE_CHECKING:
    from healthchecks.clients.postgresql.query import QueryResult
    from healthchecks.sql_reports.report import Report

_NAMED = 3  # rows that a message names, by their first cells
_NAME = 40  # characters of each


def judge(report: "Report", answer: "QueryResult") -> None:
    """Raise Unhealthy for an expectation that is not met, CheckError for one or a chart that cannot be."""
    wrong = report.chart_problem or chart_problem(report, answer)
    try:
        _judge(report, answer)
    except (Unhealthy, CheckError) as error:
        if not wrong:
            raise
        raise type(error)(f"{error}; {wrong}") from None
    if wrong:
        raise CheckError(wrong)


def number_of(report: "Report", answer: "QueryResult") -> Decimal | None:
    """What the history keeps: what the expectation is about, else the first number of the first row, else the rows."""
    if report.expect and report.expect.what == "rows":
        return Decimal(answer.count)
    try:
        return _value(answer)
    except (CheckError, Unhealthy):
        return Decimal(answer.count) if not report.expect and answer.exact else None


def chart_problem(report: "Report", answer: "QueryResult") -> str:
    """Return why the column of the chart cannot be drawn; empty where it can, or no chart is asked for."""
    wanted = report.chart.column if report.chart else ""
    names = [each.name for each in answer.columns]
    if not wanted:
        return ""
    if wanted not in names:
        return f'chart: there is no column "{wanted}"; there are {", ".join(names)}'
    is_numeric = answer.columns[names.index(wanted)].numeric
    return "" if is_numeric else f'chart: the column "{wanted}" holds no numbers'


def decimal(text: str | None) -> Decimal | None:
    """The number that a cell of a numeric column holds; NaN and infinities are numbers, too."""
    try:
        return None if text is None else Decimal(text)
    except InvalidOperation:
        return None


def _judge(report: "Report", answer: "QueryResult") -> None:
    expect = report.expect
    if expect is None:
        return
    if expect.what == "rows":
        if not expect.is_met_by(Decimal(answer.count)):
            raise Unhealthy(f"{_rows(answer)}; expected {expect.text}")
        return
    number = _value(answer)
    if not expect.is_met_by(number):
        raise Unhealthy(f"{number:f} in {_first_numeric(answer)}; expected {expect.text}")


def _value(answer: "QueryResult") -> Decimal:
    column = next((place for place, each in enumerate(answer.columns) if each.numeric), None)
    if column is None:
        raise CheckError("expect: value, but no column holds numbers")
    if not answer.rows:
        raise Unhealthy("no row, so there is no value to judge")
    number = decimal(answer.rows[0][column])
    if number is None:
        raise Unhealthy(f"{answer.columns[column].name} is NULL, so there is no value to judge")
    return number


def _first_numeric(answer: "QueryResult") -> str:
    return next(each.name for each in answer.columns if each.numeric)


def _rows(answer: "QueryResult") -> str:
    """How many there are, and which: "2 rows (public.orders, public.customers)"."""
    more = "" if answer.exact else " or more"
    names = [textwrap.shorten(scrub(row[0] or ""), _NAME, placeholder="…") for row in answer.rows[:_NAMED]]
    which = f" ({', '.join(names)}{', …' if answer.count > _NAMED else ''})" if any(names) else ""
    return f"{answer.count} row{'s' if answer.count != 1 or more else ''}{more}{which}"
