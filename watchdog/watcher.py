"""One scan after the other: find the browsers, measure them, check them against their rules, kill violators.

The first watchdog on a machine without rules kills nothing for some minutes.
"""

import contextlib
import logging
import time
from collections.abc import Iterator
from pathlib import Path

from servermonitoring.threads import in_background
from servermonitoring.values import in_words
from servermonitoring.watchdog_state import heartbeat, user_name
from watchdog import leftovers, messages, policy
from watchdog.browsers import Browser, Browsers
from watchdog.policy import DEFAULT, Reason, Rule, Violation, find_violation
from watchdog.process_table import ProcessTable
from watchdog.processes import uptime
from watchdog.state import Journal, StateWriter
from watchdog.termination import Termination, may_kill
from watchdog.validation import containers
from watchdog.validation.tracker import Interruptions, ValidationTracker

log = logging.getLogger(__name__)

_CLEAN_UP_EVERY = 60.0  # seconds
_LONGEST_FINISH = 20.0  # seconds in addition to the grace


class Watcher:
    """Scans the browsers, and keeps what is known between two scans."""

    def __init__(self, rules: list[Rule], state: Path | None, *, dry_run: bool = False) -> None:
        self.browsers = Browsers(rules)
        self.table = ProcessTable()
        self.terminations: list[Termination] = []
        self._journal = Journal(state)
        self._has_resumed = False
        self.state, self._dry_run = StateWriter(state), dry_run
        self.tracker = ValidationTracker(repair=not dry_run, state=state)
        self._skip_reasons: dict[tuple[int, int], str] = {}  # (pid, start) of browsers not to be killed → why, logged
        self._cleaned_at = float("-inf")
        self._interruptions = Interruptions(uptime())
        self._interrupted_until = 0.0
        self.first_start = FirstStart()
        containers.log_container()

    def scan(self) -> None:
        now = uptime()
        self._notice_interruption(now)
        if now - self._cleaned_at >= _CLEAN_UP_EVERY and not self._dry_run:
            self._cleaned_at = now
            self.tracker.clean_up(self.browsers.by_main.values())
        if not self._has_resumed:
            self._has_resumed = True
            self._resume(now)
        self.tracker.check(self.browsers.by_main.values(), now)
        for browser in self._find(now):
            self._start_watching(browser, now)
        for browser in self._browsers_to_check():
            self._check(browser, now)
        self._continue_terminations(now)

    def has_changes(self) -> bool:
        """Return whether something new has started, or may soon be another program; costs almost nothing."""
        now = uptime()
        self._notice_interruption(now)
        has_changed = self.tracker.check(self.browsers.by_main.values(), now)
        return has_changed or self.browsers.has_pending() or self.table.is_stale(now)

    def pause(self, longest: float) -> float:
        """Return the seconds until the next scan."""
        if self.terminations:
            return policy.TERMINATION_STEP
        now = uptime()
        longest = min(longest, self.browsers.due() - now, self.first_start.seconds_left(now) or longest)
        checked = ((browser.facts(self._excused_until()), browser.rule) for browser in self._browsers_to_check())
        return policy.pause(checked, now, longest)

    def change_rules(self, rules: list[Rule]) -> None:
        """Apply other rules from now on; terminations under way go on."""
        self.browsers.change_rules(rules, self.table)

    def finish(self) -> None:
        """Complete the terminations under way, and kill the orphans of browsers that ended by themselves."""
        grace = max((each.browser.rule.grace for each in self.terminations), default=0.0)
        ends_at = uptime() + _LONGEST_FINISH + grace
        while (self.terminations or self.browsers.orphans) and uptime() < ends_at:
            now = uptime()
            with contextlib.suppress(OSError):  # the next turn may succeed
                self._find(now)
                self._continue_terminations(now)
            time.sleep(policy.TERMINATION_STEP)
        self.tracker.close()

    def _find(self, now: float) -> list[Browser]:
        """Update the process table and the browsers; return the new browsers."""
        return self.browsers.update(self.table, self.table.refresh(now), now)

    def _browsers_to_check(self) -> Iterator[Browser]:
        if self.first_start.is_active():
            return
        skipped = {*self._skip_reasons, *(termination.browser.main[:2] for termination in self.terminations)}
        for browser in list(self.browsers.by_main.values()):
            if browser.main[:2] not in skipped:
                yield browser

    def _start_watching(self, browser: Browser, now: float) -> None:
        browser.memory = browser.measure_memory(now)
        self.tracker.update(browser, now)
        log.info("watching %s", messages.in_a_line(browser, now))
        if not may_kill(browser.main):
            self._skip(browser, "not watched, as this user may not kill it: run the watchdog as root or as its user")
        else:
            self.first_start.announce(browser, now)

    def _check(self, browser: Browser, now: float) -> None:
        browser.memory = browser.measure_memory(now)
        self.tracker.update_if_due(browser, now)
        found = find_violation(browser.facts(self._excused_until()), browser.rule, now)
        if found is None:
            return
        if found.reason is not Reason.MEMORY:
            self.tracker.update(browser, now)
        found = self._confirm(browser)
        if found is not None:
            self._kill(browser, found)

    def _confirm(self, browser: Browser) -> Violation | None:
        """Check once more immediately before the kill, which cannot be undone."""
        if not browser.exists():
            return None  # the next scan finds its orphans
        browser.drop_dead_members()
        now = uptime()
        self._notice_interruption(now)
        browser.memory = browser.measure_memory(now)
        return find_violation(browser.facts(self._excused_until()), browser.rule, now)

    def _kill(self, browser: Browser, found: Violation) -> None:
        now, is_urgent = uptime(), found.reason is Reason.MEMORY
        if self._dry_run:
            self._skip(browser, f"would be killed: {found.message}")
            return
        kill = messages.kill_of(browser, found, now)
        self._note(browser, wait=not is_urgent)
        try:
            self.terminations.append(Termination(browser, now, is_urgent=is_urgent))
        except ProcessLookupError:
            return  # the next scan finds its orphans
        except PermissionError:
            self._skip(browser, f"not killed, as this user may not: {found.message}")
        else:
            messages.report_kill(self.state, kill)

    def _skip(self, browser: Browser, why: str) -> None:
        self._skip_reasons[browser.main[:2]] = why
        log.warning("%s, process %d: %s", browser.main.name, browser.main.pid, why)

    def _continue_terminations(self, now: float) -> None:
        for browser in self.browsers.due_orphans(now):
            self._kill_orphans(browser, now)
        for termination in list(self.terminations):
            if termination.step(uptime()):
                self.terminations.remove(termination)
                self._conclude(termination)
        self._note()

    def _kill_orphans(self, browser: Browser, now: float) -> None:
        if browser.main[:2] in self._skip_reasons:
            self.browsers.forget(browser)
            return
        what = f"ended but left processes running: {messages.processes_in_words(browser.members.values())}"
        if self._dry_run:
            self._skip(browser, f"{what}; they would be killed")
            self.browsers.forget(browser)
            return
        log.warning("%s, process %d, %s; killing them", browser.main.name, browser.main.pid, what)
        self._complete(browser, now)

    def _resume(self, now: float) -> None:
        """Complete what an earlier watchdog had begun."""
        for browser in self._journal.unfinished():
            log.warning(
                "an earlier watchdog was killing %s, process %d; killing what is left: %s",
                browser.main.name, browser.main.pid, messages.processes_in_words(browser.members.values()),
            )  # fmt: skip
            self.browsers.add(browser)
            self._complete(browser, now)
        self._journal.remove_old()

    def _complete(self, browser: Browser, now: float) -> None:
        self._note(browser)
        self.terminations.append(Termination(browser, now, has_grace=False))

    def _note(self, *more: Browser, wait: bool = True) -> None:
        """Write the journal before the first signal to `more`, so that nothing of them is left in any event."""
        if more:
            self.browsers.membership.forks.listen()
        elif not self.terminations:
            self.browsers.membership.forks.close()
        browsers = [*(termination.browser for termination in self.terminations), *more]
        self._journal.note(browsers, wait=wait and bool(more))

    def _conclude(self, termination: Termination) -> None:
        browser = termination.browser
        self.browsers.forget(browser)
        log.info("process %d has ended %s", browser.main.pid, termination.in_words(uptime()))
        in_background(lambda: _remove_profiles(browser), log)

    def _notice_interruption(self, now: float) -> None:
        self._interrupted_until = max(self._interrupted_until, self._interruptions.notice(now))

    def _excused_until(self) -> float:
        return max(self._interrupted_until, self.tracker.suspension.excused_until)


