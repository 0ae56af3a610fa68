"""Runs the assertions of checks in the tester: in the order of the run, those of the next checks ahead.

A test whose values are there is handed over with those before it, so that its outcome is there when its turn comes:
nobody waits for the tester once per test. What a test does to the tester harms no other one: when the tester dies, or
has to be killed, the first test without an answer did it, and all after it are handed over to the next tester.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import pytest

from healthchecks.plugin import collection
from healthchecks.plugin.probes.job import ProbeJob
from healthchecks.plugin.probes.message import Message
from healthchecks.plugin.probes.tester import Assignment

if TYPE_CHECKING:
    from healthchecks.plugin.probes.pool import Pool
    from healthchecks.plugin.probes.tester_process import TesterProcess
    from healthchecks.plugin.signals import Interruption
    from healthchecks.plugin.stage import Stage

_MOST = 32  # tests that are handed over at a time
_MOST_BYTES = 32_000  # of their values together: the channel takes them without waiting


class Lookahead:
    """Of one run. `items`: its tests in their order, to which retries are added."""

    def __init__(
        self, items: Sequence[pytest.Item], pool: "Pool", stage: "Stage", interruption: "Interruption"
    ) -> None:
        self._items, self._pool, self._stage, self._interruption = items, pool, stage, interruption
        self._position = 0  # in the order of the run

    def message(self, item: pytest.Function, values: Mapping[str, bytes]) -> Message:
        """Return what came of the assertions of a test. Raise NotProbed, what the tester died of, or ProbeTimeout."""
        with self._interruption.held():
            tester = self._pool.tester()
            while tester.next and not self._is_of(tester.next, item, values):
                tester = self._drop(tester)
            if tester.next is None:
                tester.give([self._assignment(item, values), *self._next(item, _size(values))])
            return tester.take(item.name, self._interruption.check)

    def _is_of(self, assignment: Assignment, item: pytest.Item, values: Mapping[str, bytes]) -> bool:
        return assignment.item == self._pool.index(item) and assignment.values == values

    def _drop(self, tester: "TesterProcess") -> "TesterProcess":
        """Wait for a test that has no turn after all, or another one with other values; return what is usable then."""
        with contextlib.suppress(Exception):  # whatever it did
            tester.take("a test", self._interruption.check)
        return self._pool.tester()

    def _next(self, item: pytest.Item, size: int) -> Iterator[Assignment]:
        """Yield the tests after this one whose values are there, until one is not."""
        for each in self._items_after(item):
            values = self._values(each)
            size += _size(values)
            if not values or size > _MOST_BYTES:
                return
            yield self._assignment(each, values)

    def _items_after(self, item: pytest.Item) -> Sequence[pytest.Item]:
        while self._position < len(self._items) and self._items[self._position] is not item:
            self._position += 1
        return self._items[self._position + 1 : self._position + _MOST]

    def _values(self, item: pytest.Item) -> dict[str, bytes]:
        """Return the values of a test's probes; none if it cannot be run ahead."""
        target = collection.target_of(item)
        if not collection.needs_data_only(item) or collection.has_conditions(item) or (target and target.needs):
            return {}
        jobs = jobs_of(item, self._pool)
        if any(not job.done.is_set() or job.error is not None for job in jobs.values()):
            return {}
        return {name: job.value for name, job in jobs.items()}

    def _assignment(self, item: pytest.Item, values: Mapping[str, bytes]) -> Assignment:
        timeout, latest_end = collection.timeout_of(item), self._stage.latest_end()
        return Assignment(self._pool.index(item), values, timeout, latest_end)


def jobs_of(item: pytest.Item, pool: "Pool") -> dict[str, ProbeJob]:
    """Return the jobs of a test's probes, by the names of their fixtures; none for a test that contacts by itself."""
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    return {probe.name: pool.submit(probe, parameters[probe.parameter]) for probe in collection.probes_of(item)}


def _size(values: Mapping[str, bytes]) -> int:
    """Return about how many bytes of the channel a test takes."""
    return 1_000 + sum(len(value) for value in values.values())
