"""The metrics of a report: the number of its rows, and the first number in its first row."""

import math
from collections.abc import Iterator
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import TYPE_CHECKING

from healthchecks.plugin.metric import Metric, make_metric
from healthchecks.sql_reports.report import Expectation, Report

if TYPE_CHECKING:
    from healthchecks.clients.postgresql.query import QueryResult

ROWS, VALUE = "rows", "value"


def metrics_of(report: Report, result: "QueryResult") -> list[Metric]:
    """Return `value` and `rows`; first the one that is expected to be something, with its limits.

    The rows are as many as were counted. Without an expectation of their number, and with more of them than are shown,
    they are not counted to the end: then they are left out.
    """
    is_counted = result.exact or (report.expect is not None and report.expect.what == ROWS)
    numbers = {VALUE: _first_number(result), ROWS: float(result.count) if is_counted else None}
    expected = report.expect.what if report.expect else VALUE
    names = sorted(numbers, key=lambda name: name != expected)
    return [_metric(name, number, report.expect) for name in names if (number := numbers[name]) is not None]


def _metric(name: str, number: float, expect: Expectation | None) -> Metric:
    bounds = expect.bounds if expect and expect.what == name else ()
    limits = [limit for sign, bound in bounds for limit in _limits(name, sign, bound)]
    return make_metric(name, number, **{key: bound for key, bound in limits if math.isfinite(bound)})


def _limits(name: str, sign: str, bound: Decimal) -> Iterator[tuple[str, float]]:
    """Yield the limits of a comparison. Rows are whole numbers: `rows < 5` has the limit 4."""
    if name == ROWS and sign == "<":
        bound = bound.to_integral_value(ROUND_CEILING) - 1
    elif name == ROWS and sign == ">":
        bound = bound.to_integral_value(ROUND_FLOOR) + 1
    if sign in ("<", "<=", "=="):
        yield "limit", float(bound)
    if sign in (">", ">=", "=="):
        yield "lower_limit", float(bound)


def _first_number(result: "QueryResult") -> float | None:
    """Return the first numeric cell of the first row; None where there is none, or it is NULL or not finite."""
    column = next((place for place, each in enumerate(result.columns) if each.numeric), None)
    text = result.rows[0][column] if column is not None and result.rows else None
    try:
        number = math.nan if text is None else float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