def _remove_profiles(browser: Browser) -> None:
    for leftover in leftovers.remove_profiles(browser.arguments, browser.uid):
        if leftover.error:
            log.warning("the profile %s could not be removed: %s", leftover.path, leftover.error)
        else:
            log.info("removed the profile %s", leftover.path)


_FIRST_START = 180.0  # seconds: the time that the default rule gives a browser to be validated
_FIRST_START_TEXT = (
    "first start without a rule in the configuration: nothing is killed for %s, then every Firefox of any user that "
    "is not validated or uses too much memory. For other rules add a table [watchdog.NAME] to servermonitoring.toml"
)


class FirstStart:
    """The first minutes of the first watchdog on a machine without rules: it logs what it will kill, and kills nothing.

    Whoever only tries `watchdog watch` as root learns from the log that it applies to every Firefox, in time to stop
    it.
    """

    def __init__(self, end: float = 0.0) -> None:
        """`end` is in seconds of uptime."""
        self._end = end

    def is_active(self) -> bool:
        return bool(self._end) and self.seconds_left(uptime()) > 0

    def seconds_left(self, now: float) -> float:
        """Return the seconds until browsers are killed, 0 when it is over."""
        return max(0.0, self._end - now)

    def announce(self, browser: Browser, now: float) -> None:
        """Log that a browser will be killed, unless something changes."""
        found = find_violation(browser.facts(), browser.rule, self._end) if self.seconds_left(now) else None
        if found and (found.reason is Reason.MEMORY or browser.validated_at is None):
            log.warning(
                "%s, process %d of %s, will be killed in %s: %s", browser.main.name, browser.main.pid,
                user_name(browser.uid), in_words(round(self.seconds_left(now))), found.message,
            )  # fmt: skip


def begin_first_start(rules: list[Rule], state: Path | None) -> FirstStart:
    """Return an active one if no watchdog ever ran with this state directory and the default rule is in force."""
    if rules[0] is not DEFAULT or (state is not None and heartbeat(state) is not None):
        return FirstStart()
    log.warning(_FIRST_START_TEXT, in_words(_FIRST_START))
    return FirstStart(uptime() + _FIRST_START)
