"""A table as CSV that a spreadsheet opens without running any of it."""

import re

from healthchecks.plugin.sql.store import Table

_FORMULA = re.compile(r"(^|[;\t\r\n])(?=\s*[=+\-@\t\r\uff1d\uff0b\uff0d\uff20])")
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
    """Quoted, and with an apostrophe before what a spreadsheet would take for a formula.

    Also behind a semicolon or a tab, where a spreadsheet of another country begins a cell.
    """
    return '"' + _FORMULA.sub(r"\1'", text).replace('"', '""') + '"'
