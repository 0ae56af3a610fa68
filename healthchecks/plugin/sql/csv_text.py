"""A table as CSV that a spreadsheet opens without running any of it."""

import re

from healthchecks.plugin.sql.store import Table
from servermonitoring.values import without_formula

_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")


def csv_text(table: Table) -> str:
    """RFC 4180, with the mark by which spreadsheets know UTF-8. NULL is an empty field, an empty text `""`."""
    lines = [[_text(name) for name in table.columns]]
    lines += [[_cell(cell) for cell in row] for row in table.rows]
    return "\ufeff" + "".join(",".join(line) + "\r\n" for line in lines)


def _cell(cell: str | None) -> str:
    if cell is None:
        return ""
    return cell if _NUMBER.fullmatch(cell) else _text(cell)


def _text(text: str) -> str:
    return '"' + without_formula(text).replace('"', '""') + '"'
