"""The pytest plugin of database reports, its hooks in the order in which pytest calls them.

The title at the head of a `.sql` file makes it a report. In a test run without reports this module does nothing, and
imports nothing else: a title is found without loading what a report needs.
"""

import re
import sys
from collections.abc import Iterable
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from healthchecks.plugin.run import Run

FOLDER = "reports"  # of .sql files that may be reports
_UNTITLED = pytest.StashKey[list[Path]]()  # files in it that have no title
_TITLE = re.compile(r"--\s?title:")
_LONGEST = 16_384  # bytes of a header


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("health checks").addoption(
        "--monitoring-param",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="a parameter of database reports, in place of their own value",
    )


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect a `.sql` file that has a title, in a folder `reports` or named on the command line."""
    if file_path.suffix != ".sql" or not parent.config.pluginmanager.has_plugin("healthchecks.plugin"):
        return None
    is_in_folder = folder_of(file_path, parent.session) is not None
    if parent.session.isinitpath(file_path) or (is_in_folder and _has_title(file_path)):
        from healthchecks.sql_reports.items import ReportFile

        return ReportFile.from_parent(parent, path=file_path)
    if is_in_folder:
        parent.config.stash.setdefault(_UNTITLED, []).append(file_path)
    return None


@pytest.hookimpl(optionalhook=True)  # the specification is that of healthchecks.plugin
def pytest_healthcheck_problems(session: pytest.Session) -> list[str]:
    if not session.config.getoption("monitoring_param"):
        return []
    from healthchecks.sql_reports.items import unknown_parameters

    return unknown_parameters(session)


@pytest.hookimpl(optionalhook=True)
def pytest_healthcheck_finish(run: "Run") -> None:
    if "healthchecks.sql_reports.items" in sys.modules:  # loaded by the first report
        from healthchecks.sql_reports.publish import finish

        untitled = run.session.config.stash.get(_UNTITLED, None)
        finish(run, untitled or ())


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


def _has_title(path: Path) -> bool:
    """Return whether the comments at the head of a file have a title; False for a file that cannot be read."""
    from servermonitoring.files import read_regular

    try:
        start = read_regular(path, _LONGEST, part="start").decode("utf-8-sig", errors="replace")
    except OSError:
        return False
    return any(_TITLE.match(line) for line in leading_comments(start.splitlines()))


def leading_comments(lines: Iterable[str]) -> list[str]:
    """Return the lines before the first that is not blank and not a comment."""
    return list(takewhile(lambda line: not line.strip() or line.startswith("--"), lines))
