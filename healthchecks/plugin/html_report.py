"""The report of pytest-html with our template: it collects the rows, the page adds status and history."""

from html import escape
from pathlib import Path
from typing import Any

import pytest
from pytest_html.report_data import ReportData
from pytest_html.selfcontained_report import SelfContainedReport

from healthchecks.plugin.dashboard import publication
from healthchecks.plugin.dashboard.overview import Overview, make_overview
from healthchecks.plugin.dashboard.page import Pages, make
from healthchecks.plugin.dashboard.snapshot import Snapshot, is_eventful
from servermonitoring.files import make_directory, remove_abandoned
from servermonitoring.values import duration_in_words

NAME = "index.html"


class HtmlReport(SelfContainedReport):  # type: ignore[misc]
    """The report of pytest-html, made after the history is read, and written atomically."""

    def __init__(self, path: Path, config: pytest.Config) -> None:
        super().__init__(str(path), config, ReportData(config), template=self, css="")
        self.snapshot: Snapshot | None = None
        self.overview = Overview(())
        self.pages = Pages("", "")

    def render(self, **report: Any) -> str:
        """Return the page, as the template object that pytest-html calls."""
        assert self.snapshot is not None
        self.overview = make_overview(self.snapshot)
        self.pages = make(self.snapshot, self.overview, report, self._report.data)
        return self.pages.newest

    def publish(self, snapshot: Snapshot) -> None:
        """Make and write the report. Raises OSError; the old page is then still there."""
        self.snapshot = snapshot
        super()._generate_report()

    def end(self, session: pytest.Session) -> None:
        """Collect what the hooks of users add to the page."""
        super().pytest_sessionfinish(session)

    def pytest_sessionfinish(self) -> None:
        """Do nothing: pytest calls it among the hooks of others, one of which may hang."""

    def _generate_environment(self) -> dict[str, Any]:
        """Return nothing: our page does not show it, and pytest-metadata may be missing."""
        return {}

    def _generate_report(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: pytest-html calls it at the end of the tests, before the history is known."""

    def _process_report(self, report: Any, *arguments: Any) -> None:
        """Make a row. Of a setup or teardown that passed pytest-html makes one only for hooks, and drops it."""
        if report.when not in ("setup", "teardown") or report.outcome != "passed" or self._have_users_hooks():
            super()._process_report(report, *arguments)
        elif report.when == "teardown":
            self._report.append_teardown_log(report)

    def _have_users_hooks(self) -> bool:
        hooks = self._config.hook
        of_rows = (
            hooks.pytest_html_results_table_row,
            hooks.pytest_html_results_table_html,
            hooks.pytest_html_duration_format,
        )
        return any(each.plugin_name != __package__ for hook in of_rows for each in hook.get_hookimpls())

    def _write_report(self, rendered_report: str) -> None:
        publication.publish(self._report_path, rendered_report)


class Page:
    """The page of a run with health checks."""

    def __init__(self, config: pytest.Config, directory: Path) -> None:
        """Register the report. Raises OSError if the directory cannot be made."""
        make_directory(directory)
        remove_abandoned(directory)
        self.path = directory / NAME
        self.environment: dict[str, str] = {}
        self._config = config
        self._report = HtmlReport(self.path, config)
        config.pluginmanager.register(self._report)

    @property
    def overview(self) -> Overview:
        """The overview of the published page."""
        return self._report.overview

    def begin(self, session: pytest.Session, environment: dict[str, str], broken: list[Any]) -> None:
        """Pass on the hook calls before the report was registered, which was after collection."""
        self.environment = environment
        self._report.pytest_sessionstart(session)
        self._report.pytest_collection_finish(session)
        for report in broken:
            self._report.pytest_collectreport(report)

    def end(self, session: pytest.Session) -> None:
        """Collect the last rows; afterwards the page can be published."""
        self._config.pluginmanager.unregister(self._report)
        self._report.end(session)

    def publish(self, snapshot: Snapshot) -> None:
        """Write the page. Raises OSError; the old page is then still there."""
        self._report.publish(snapshot)

    def keep(self, snapshot: Snapshot) -> None:
        """Keep a copy of the page if something changed in this run. Raises OSError."""
        page, runs = self._report.pages.archived, snapshot.history.runs
        if page and runs and is_eventful(snapshot):
            publication.keep_run_page(self.path.parent, runs[-1].time, page)

    def write_badges(self) -> None:
        """Write the badges. Raises OSError."""
        publication.write_badges(self.path.parent, self._report.overview)


def format_cells(cells: list[str], report: pytest.TestReport) -> None:
    """Set the test's id, which pytest-html does not escape, and the duration of the probe in a row of its table.

    Links to attachments are removed: browsers do not open them, and the details of the row have the attachments.
    """
    cells[1] = f'<td class="col-testId">{escape(report.nodeid)}</td>'
    if 'href="data:' in cells[3]:
        cells[3] = '<td class="col-links"></td>'
    if hasattr(report, "duration"):
        words = duration_in_words(report.duration)
        cells[2] = f'<td class="col-duration" data-value="{report.duration:.4f}">{words}</td>'
