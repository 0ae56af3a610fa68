"""Which files have to do with health checks, found without loading what an unrelated test run does not need."""

import re
from collections.abc import Generator
from pathlib import Path

import pytest

from healthchecks.plugin import collection

_MENTION = re.compile(rb"^\s*(from|import) healthchecks\b|^\s*@pytest\.mark\.healthcheck", re.MULTILINE)


def are_broken(session: pytest.Session) -> bool:
    """Whether one of the files that could not be collected has to do with health checks, by its text."""
    if not session.testsfailed:
        return False
    from healthchecks.plugin.collection_errors import broken_files

    files = [session.config.rootpath / report.nodeid for report in broken_files(session)]
    return any(_MENTION.search(file.read_bytes()) for file in files if file.is_file())


def are_all_named(config: pytest.Config) -> bool:
    """Whether the command line names the folder of the checks that ship."""
    folder, pyargs = Path(__file__).parents[1], config.getoption("pyargs")
    return any(
        (pyargs and each == folder.name) or (config.invocation_params.dir / each).resolve() == folder
        for each in config.args
    )


def report_file(path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect a database report; note a .sql file among reports that is none, perhaps by a slip."""
    if collection.is_report(path) or parent.session.isinitpath(path):
        from healthchecks.sql_reports.items import ReportFile

        return ReportFile.from_parent(parent, path=path)
    if collection.REPORTS in path.parent.parts:
        parent.config.stash.setdefault(collection.UNTITLED, []).append(path)
    return None


def collect_report(collector: pytest.Collector) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """sys.exit() at the import of one file would end all; outermost, when what the file printed is in the report."""
    try:
        report = yield
    except SystemExit as error:
        if not isinstance(collector, pytest.Module) or not collection.is_mentioned_in(collector.path):
            raise
        report = collection.report_of_exit(collector, error)
    if report.failed and collection.is_mentioned_in(collector.path):
        from healthchecks.plugin.outputs import scrub_collect_report

        scrub_collect_report(report, collector.config)
    return report
