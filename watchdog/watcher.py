"""One look after another: find the browsers, weigh them, judge them, and end those that have to die."""

import contextlib
import logging
import time
from collections.abc import Iterator
from pathlib import Path

from watchdog import messages, policy
from watchdog.background import in_background
from watchdog.browser import Family
from watchdog.browsers import Families
from watchdog.cleanup import leftovers
from watchdog.clock import Interruptions, uptime
from watchdog.first_start import Truce
from watchdog.journal import Journal
from watchdog.policy import Reason, Verdict, verdict
from watchdog.process_table import Table
from watchdog.rules import Rule
from watchdog.state_writer import StateWriter
from watchdog.termination import Killing, may_end
from watchdog.validation import containers
from watchdog.validation.last_validation import Believer

log = logging.getLogger(__name__)

_TIDY_EVERY = 60.0  # seconds
_LONGEST_FINISH = 20.0  # seconds beside the grace


class Watch:
    """All that is known between two looks."""

    def __init__(self, rules: list[Rule], state: Path | None, *, dry_run: bool = False) -> None:
        self.families = Families(rules)
        self.table = Table()
        self.killings: list[Killing] = []
        self._journal = Journal(state)
        self._resumed = False
        self.state, self._dry_run = StateWriter(state), dry_run
        self.believer = Believer(repair=not dry_run, state=state)
        self._spared: dict[tuple[int, int], str] = {}  # (pid, start) of those not to be killed → why, said once
        self._tidied = float("-inf")
        self._interruptions = Interruptions(uptime())
        self._excused = 0.0
        self.truce = Truce()
        containers.tell_own()

    def look(self) -> None:
        now = uptime()
        self._notice_interruption(now)
        if now - self._tidied >= _TIDY_EVERY and not self._dry_run:
            self._tidied = now
            self.believer.tidy(self.families.by_main.values())
        if not self._resumed:
            self._resumed = True
            self._resume(now)
        self.believer.glance(self.families.by_main.values(), now)
        for family in self._find(now):
            self._greet(family, now)
        for family in self._judged():
            self._judge(family, now)
        self._go_on_killing(now)

    def news(self) -> bool:
        """Whether something new has started, or may soon be another program: a glance, for almost nothing."""
        now = uptime()
        self._notice_interruption(now)
        heard = self.believer.glance(self.families.by_main.values(), now)
        return heard or self.families.is_behind() or self.table.stale(now)

    def pause(self, longest: float) -> float:
        """Seconds until the next look."""
        if self.killings:
            return policy.DYING
        now = uptime()
        longest = min(longest, self.families.due() - now, self.truce.left(now) or longest)
        judged = ((family.facts(self._excused_until()), family.rule) for family in self._judged())
        return policy.pause(judged, now, longest)

    def change_rules(self, rules: list[Rule]) -> None:
        """Judge by other rules from now on; killings under way go on."""
        self.families.change_rules(rules, self.table)

    def finish(self) -> None:
        """See what was begun to its end: killings, and what browsers left that have ended by themselves."""
        ends_at = uptime() + _LONGEST_FINISH + max((each.family.rule.grace for each in self.killings), default=0.0)
        while (self.killings or self.families.left) and uptime() < ends_at:
            now = uptime()
            with contextlib.suppress(OSError):  # the next turn may go well
                self._find(now)
                self._go_on_killing(now)
            time.sleep(policy.DYING)
        self.believer.close()

    def _find(self, now: float) -> list[Family]:
        """Take in what has started and what has ended; the browsers found."""
        return self.families.update(self.table, self.table.refresh(now), now)

    def _judged(self) -> Iterator[Family]:
        if self.truce.lasts():
            return
        passed_over = {*self._spared, *(killing.family.main[:2] for killing in self.killings)}
        for family in list(self.families.by_main.values()):
            if family.main[:2] not in passed_over:
                yield family

    def _greet(self, family: Family, now: float) -> None:
        family.memory = family.weigh(now)
        self.believer.ask(family, now)
        log.info("watching %s", messages.in_a_line(family, now))
        if not may_end(family.main):
            self._spare(family, "this user may not end it: it is not watched")
        else:
            self.truce.announce(family, now)

    def _judge(self, family: Family, now: float) -> None:
        family.memory = family.weigh(now)
        self.believer.ask_again(family, now)
        found = verdict(family.facts(self._excused_until()), family.rule, now)
        if found is None:
            return
        if found.reason is not Reason.MEMORY:
            self.believer.ask(family, now)
        found = self._confirm(family)
        if found is not None:
            self._end(family, found)

    def _confirm(self, family: Family) -> Verdict | None:
        """Look once more just before what cannot be undone."""
        if not family.exists():
            return None  # the next look finds what it has left
        family.drop_the_dead()
        now = uptime()
        self._notice_interruption(now)
        family.memory = family.weigh(now)
        return verdict(family.facts(self._excused_until()), family.rule, now)

    def _end(self, family: Family, found: Verdict) -> None:
        now, hurried = uptime(), found.reason is Reason.MEMORY
        if self._dry_run:
            self._spare(family, f"would be killed: {found.message}")
            return
        kill = messages.kill_of(family, found, now)
        self._note(family, wait=not hurried)
        try:
            self.killings.append(Killing(family, now, hurried=hurried))
        except ProcessLookupError:
            return  # the next look finds what it has left
        except PermissionError:
            self._spare(family, f"this user may not end it, though it {found.message}")
        else:
            messages.tell_kill(self.state, kill)

    def _spare(self, family: Family, why: str) -> None:
        self._spared[family.main[:2]] = why
        log.warning("%s, process %d: %s", family.main.name, family.main.pid, why)

    def _go_on_killing(self, now: float) -> None:
        for family in self.families.left_over(now):
            self._end_left_over(family, now)
        for killing in list(self.killings):
            if killing.step(uptime()):
                self.killings.remove(killing)
                self._bury(killing)
        self._note()

    def _end_left_over(self, family: Family, now: float) -> None:
        if family.main[:2] in self._spared:
            self.families.forget(family)
            return
        what = f"has ended, and what it started lives on: {messages.processes_in_words(family.members.values())}"
        if self._dry_run:
            self._spare(family, f"{what}; it would be killed")
            self.families.forget(family)
            return
        log.warning("%s, process %d, %s; it is killed", family.main.name, family.main.pid, what)
        self._complete(family, now)

    def _resume(self, now: float) -> None:
        """Complete what a watchdog before this one had begun."""
        for family in self._journal.unfinished():
            log.warning(
                "an earlier watchdog was killing %s, process %d; what is left of it is killed: %s",
                family.main.name, family.main.pid, messages.processes_in_words(family.members.values()),
            )  # fmt: skip
            self.families.take(family)
            self._complete(family, now)
        self._journal.remove_old()

    def _complete(self, family: Family, now: float) -> None:
        self._note(family)
        self.killings.append(Killing(family, now, begun=True))

    def _note(self, *more: Family, wait: bool = True) -> None:
        """Before the first signal to `more`: whatever happens from now on, nothing of them is to be left."""
        if more:
            self.families.membership.ancestry.listen()
        elif not self.killings:
            self.families.membership.ancestry.close()
        self._journal.note([*(killing.family for killing in self.killings), *more], wait=wait and bool(more))

    def _bury(self, killing: Killing) -> None:
        family = killing.family
        self.families.forget(family)
        log.info("process %d has ended %s", family.main.pid, killing.how(uptime()))
        in_background(lambda: _remove_profiles(family))

    def _notice_interruption(self, now: float) -> None:
        self._excused = max(self._excused, self._interruptions.notice(now))

    def _excused_until(self) -> float:
        return max(self._excused, self.believer.suspension.excused)


def _remove_profiles(family: Family) -> None:
    for leftover in leftovers.remove_profiles(family.arguments, family.uid):
        if leftover.error:
            log.warning("the profile %s could not be removed: %s", leftover.path, leftover.error)
        else:
            log.info("removed the profile %s", leftover.path)
