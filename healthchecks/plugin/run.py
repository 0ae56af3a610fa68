"""One run of the suite: its inputs, lock and pool; what it consists of, its results, and where they go."""

import socket
from collections import Counter, UserDict
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import pytest

from healthchecks.plugin import silence_file
from healthchecks.plugin.check_names import check_name, target_name
from healthchecks.plugin.configuration.loader import Configuration
from healthchecks.plugin.lookahead import Lookahead
from healthchecks.plugin.probes.pool import Pool, usable_cores
from healthchecks.plugin.result import Result, Status, clean
from healthchecks.plugin.signals import Interruption
from healthchecks.plugin.silence import Silences
from healthchecks.plugin.stage import Stage
from healthchecks.plugin.surroundings import lift, limits
from servermonitoring import clock, state_directory
from servermonitoring.threads import bounded

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from threading import Timer

    from healthchecks.plugin.alerting.dispatcher import Dispatcher
    from healthchecks.plugin.history import HistoryData, Streak
    from healthchecks.plugin.html_report import Page
    from healthchecks.plugin.logs import Collector
    from healthchecks.plugin.peer import Peers

_LONGEST = 2_000  # characters of a suite error
_PATIENCE = 2.0  # seconds for the file of silences, on a disk that does not respond
_MOST_NAMES = 10  # of silences that have ended


class Results(UserDict[tuple[str, str], Result]):
    """The results of a run by (check, target), which targets block others, and the retries."""

    def __init__(self) -> None:
        super().__init__()
        self.retries: Counter[pytest.Item] = Counter()
        self.first_failures: dict[pytest.Item, str] = {}  # messages of checks that are tried again
        self._blocking: dict[object, str] = {}  # reference → label of targets that others cannot build on

    def record(self, result: Result) -> None:
        """Store the result of a check; a later failure of the same check (in its teardown) replaces it.

        A failed service is not hidden by a teardown that fails as well: the message has both.
        """
        before = self.get(result.key)
        if before is not None and before.status is Status.FAILED and result.status is Status.ERROR:
            result = replace(before, message=f"{before.message}; {result.message}", details=result.details)
        if before is None or result.status.is_failure or not before.status.is_failure:
            self[result.key] = result
        if result.status.is_failure or result.status is Status.BLOCKED:
            self._blocking[result.extras.get("reference")] = result.label

    def find_blocking(self, needs: tuple[str, ...]) -> str:
        """Return the first needed target that did not pass, as website[home]; empty if all did or were not selected."""
        return next((self._blocking[need] for need in needs if need in self._blocking), "")

    def describe_retries(self, item: pytest.Item) -> str:
        """Return the message of a check that passes after retries; empty if it passed at once."""
        tries = self.retries[item] + 1
        return f"passed at try {tries}; at first: {self.first_failures[item]}" if item in self.first_failures else ""


@dataclass(frozen=True)
class Selection:
    """What a run consists of."""

    items: list[pytest.Item]
    """Its checks."""
    part: str
    """Why these are not all checks; empty if they are."""
    of_reports: bool
    """Whether they are reports, and no other checks."""
    folders: set["Path"]
    """Of files with checks."""
    faultless: set[tuple[str, str]]
    """Keys of collection errors that may be over."""


@dataclass
class Outputs:
    """Where the results of a run go. None for what is not set up yet, or cannot be."""

    history: "HistoryData | None" = None
    dispatcher: "Dispatcher | None" = None
    alerts: str = "none are sent (--monitoring-no-alerts)"
    """Where they go, for the header."""
    page: "Page | None" = None
    peers: "Peers" = field(default_factory=dict)
    log: "Collector | None" = None

    @property
    def streaks(self) -> "Mapping[tuple[str, str], Streak]":
        return self.history.streaks if self.history else {}


