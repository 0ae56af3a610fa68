"""`-- expect:` of a report: what its number, or the number of its rows, has to be. Parsed, and never evaluated."""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

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
        """How many rows have to be counted before it can be judged."""
        return max(int(number) for _, number in self.bounds) + 1 if self.what == "rows" else 0

    def is_met_by(self, number: Decimal) -> bool:
        """NaN meets nothing but `!=`."""
        if number.is_nan():
            return all(sign == "!=" for sign, _ in self.bounds)
        return all(_OPERATORS[sign](number, bound) for sign, bound in self.bounds)


def parse(text: str) -> Expectation:
    """Of `rows == 0`, `value < 100` or `value between 1 and 5`. Raises ValueError."""
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
