"""One run of the suite: what is in force, what is under way, what came of it."""

import socket
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from healthchecks.plugin import collection
from healthchecks.plugin.configuration.loader import Configuration
from healthchecks.plugin.probes.pool import Pool
from healthchecks.plugin.result import Result, Status, clean
from healthchecks.plugin.signals import Interruption
from healthchecks.plugin.stage import Stage
from healthchecks.plugin.surroundings import lift, limits
from servermonitoring import state_directory
from servermonitoring.lock import RunLock

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from threading import Timer

    from healthchecks.plugin.alerting.dispatcher import Telling
    from healthchecks.plugin.history import Course, Memory
    from healthchecks.plugin.html_report import Page
    from healthchecks.plugin.logs import Collector

_LONGEST = 2_000  # characters of what is told of the suite itself


class Run:
    """Made when collection has found health checks; the hooks work on it."""

    def __init__(self, configuration: Configuration, session: pytest.Session) -> None:
        self.configuration, self.session = configuration, session
        self.pool = Pool(limits(), configuration.settings.run.timeout)
        self.interruption = Interruption()
        self.stage = Stage(self.pool.ends_at, self.interruption)
        self.started = datetime.now(UTC)
        self.host = socket.gethostname()
        self.directory = state_directory.location(configuration.state_directory)
        self.page_directory = configuration.page_directory(session.config.rootpath)
        self.lock = RunLock(self.directory)
        self.results: dict[tuple[str, str], Result] = {}
        self._bad: dict[object, str] = {}  # reference → label of targets that others cannot build on
        self.notices: list[str] = []
        self.shown_notices = self.said_notices = 0  # how many the page and the terminal have
        self.troubles: dict[str, str] = {}  # part of the suite → what is wrong with it
        self.courses: Mapping[tuple[str, str], Course] = {}
        self.memory: Memory | None = None
        self.page: Page | None = None
        self.telling: Telling | None = None
        self.alerts = "none are sent (--monitoring-no-alerts)"  # what the header says
        self.log: Collector | None = None
        self.of_reports = False  # and of nothing else
        self.has_parameters = False  # of reports, for this run only
        self.part = ""  # why this is not a run of all checks; empty if it is
        self.faultless: set[tuple[str, str]] = set()  # what is no fault of an author's file any more, if it was one
        self.folders: set[Path] = set()  # where checks are
        self.has_begun = self.is_concluded = False
        self.items: list[pytest.Item] = []  # the checks of this run
        self.interrupted = False
        self.late_timer: Timer | None = None
        self.retries: Counter[pytest.Item] = Counter()
        self.first_failures: dict[pytest.Item, str] = {}  # messages of checks that are tried again

    def lock_out_others(self) -> None:
        """Raises AnotherRun; a state directory that cannot be used is told, and the run goes on without it.

        Runs of reports have a lock of their own: a database that makes them wait must not keep the checks from it.
        """
        if self.of_reports:
            self.lock = RunLock(self.directory, "reports.lock")
        try:
            state_directory.directory(self.configuration.state_directory)
            self.lock.take()
        except OSError as error:
            self.trouble("state", f"state directory {self.directory} cannot be used: {error.strerror or error}")

    def end_checks(self) -> None:
        """No more probes or tests run, and what is still under way is cleaned up: the end of the run begins."""
        if self.late_timer is not None:
            self.late_timer.cancel()
        lift(last=True)
        self.pool.close()
        self.stage.close()

    def record(self, result: Result) -> None:
        """Keep what came of a check; a later failure of the same check (in its teardown) wins.

        But that the service is bad is not hidden by a teardown that fails as well: it is said, too.
        """
        before = self.results.get(result.key)
        if before is not None and before.status is Status.FAILED and result.status is Status.ERROR:
            result = replace(before, message=f"{before.message}; {result.message}", details=result.details)
        if before is None or result.status.is_failure or not before.status.is_failure:
            self.results[result.key] = result
        if result.status.is_failure or result.status is Status.BLOCKED:
            self._bad[result.extras.get("reference")] = result.label

    @property
    def is_whole(self) -> bool:
        """Whether all checks were selected, and judged."""
        return not self.part and not self.interrupted

    def saved_by_retry(self, item: pytest.Item) -> str:
        """Return what there is to say of a check that passes now; empty if it did at once."""
        tries = self.retries[item] + 1
        return f"passed at try {tries}; at first: {self.first_failures[item]}" if item in self.first_failures else ""

    def trouble(self, name: str, text: str) -> None:
        """What went wrong in the suite itself: shown at the end, and told like a failing check."""
        text = clean(text, _LONGEST)
        self.notices.append(text)
        self.troubles.setdefault(name, text)

    def without_result(self) -> list[pytest.Item]:
        """The checks of which nothing is known, since the run was cut off."""
        return [
            each
            for each in self.items
            if (collection.check_name(each), collection.target_name(each)) not in self.results
        ]

    def in_maintenance(self, *references: str) -> bool:
        """Whether one of these names of a check's target is in a window that is open."""
        windows, now = self.configuration.settings.maintenance.values(), datetime.now(UTC)
        return any(window.covers(each, now) for window in windows for each in references)

    def behind(self, needs: tuple[str, ...]) -> str:
        """The first needed target that is not well, as website[home]; empty if all are, or were not selected."""
        return next((self._bad[need] for need in needs if need in self._bad), "")


RUN = pytest.StashKey[Run]()
CONFIGURATION = pytest.StashKey[Configuration]()


def configuration_of(config: pytest.Config) -> Configuration:
    """The configuration, read when the first health check asks for it."""
    if CONFIGURATION not in config.stash:
        config.stash[CONFIGURATION] = Configuration(config.getoption("monitoring_config"))
        if config.getoption("debug"):
            from healthchecks.plugin.outputs import scrub_trace

            scrub_trace(config)
    return config.stash[CONFIGURATION]
