"""Reads the output of a Nagios plugin: its text, its long text, and the numbers behind the | of a line.

Source: Monitoring Plugins Development Guidelines, "Plugin Output for Nagios", "Threshold and Ranges" and "Performance
data" (https://www.monitoring-plugins.org/doc/guidelines.html); of several lines, the plugin API of Nagios Core.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

BaseUnit = Literal["seconds", "bytes", "ratio", "celsius", "none"]
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "\u00b5s": 1e-6, "\u03bcs": 1e-6, "ns": 1e-9}  # both signs for micro
_BYTES = {
    "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12, "pb": 10**15,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40, "pib": 2**50,
}  # fmt: skip
_COUNTS = ("", "c")  # c: a counter that only grows
_CELSIUS = ("C", "\u00b0C")

# Bounds keep the search linear in a text that is not meant as performance data.
_DATUM = re.compile(
    r"(?<!\S)(?:'((?:[^'\n]|''){1,200}+)'|([^\s'=][^\s=]{0,200}+))="  # label; '' in quotes is one quote
    r"([^\s;]{1,60}+)(?:;(\S{0,400}+))?"  # value with unit; warning, critical, minimum, maximum
)
_NUMBER = re.compile(r"([-+]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][-+]?\d{1,3})?)(.*)")
_RANGE = re.compile(r"(@?)(?:(~|[-+]?[\d.]+)?:)?([-+]?[\d.]+)?")
_LONGEST_LABEL = 100  # characters, as of a metric's name


@dataclass(frozen=True)
class ThresholdRange:
    """A range of the guidelines: an alert is raised outside of it, or with @ inside."""

    lowest: float = 0.0
    highest: float = math.inf
    is_inside: bool = False

    @property
    def limit(self) -> float | None:
        """The highest value without alert; None where there is none."""
        return self.highest if math.isfinite(self.highest) and not self.is_inside else None

    @property
    def lower_limit(self) -> float | None:
        """The lowest value without alert; None also for 0, with which a range begins that names its end only."""
        return self.lowest if math.isfinite(self.lowest) and self.lowest and not self.is_inside else None


@dataclass(frozen=True)
class PerformanceDatum:
    """One number, and its ranges, in a base unit."""

    label: str
    value: float
    unit: BaseUnit = "none"
    warning: ThresholdRange | None = None
    critical: ThresholdRange | None = None


@dataclass(frozen=True)
class PluginText:
    """What a plugin says: one line, further lines, and its numbers, each label once."""

    text: str
    long_text: str
    data: tuple[PerformanceDatum, ...]


def parse_plugin_output(output: str) -> PluginText:
    """Return text and numbers. What is no performance data, or has the unknown value U, is left out."""
    first, _, rest = output.strip().partition("\n")
    text, _, data = first.partition("|")
    long_text, _, more = rest.partition("|")  # all lines after a | in further lines are performance data
    found = {each.label: each for each in _data_in(f"{data}\n{more}")}
    return PluginText(text.strip(), long_text.strip(), tuple(found.values()))


def _data_in(text: str) -> Iterator[PerformanceDatum]:
    for quoted, plain, value, thresholds in _DATUM.findall(text):
        label = (quoted.replace("''", "'") or plain).strip()
        number = _NUMBER.fullmatch(value)
        if label and number and math.isfinite(float(number[1].replace(",", "."))):
            yield _datum(label, float(number[1].replace(",", ".")), number[2], thresholds)


def _datum(label: str, value: float, unit: str, thresholds: str) -> PerformanceDatum:
    base, factor = _base_unit(unit)
    if base == "none" and unit not in _COUNTS:
        label = f"{label} ({unit})"
    warning, critical = (_range(each, factor) for each in (*thresholds.split(";"), "", "")[:2])
    return PerformanceDatum(_printable(label)[:_LONGEST_LABEL], value * factor, base, warning, critical)


def _base_unit(unit: str) -> tuple[BaseUnit, float]:
    """Return the base unit, and by what a value in this unit is multiplied."""
    if unit in _SECONDS:
        return "seconds", _SECONDS[unit]
    if unit.endswith("B") and unit.lower() in _BYTES:  # "b" may be a bit
        return "bytes", float(_BYTES[unit.lower()])
    if unit == "%":
        return "ratio", 0.01
    return ("celsius", 1.0) if unit in _CELSIUS else ("none", 1.0)


def _range(text: str, factor: float) -> ThresholdRange | None:
    """Return the range of "10", "10:", "~:10", "10:20" or "@10:20"; None where there is none, or another text."""
    found = _RANGE.fullmatch(text)
    if not text or not found:
        return None
    start, end = found[2] or "0", found[3] or "inf"
    try:
        lowest, highest = -math.inf if start == "~" else float(start), float(end)
    except ValueError:  # such as 1.2.3
        return None
    return ThresholdRange(lowest * factor, highest * factor, bool(found[1]))


def _printable(label: str) -> str:
    """Return a label that a metric may have as its name."""
    return "".join(each if each.isprintable() else "\ufffd" for each in label)
