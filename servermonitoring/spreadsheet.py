"""Text for a cell of a CSV file, which a spreadsheet must not run as a formula."""

import re

_FORMULA = re.compile(r"(^|[;\t\r\n])(?=\s*[=+\-@\t\r\uff1d\uff0b\uff0d\uff20])")


def without_formula(text: str) -> str:
    """Return the text with an apostrophe before what a spreadsheet would take for a formula.

    Also behind a semicolon or a tab, where a spreadsheet of another country begins a cell.
    """
    return _FORMULA.sub(r"\1'", text)
