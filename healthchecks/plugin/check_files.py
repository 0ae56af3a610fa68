"""Files of checks: those that the user names, and those that cannot be collected.

They are found by their text, without loading what an unrelated test run does not need.
"""

import re
from collections.abc import Generator, Iterable
from pathlib import Path

import pytest
from _pytest.reports import CollectErrorRepr

FAILED = "healthchecks-failed-files"  # name of the plugin FailedFiles
MISSING = pytest.StashKey[list[Path]]()  # what `[run] checks` names and is not there
_MENTION = re.compile(rb"^\s*(from|import) healthchecks\b|^\s*@pytest\.mark\.healthcheck", re.MULTILINE)
_CLASS = re.compile(r"^[ \t]*class[ \t]+(\w+)[ \t]*\(", re.MULTILINE)
_LARGEST = 5_000_000  # bytes of a file of checks
_MOST_READ = 1_000_000  # characters of a file


def are_all_named(config: pytest.Config) -> bool:
    """Return whether the command line names the folder of the checks that ship."""
    folder, pyargs = Path(__file__).parents[1], config.getoption("pyargs")
    return any(
        (pyargs and each == folder.name) or (config.invocation_params.dir / each).resolve() == folder
        for each in config.args
    )


def add_own(config: pytest.Config) -> None:
    """Have pytest collect what `[run] checks` names, as if the command line named it.

    What is missing is kept for an error of its own.
    """
    there = [each for each in places(config) if each.exists()]
    config.stash[MISSING] = [each for each in places(config) if each not in there]
    named = {(config.invocation_params.dir / each).resolve() for each in config.args}
    config.args += [str(each) for each in there if each.resolve() not in named]


def places(config: pytest.Config) -> list[Path]:
    """Return what `[run] checks` names, the user's own files and folders."""
    from healthchecks.plugin.run import configuration_of

    return list(configuration_of(config).settings.run.checks)


def kinds_in(paths: Iterable[Path]) -> set[str]:
    """Return the kinds that may be defined in these files and folders, by their text: they need not be importable."""
    files = [file for path in paths for file in (path.rglob("*.py") if path.is_dir() else [path]) if file.is_file()]
    return {name.lower() for file in files for name in _CLASS.findall(_text(file))}


def _text(file: Path) -> str:
    try:
        with file.open(encoding="utf-8", errors="replace") as opened:
            return opened.read(_MOST_READ)
    except OSError:
        return ""


def collect_report(collector: pytest.Collector) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Keep sys.exit() in one file from ending all; outermost, when what the file printed is in the report."""
    try:
        report = yield
    except SystemExit as error:
        if not isinstance(collector, pytest.Module) or not _mentions_checks(collector.path):
            raise
        report = _report_of_exit(collector, error)
    if report.failed and _mentions_checks(collector.path):
        from healthchecks.plugin.outputs import scrub_collect_report
        from healthchecks.plugin.run import configuration_of

        configuration_of(collector.config)  # by which it is known what is secret
        scrub_collect_report(report)
    return report


def _mentions_checks(path: Path) -> bool:
    """Return whether the text of a file speaks of health checks at all."""
    from servermonitoring.files import read_regular

    try:
        return b"healthcheck" in read_regular(path, _LARGEST)
    except OSError:
        return False


def _report_of_exit(collector: pytest.Collector, error: SystemExit) -> pytest.CollectReport:
    """Return the report of a file that ends the process when it is imported: it cannot be collected."""
    from healthchecks.plugin.result import with_place

    text = f"{with_place(error)}: a file of checks must not end the process"
    return pytest.CollectReport(collector.nodeid, "failed", CollectErrorRepr(text), None)


class FailedFiles:
    """A plugin that has pytest's reports of the files that could not be collected."""

    def __init__(self) -> None:
        self.reports: list[pytest.CollectReport] = []

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.reports.append(report)


def broken_files(session: pytest.Session) -> list[pytest.CollectReport]:
    """Return pytest's reports of the files that could not be collected."""
    plugin: FailedFiles | None = session.config.pluginmanager.get_plugin(FAILED)
    return list(plugin.reports) if plugin else []


def are_broken(session: pytest.Session) -> bool:
    """Return whether one of the files that could not be collected has to do with health checks, by its text."""
    if not session.testsfailed:
        return False
    files = [session.config.rootpath / report.nodeid for report in broken_files(session)]
    return any(_MENTION.search(file.read_bytes()) for file in files if file.is_file())