class Run:
    """One run with health checks. Created when collection has found some; the hooks work on it."""

    def __init__(self, configuration: Configuration, session: pytest.Session, selection: Selection) -> None:
        self.configuration, self.session, self.selection = configuration, session, selection
        run = configuration.settings.run
        self.pool = Pool(limits(), run.timeout, run.workers or len(usable_cores()), run.worker_memory)
        self.interruption = Interruption()
        self.stage = Stage(self.pool.ends_at, self.interruption)
        self.lookahead = Lookahead(session.items, self.pool, self.stage, self.interruption)
        self.started = datetime.now(UTC)
        self.host = socket.gethostname()
        self.directory = state_directory.location(configuration.state_directory)
        self.page_directory = configuration.page_directory(session.config.rootpath)
        self.lock = state_directory.InstanceLock(self.directory)
        self.results, self.outputs = Results(), Outputs()
        self.silences = Silences()
        self.notices: list[str] = []
        self.shown_notices = self.said_notices = 0  # how many the page and the terminal show
        self.suite_errors: dict[str, str] = {}  # part of the suite → message
        self.has_begun = self.is_concluded = self.interrupted = False
        self.late_timer: Timer | None = None

    def take_lock(self) -> None:
        """Take the run lock. Raise AlreadyRunningError; a state directory that cannot be used is a suite error only.

        Runs of reports have a lock of their own: a slow database must not delay the checks.
        """
        if self.selection.of_reports:
            self.lock = state_directory.InstanceLock(self.directory, "reports.lock")
        try:
            state_directory.directory(self.configuration.state_directory)
            self.lock.take()
        except OSError as error:
            self.add_suite_error("state", f"state directory {self.directory} cannot be used: {error.strerror or error}")

    def read_silences(self) -> None:
        """Read what is silenced; a file that cannot be read silences nothing, and is a suite error."""
        try:
            self.silences = bounded(partial(silence_file.read, self.directory), _PATIENCE)
        except (OSError, ValueError) as error:
            self._add_silence_error(f"nothing is silenced: {error}")

    def end_silences(self) -> None:
        """End the silences whose checks have recovered. What cannot be stored is a suite error."""
        if not self.silences:
            return
        try:
            left = bounded(partial(silence_file.follow, self.directory, self.results.values()), _PATIENCE)
        except (OSError, ValueError) as error:
            self._add_silence_error(f"recoveries end no silence: {error}")
            return
        ended = [each.name for each in self.silences if each.is_open(clock.time()) and each.name not in left]
        self.silences = left
        if ended:
            self.notices.append(f"recovered, so no longer silenced: {', '.join(ended[:_MOST_NAMES])}")
        for key, each in self.results.items():
            if each.silence and each.silence.name in ended:
                self.results.data[key] = replace(each, silence=None)

    def _add_silence_error(self, message: str) -> None:
        self.add_suite_error("silences", f"silences: {message}")

    def end_checks(self) -> None:
        """Stop probes and tests, and clean up what is still running."""
        if self.late_timer is not None:
            self.late_timer.cancel()
        lift(last=True)
        self.pool.close()
        self.stage.close()

    @property
    def is_whole(self) -> bool:
        """Whether all checks were selected, and have a result."""
        return not self.selection.part and not self.interrupted

    def add_suite_error(self, part: str, message: str) -> None:
        """Record a fault of the suite itself: it is shown at the end, and alerted like a failing check."""
        message = clean(message, _LONGEST)
        self.notices.append(message)
        self.suite_errors.setdefault(part, message)

    def without_result(self) -> list[pytest.Item]:
        """Return the checks without a result, since the run was cut off."""
        return [each for each in self.selection.items if (check_name(each), target_name(each)) not in self.results]

    def in_maintenance(self, *references: str) -> bool:
        """Return whether one of these names of a check's target is in an open maintenance window."""
        windows, now = self.configuration.settings.maintenance.values(), datetime.now(UTC)
        return any(window.covers(each, now) for window in windows for each in references)


RUN = pytest.StashKey[Run]()
CONFIGURATION = pytest.StashKey[Configuration]()


def configuration_of(config: pytest.Config) -> Configuration:
    """Return the configuration; the first health check reads it."""
    if CONFIGURATION not in config.stash:
        config.stash[CONFIGURATION] = Configuration(config.getoption("monitoring_config"))
        if config.getoption("debug"):
            from healthchecks.plugin.outputs import scrub_trace

            scrub_trace(config)
    return config.stash[CONFIGURATION]
