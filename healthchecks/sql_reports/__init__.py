"""Database reports: each `.sql` file with a title is a check, a table and a chart.

Here is what decides whether a file is one, without loading what a report needs.
"""

from collections.abc import Iterable
from itertools import takewhile
from pathlib import Path

import pytest

CHECK = "report"  # the name of the check; its target is the report's name
FOLDER = "reports"  # of .sql files that may be reports


def folder_of(path: Path, session: pytest.Session) -> Path | None:
    """Return the nearest folder `reports` that a file is in; None where it is in none.

    It is below pytest's root directory, or named on the command line: one above a checkout has nothing to do with it.
    Every folder counts for a file outside of that directory, and where pytest only guessed it from its arguments.
    """
    root, config = session.config.rootpath, session.config
    is_guessed = config.inipath is None and root != config.invocation_params.dir
    all_count = is_guessed or not path.is_relative_to(root)
    folders = [each for each in path.parents if each.name == FOLDER]
    return next((each for each in folders if all_count or root in each.parents or session.isinitpath(each)), None)


def leading_comments(lines: Iterable[str]) -> list[str]:
    """Return the lines before the first that is not blank and not a comment."""
    return list(takewhile(lambda line: not line.strip() or line.startswith("--"), lines))
