"""A report as a target: its settings, its query, the database that it asks, and the evaluation of the query's result.

The evaluation compares the result with the expectation, and selects the number to store and the metrics. It is pure.
"""

import math
import operator
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, PrivateAttr

from healthchecks.plugin.configuration.target import Duration, Target
from healthchecks.plugin.metric import Metric, make_metric
from healthchecks.plugin.result import CheckError, Unhealthy
from servermonitoring.scrubbing import scrub
from servermonitoring.values import counted

if TYPE_CHECKING:
    from healthchecks.clients.postgresql.connection import DatabaseAccess
    from healthchecks.clients.postgresql.query import QueryResult


_NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"
_COMPARISON = re.compile(rf"(?P<what>rows|value)\s*(?P<operator>==|!=|<=|>=|<|>)\s*(?P<number>{_NUMBER})")
_BETWEEN = re.compile(rf"(?P<what>rows|value)\s+between\s+(?P<low>{_NUMBER})\s+and\s+(?P<high>{_NUMBER})")
_OPERATORS: dict[str, Callable[[Decimal, Decimal], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


@dataclass(frozen=True)
class Expectation:
    """Bounds of `what`: "rows", their number, or "value", the first number in the first row."""

    text: str
    what: str
    bounds: tuple[tuple[str, Decimal], ...]

    @property
    def counted(self) -> int:
        """Return how many rows must be counted before it can be evaluated."""
        return max(int(number) for _, number in self.bounds) + 1 if self.what == "rows" else 0

    def is_met_by(self, number: Decimal) -> bool:
        """Return whether a number meets it; NaN meets nothing but `!=`."""
        if number.is_nan():
            return all(sign == "!=" for sign, _ in self.bounds)
        return all(_OPERATORS[sign](number, bound) for sign, bound in self.bounds)


def parse(text: str) -> Expectation:
    """Return the expectation `rows == 0`, `value < 100` or `value between 1 and 5`. Raise ValueError."""
    words = " ".join(text.split())
    if found := _COMPARISON.fullmatch(words):
        bounds: tuple[tuple[str, Decimal], ...] = ((found["operator"], Decimal(found["number"])),)
    elif found := _BETWEEN.fullmatch(words):
        bounds = ((">=", Decimal(found["low"])), ("<=", Decimal(found["high"])))
    else:
        raise ValueError(f"{text!r}: write rows or value, == != < <= > or >=, and a number, or value between 1 and 5")
    if found["what"] == "rows" and any(abs(bound) > 1_000_000 for _, bound in bounds):  # noqa: PLR2004 - see docs
        raise ValueError(f"{text!r}: not more than 1000000 rows are counted")
    return Expectation(words, found["what"], bounds)


_CHART = re.compile(r"(?P<form>bar|line)\s+(?P<column>.+)")
_REFERENCE = re.compile(r"%\((\w+)\)s")


@dataclass(frozen=True)
class Chart:
    """Of which column, and how."""

    form: Literal["bar", "line"]
    column: str


def _chart(text: str) -> Chart:
    if found := _CHART.fullmatch(text):
        return Chart("bar" if found["form"] == "bar" else "line", found["column"])
    raise ValueError(f"{text!r}: write bar COLUMN or line COLUMN")


def _names(text: str) -> list[str]:
    return re.split(r"\s*,\s*|\s+", text)


def _filled(text: str) -> str:
    if not text:
        raise ValueError("is empty")
    return text


class Report(Target):
    """One .sql file."""

    configured: ClassVar[bool] = False

    title: Annotated[str, BeforeValidator(_filled)]
    database: str = ""
    description: str = ""
    expect: Annotated[Expectation | None, BeforeValidator(parse)] = None
    limit: int = Field(default=100, ge=1, le=10_000)
    chart: Annotated[Chart | None, BeforeValidator(_chart)] = None
    requires: str = ""
    timeout: Duration = Field(default=30.0, gt=0, le=86400)
    needs: Annotated[tuple[str, ...], BeforeValidator(_names)] = ()

    _chart_problem: str = PrivateAttr(default="")
    _sql: str = PrivateAttr(default="")
    _parameters: dict[str, str] = PrivateAttr(default_factory=dict)
    _access: Any = PrivateAttr(default=None)

    def without_chart(self, problem: str) -> "Report":
        """Return the report without its chart; the problem is reported after its expectation has been evaluated."""
        self._chart_problem = problem
        return self

    def asking(self, sql: str, parameters: Mapping[str, str]) -> "Report":
        """Return the same report, with its query and the defaults of its parameters."""
        self._sql, self._parameters = sql, dict(parameters)
        return self

    def connect(self, access: "DatabaseAccess", parameters: Mapping[str, str]) -> None:
        """Say which database it asks; the parameters replace its own of the same names."""
        self._access = access
        self._parameters |= {name: value for name, value in parameters.items() if name in self._parameters}

    @property
    def access(self) -> "DatabaseAccess":
        access: DatabaseAccess = self._access
        return access

    @property
    def chart_problem(self) -> str:
        """What is wrong with `-- chart:` itself; empty for a right one."""
        return self._chart_problem

    @property
    def parameters(self) -> Mapping[str, str]:
        return self._parameters

    @property
    def references(self) -> dict[str, int]:
        """The parameters that the query asks for, with their lines."""
        return {found[1]: self._sql.count("\n", 0, found.start()) + 1 for found in _REFERENCE.finditer(self._sql)}

    @property
    def sql(self) -> str:
        """As psycopg2 wants it: with parameters, any other % is doubled; without, none has a meaning."""
        if not self._parameters:
            return self._sql
        return re.sub(r"%(?!\(\w+\)s)", "%%", self._sql)


_NAMED = 3  # rows that a message names, by their first cells
_NAME = 40  # characters of each


def evaluate(report: Report, result: "QueryResult") -> None:
    """Raise Unhealthy for an expectation that is not met, CheckError for one or a chart that cannot be."""
    wrong = report.chart_problem or _chart_problem(report, result)
    try:
        _evaluate(report, result)
    except (Unhealthy, CheckError) as error:
        if not wrong:
            raise
        raise type(error)(f"{error}; {wrong}") from None
    if wrong:
        raise CheckError(wrong)


def number_of(report: Report, result: "QueryResult") -> Decimal | None:
    """Return the number to store: that of the expectation, else the first of the first row, else the row count."""
    if report.expect and report.expect.what == "rows":
        return Decimal(result.count)
    try:
        return _value(result)
    except (CheckError, Unhealthy):
        return Decimal(result.count) if not report.expect and result.exact else None


def metric_name(text: str, numeric: Iterable[bool]) -> str:
    """Return which metric a report is about, by the text of its expectation and which of its columns hold numbers."""
    return "rows" if text.startswith("rows") or not (text or any(numeric)) else "value"


def _evaluate(report: Report, result: "QueryResult") -> None:
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
    number = _decimal(result.rows[0][column])
    if number is None:
        raise Unhealthy(f"{result.columns[column].name} is NULL, so there is no value to compare")
    return number


def _decimal(text: str | None) -> Decimal | None:
    """Return the number in a cell of a numeric column; NaN and infinities are numbers, too."""
    try:
        return None if text is None else Decimal(text)
    except InvalidOperation:
        return None


def _first_numeric(result: "QueryResult") -> str:
    return next(each.name for each in result.columns if each.numeric)


def _rows(result: "QueryResult") -> str:
    """Return how many there are, and which: "2 rows (public.orders, public.customers)"."""
    more = "" if result.exact else " or more"
    names = [textwrap.shorten(scrub(row[0] or ""), _NAME, placeholder="…") for row in result.rows[:_NAMED]]
    which = f" ({', '.join(names)}{', …' if result.count > _NAMED else ''})" if any(names) else ""
    return f"{counted(result.count, 'row')}{more}{which}"


def _chart_problem(report: Report, result: "QueryResult") -> str:
    """Return why the column of the chart cannot be drawn; empty where it can, or no chart is asked for."""
    wanted = report.chart.column if report.chart else ""
    names = [each.name for each in result.columns]
    if not wanted:
        return ""
    if wanted not in names:
        return f'chart: there is no column "{wanted}"; there are {", ".join(names)}'
    is_numeric = result.columns[names.index(wanted)].numeric
    return "" if is_numeric else f'chart: the column "{wanted}" holds no numbers'


def metrics_of(report: Report, result: "QueryResult") -> list[Metric]:
    """Return `value` and `rows`; first the one that is expected to be something, with its limits.

    The rows are as many as were counted. Without an expectation of their number, and with more of them than are shown,
    they are not counted to the end: then they are left out.
    """
    is_counted = result.exact or (report.expect is not None and report.expect.what == "rows")
    numbers = {"value": _first_number(result), "rows": float(result.count) if is_counted else None}
    expected = report.expect.what if report.expect else "value"
    names = sorted(numbers, key=lambda name: name != expected)
    return [_metric(name, number, report.expect) for name in names if (number := numbers[name]) is not None]


def _metric(name: str, number: float, expect: Expectation | None) -> Metric:
    bounds = expect.bounds if expect and expect.what == name else ()
    limits = [limit for sign, bound in bounds for limit in _limits(name, sign, bound)]
    return make_metric(name, number, **{key: bound for key, bound in limits if math.isfinite(bound)})


def _limits(name: str, sign: str, bound: Decimal) -> Iterator[tuple[str, float]]:
    """Yield the limits of a comparison. Rows are whole numbers: `rows < 5` has the limit 4."""
    if name == "rows" and sign == "<":
        bound = bound.to_integral_value(ROUND_CEILING) - 1
    elif name == "rows" and sign == ">":
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
