"""The title at the head of a `.sql` file, which makes it a report: found without loading what a report needs."""

import re
from collections.abc import Iterable
from itertools import takewhile
from pathlib import Path

from servermonitoring.files import read_regular

_TITLE = re.compile(r"--\s?title:")
_LONGEST = 16_384  # bytes of a header


def has_title(path: Path) -> bool:
    """Return whether the comments at the head of a file have a title; False for a file that cannot be read."""
    try:
        start = read_regular(path, _LONGEST, part="start").decode("utf-8-sig", errors="replace")
    except OSError:
        return False
    return any(_TITLE.match(line) for line in leading_comments(start.splitlines()))


def leading_comments(lines: Iterable[str]) -> list[str]:
    """Return the lines before the first that is not blank and not a comment."""
    return list(takewhile(lambda line: not line.strip() or line.startswith("--"), lines))
