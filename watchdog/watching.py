"""One look after another: find the browsers, weigh them, judge them, and end those that have to die."""

import logging
import time
from collections.abc import Iterator
from pathlib import Path

from watchdog import cleaning, container, pacing, telling
from watchdog.background import in_background
from watchdog.believing import Believer
from watchdog.clock import uptime
from watchdog.families import Families, Family
from watchdog.interruption import Interruptions
from watchdog.killing import Killing
from watchdog.rules import Rule
from watchdog.signalling import may_end
from watchdog.state_writer import StateWriter
from watchdog.table import Table
from watchdog.truce import Truce
from watchdog.verdict import Reason, Verdict, verdict

log = logging.getLogger(__name__)

_TIDY_EVERY = 60.0  # seconds


class Watch:
    """All that is known between two looks."""

    def __init__(self, rules: list[Rule], state: Path | None, *, dry_run: bool = False) -> None:
        self.families = Families(rules)
        self.table = Table()
        self.killings: list[Killing] = []
        self.state, self._dry_run = StateWriter(state), dry_run
        self._believer = Believer(repair=not dry_run)
        self._spared: dict[tuple[int, int], str] = {}  # (pid, start) of those not to be killed → why, said once
        self._tidied = float("-inf")
        self._interruptions = Interruptions(uptime())
        self._excused = 0.0
        self.truce = Truce()
        container.tell_own()

    def look(self) -> None:
        now = uptime()
        self._notice_interruption(now)
        if now - self._tidied >= _TIDY_EVERY and not self._dry_run:
            self._tidied = now
            self._believer.tidy()
        for family in self.families.update(self.table, self.table.refresh(now), now):
            self._greet(family, now)
        for family in self._judged():
            self._judge(family, now)
        self._go_on_killing()

    def news(self) -> bool:
        """Whether something new has started, or may soon be another program: a glance, for almost nothing."""
        now = uptime()
        self._notice_interruption(now)
        return self.table.stale(now)

    def pause(self, longest: float) -> float:
        """Seconds until the next look."""
        if self.killings:
            return pacing.DYING
        now = uptime()
        longest = min(longest, self.truce.left(now) or longest)
        judged = ((family.facts(self._excused), family.rule) for family in self._judged())
        return pacing.pause(judged, now, longest)

    def change_rules(self, rules: list[Rule]) -> None:
        """Begin anew with other rules; killings under way go on."""
        self.families, self.table = Families(rules), Table()

    def finish(self) -> None:
        """See the killings that were begun to their end."""
        while self.killings:
            self._go_on_killing()
            time.sleep(pacing.DYING)

    def _judged(self) -> Iterator[Family]:
        if self.truce.left(uptime()):
            return
        passed_over = {*self._spared, *(killing.family.main[:2] for killing in self.killings)}
        for family in list(self.families.by_main.values()):
            if family.main[:2] not in passed_over:
                yield family

    def _greet(self, family: Family, now: float) -> None:
        family.memory = family.weigh(now)
        self._believer.ask(family, now)
        log.info("watching %s", telling.in_a_line(family, now))
        if not may_end(family.main):
            self._spare(family, "this user may not end it: it is not watched")
        else:
            self.truce.announce(family, now)

    def _judge(self, family: Family, now: float) -> None:
        family.memory = family.weigh(now)
        found = verdict(family.facts(self._excused), family.rule, now)
        if found is None:
            return
        if found.reason is not Reason.MEMORY and not self._believer.ask(family, now):
            self._excused = now
        found = self._confirm(family)
        if found is not None:
            self._end(family, found)

    def _confirm(self, family: Family) -> Verdict | None:
        """Look once more just before what cannot be undone."""
        if not family.exists():
            self.families.forget(family)
            return None
        family.drop_the_dead()
        now = uptime()
        self._notice_interruption(now)
        family.memory = family.weigh(now)
        return verdict(family.facts(self._excused), family.rule, now)

    def _end(self, family: Family, found: Verdict) -> None:
        now, hurried = uptime(), found.reason is Reason.MEMORY
        if self._dry_run:
            self._spare(family, f"would be killed: {found.message}")
            return
        kill = telling.kill_of(family, found, now)
        try:
            self.killings.append(Killing(family, now, hurried=hurried))
        except ProcessLookupError:
            self.families.forget(family)
        except PermissionError:
            self._spare(family, f"this user may not end it, though it {found.message}")
        else:
            telling.tell_kill(self.state, kill)

    def _spare(self, family: Family, why: str) -> None:
        self._spared[family.main[:2]] = why
        log.warning("%s, process %d: %s", family.main.name, family.main.pid, why)

    def _go_on_killing(self) -> None:
        for killing in list(self.killings):
            if killing.step(uptime()):
                self.killings.remove(killing)
                self._bury(killing)

    def _bury(self, killing: Killing) -> None:
        family = killing.family
        killing.close()
        self.families.forget(family)
        log.info("process %d has ended %s", family.main.pid, killing.how(uptime()))
        in_background(lambda: _remove_profiles(family))

    def _notice_interruption(self, now: float) -> None:
        self._excused = max(self._excused, self._interruptions.notice(now))


def _remove_profiles(family: Family) -> None:
    for leftover in cleaning.remove_profiles(family.arguments, family.uid):
        if leftover.error:
            log.warning("the profile %s could not be removed: %s", leftover.path, leftover.error)
        else:
            log.info("removed the profile %s", leftover.path)
