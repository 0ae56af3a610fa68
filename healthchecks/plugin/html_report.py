"""The page: pytest-html gathers the rows and makes the report, with our template and what the history says."""

from collections.abc import Iterator
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

import pytest
from pytest_html.report_data import ReportData
from pytest_html.selfcontained_report import SelfContainedReport

from healthchecks.plugin import collection
from healthchecks.plugin.dashboard import archive, badges, changes
from healthchecks.plugin.dashboard import publish as sharing
from healthchecks.plugin.dashboard.overview import Overview, overview
from healthchecks.plugin.dashboard.page import Pages, make
from healthchecks.plugin.dashboard.snapshot import Situation, Unjudged
from healthchecks.plugin.dashboard.template import taken
from healthchecks.plugin.history import Memory
from healthchecks.plugin.run import Run
from healthchecks.plugin.wording import State
from servermonitoring.files import make_directory, remove_abandoned
from servermonitoring.values import iso


def situation(run: Run) -> Situation:
    """Once the run is over and its results are in the history."""
    return Situation(
        results=[*run.results.values()],
        memory=run.memory or Memory(),
        started=run.started,
        seconds=(datetime.now(UTC) - run.started).total_seconds(),
        host=run.host,
        interrupted=run.interrupted,
        unjudged=[*_unjudged(run)] if run.interrupted else [],
        is_gone=lambda reference: _is_gone(run, reference),
        interval=run.configuration.settings.dashboard.interval,
        state_directory=run.directory,
        page_directory=run.page_directory,
        notices=run.notices,
        environment=run.page.environment if run.page else {},
    )


def others(run: Run) -> list[dict[str, Any]]:
    """For status.json: what is known of the checks that were not in this run, and is not stale."""
    cards = run.page.overview.cards if run.page else ()
    return [
        {
            "check": each.check,
            "target": each.target,
            "group": each.group,
            "status": str(each.state),
            "since": iso(each.since or each.checked_at),
            "seconds": each.recent[-1].seconds,
            "message": each.message,
            "maintenance": each.maintenance,
            "checked_at": iso(each.checked_at),
        }
        for each in cards
        if each.checked_at and each.state is not State.STALE
    ]


def _unjudged(run: Run) -> Iterator[Unjudged]:
    for item in run.without_result():
        target = collection.target_of(item)
        name = collection.check_name(item), collection.target_name(item)
        yield Unjudged(*name, collection.label(item), target.group if target else "")


def _is_gone(run: Run, reference: str) -> bool:
    """Only a kind that this run has loaded can be told to have lost a target; only a whole run knows all faults."""
    if reference.startswith(collection.FAULT):
        return run.is_whole
    kinds = {kind.kind(): targets for kind, targets in run.configuration.kinds().items()}
    targets = kinds.get(reference.partition(".")[0])
    return targets is not None and all(each.reference != reference for each in targets)


NAME = "index.html"


class Report(SelfContainedReport):  # type: ignore[misc]
    """pytest-html's report, which is made when the history has been asked, and written beside and renamed."""

    def __init__(self, path: Path, config: pytest.Config) -> None:
        super().__init__(str(path), config, ReportData(config), template=self, css="")
        self.situation: Situation | None = None
        self.overview = Overview(())
        self.pages = Pages("", "")

    def render(self, **report: Any) -> str:
        """What pytest-html calls its template for."""
        assert self.situation is not None
        self.overview = overview(self.situation)
        self.pages = make(self.situation, self.overview, report, self._report.data)
        return self.pages.newest

    def publish(self, situation: Situation) -> None:
        """Make the report, now that everything is known. Raises OSError; the old page is then still there."""
        self.situation = situation
        super()._generate_report()

    def end(self, session: pytest.Session) -> None:
        """The last that it gathers: what hooks of users add to the page."""
        super().pytest_sessionfinish(session)

    def pytest_sessionfinish(self) -> None:
        """Called by pytest among the hooks of others: too late, should one of them hang."""

    def _generate_environment(self) -> dict[str, Any]:
        """Our page does not show it; without pytest-metadata there is none."""
        return {}

    def _generate_report(self, *args: Any, **kwargs: Any) -> None:
        """Called by pytest-html at the end of the tests: too early."""

    def _write_report(self, rendered_report: str) -> None:
        sharing.publish(self._report_path, rendered_report)


class Page:
    """One report, begun when a run turns out to hold health checks."""

    def __init__(self, config: pytest.Config, directory: Path) -> None:
        """Raises OSError where the directory cannot be made."""
        make_directory(directory)
        remove_abandoned(directory)
        self.path = directory / NAME
        self.environment: dict[str, str] = {}
        self._config = config
        self._report = Report(self.path, config)
        config.pluginmanager.register(self._report)

    @property
    def overview(self) -> Overview:
        """What the page shows, once it is published."""
        return self._report.overview

    def begin(self, session: pytest.Session, environment: dict[str, str], broken: list[Any]) -> None:
        """Hand it what it missed by being registered after collection."""
        self.environment = environment
        self._report.pytest_sessionstart(session)
        self._report.pytest_collection_finish(session)
        for report in broken:
            self._report.pytest_collectreport(report)

    def end(self, session: pytest.Session) -> None:
        """No more rows come; the page may be published."""
        self._config.pluginmanager.unregister(self._report)
        self._report.end(session)

    def publish(self, situation: Situation) -> None:
        """Write the page. Raises OSError; the old page is then still there."""
        self._report.publish(situation)

    def keep(self, situation: Situation) -> None:
        """Write the page once more, to be kept, if something changed in this run. Raises OSError."""
        page, runs = self._report.pages.kept, situation.memory.runs
        if page and runs and changes.is_eventful(situation):
            archive.keep(self.path.parent, runs[-1].time, page)

    def write_badges(self) -> None:
        """Raises OSError."""
        badges.write(self.path.parent, self._report.overview)


def mend_cells(cells: list[str], report: pytest.TestReport) -> None:
    """A row of pytest-html's table: the test's id, which it does not escape, and the duration of the probe.

    Links to what is attached go: browsers do not open them, and the page has it in the row's details.
    """
    cells[1] = f'<td class="col-testId">{escape(report.nodeid)}</td>'
    if 'href="data:' in cells[3]:
        cells[3] = '<td class="col-links"></td>'
    if hasattr(report, "duration"):
        words = taken(report.duration)
        cells[2] = f'<td class="col-duration" data-value="{report.duration:.4f}">{words}</td>'
