"""Evaluates a report's result against its expectation, and selects the number to store. Pure."""

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


def evaluate(report: "Report", result: "QueryResult") -> None:
    """Raise Unhealthy for an expectation that is not met, CheckError for one or a chart that cannot be."""
    wrong = report.chart_problem or chart_problem(report, result)
    try:
        _evaluate(report, result)
    except (Unhealthy, CheckError) as error:
        if not wrong:
            raise
        raise type(error)(f"{error}; {wrong}") from None
    if wrong:
        raise CheckError(wrong)


def number_of(report: "Report", result: "QueryResult") -> Decimal | None:
    """Return the number to store: that of the expectation, else the first of the first row, else the row count."""
    if report.expect and report.expect.what == "rows":
        return Decimal(result.count)
    try:
        return _value(result)
    except (CheckError, Unhealthy):
        return Decimal(result.count) if not report.expect and result.exact else None


def chart_problem(report: "Report", result: "QueryResult") -> str:
    """Return why the column of the chart cannot be drawn; empty where it can, or no chart is asked for."""
    wanted = report.chart.column if report.chart else ""
    names = [each.name for each in result.columns]
    if not wanted:
        return ""
    if wanted not in names:
        return f'chart: there is no column "{wanted}"; there are {", ".join(names)}'
    is_numeric = result.columns[names.index(wanted)].numeric
    return "" if is_numeric else f'chart: the column "{wanted}" holds no numbers'


def decimal(text: str | None) -> Decimal | None:
    """Return the number in a cell of a numeric column; NaN and infinities are numbers, too."""
    try:
        return None if text is None else Decimal(text)
    except InvalidOperation:
        return None


def _evaluate(report: "Report", result: "QueryResult") -> None:
    expect = report.expect
    if expect is None:
        return
    if expect.what == "rows":
        if not expect.is_met_by(Decimal(result.count)):
            raise Unhealthy(f"{_rows(result)}; expected {expect.text}")
        return
    number = _value(result)
    if not expect.is_met_by(number):
        raise Unhealthy(f"{number:f} in {_first_numeric(result)}; expected {expect.text}")


def _value(result: "QueryResult") -> Decimal:
    column = next((place for place, each in enumerate(result.columns) if each.numeric), None)
    if column is None:
        raise CheckError("expect: value, but no column holds numbers")
    if not result.rows:
        raise Unhealthy("no row, so there is no value to compare")
    number = decimal(result.rows[0][column])
    if number is None:
        raise Unhealthy(f"{result.columns[column].name} is NULL, so there is no value to compare")
    return number


def _first_numeric(result: "QueryResult") -> str:
    return next(each.name for each in result.columns if each.numeric)


def _rows(result: "QueryResult") -> str:
    """How many there are, and which: "2 rows (public.orders, public.customers)"."""
    more = "" if result.exact else " or more"
    names = [textwrap.shorten(scrub(row[0] or ""), _NAME, placeholder="…") for row in result.rows[:_NAMED]]
    which = f" ({', '.join(names)}{', …' if result.count > _NAMED else ''})" if any(names) else ""
    return f"{result.count} row{'s' if result.count != 1 or more else ''}{more}{which}"
