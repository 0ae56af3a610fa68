"""The pytest plugin of database reports, its hooks in the order in which pytest calls them.

The title at the head of a `.sql` file makes it a report. In a test run without reports this module does nothing, and
imports nothing else: a title is found without loading what a report needs.
"""

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from healthchecks.sql_reports import folder_of, leading_comments

if TYPE_CHECKING:
    from healthchecks.plugin.run import Run

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


def _has_title(path: Path) -> bool:
    """Return whether the comments at the head of a file have a title; False for a file that cannot be read."""
    from servermonitoring.files import read_regular

    try:
        start = read_regular(path, _LONGEST, part="start").decode("utf-8-sig", errors="replace")
    except OSError:
        return False
    return any(_TITLE.match(line) for line in leading_comments(start.splitlines()))
