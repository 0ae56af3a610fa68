"""The tester: a process that runs the assertions of tests on the values of their probes, one test after another.

Only tests that ask for nothing but targets and probes; it was forked with the workers, before their values came.
"""

import contextlib
import os
import socket
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from healthchecks.plugin import collection, signals
from healthchecks.plugin.probes.execution import Performer, execute_test
from healthchecks.plugin.probes.job import ProbeJob
from healthchecks.plugin.probes.job_output import divert_streams
from healthchecks.plugin.probes.message import Reader, framed, value_of_bytes
from healthchecks.plugin.surroundings import PythonState, keep_descriptors, restore_descriptors


@dataclass(frozen=True)
class TesterSettings:
    """What the tester knows from the start."""

    items: Sequence[pytest.Item]
    level: int
    """Of the root logger."""


@dataclass(frozen=True)
class Assignment:
    """A test to be run."""

    item: int
    """Its index."""
    values: Mapping[str, bytes]
    """Of its probes, by the names of their fixtures; pickled."""
    timeout: float
    """In seconds."""
    latest_end: float
    """In monotonic seconds, whatever the timeout."""


def run_tester(settings: TesterSettings, channel: socket.socket, output: int) -> None:
    """Run tests until the pytest process closes the channel."""
    signals.ignore_signals()
    divert_streams(output)
    keep_descriptors()
    os.register_at_fork(after_in_child=channel.close)
    performer, reader, python = Performer(settings.level), Reader(), PythonState()
    while (assignments := reader.read(channel.fileno())) is not None:
        for each in assignments:
            item = settings.items[each.item]
            job = ProbeJob(item.name, partial(_run_test, item, each.values), collection.timeout_of(item))
            message = performer.perform(each.item, job, each.latest_end)
            python.restore()
            with contextlib.suppress(OSError):
                channel.sendall(framed(message))
            restore_descriptors()


def _run_test(item: Any, values: Mapping[str, bytes]) -> None:
    arguments = dict(item.callspec.params) if hasattr(item, "callspec") else {}
    arguments |= {name: value_of_bytes(value) for name, value in values.items()}
    names = collection.fixture_info(item).argnames
    with warnings.catch_warnings(), _comparisons(item):
        execute_test(partial(item.obj, **{name: arguments[name] for name in names}))


@contextlib.contextmanager
def _comparisons(item: pytest.Item) -> Any:
    """Let pytest explain comparisons in assertions, as it does around its own call of a test."""
    from _pytest.assertion import util

    def explain(operator: str, left: object, right: object) -> str | None:
        found = item.ihook.pytest_assertrepr_compare(config=item.config, op=operator, left=left, right=right)
        lines = next((each for each in found if each), None)
        return "\n~".join(line.replace("\n", "\\n") for line in lines).replace("%", "%%") if lines else None

    util._reprcompare = explain  # noqa: SLF001 - pytest has no public way
    try:
        yield
    finally:
        util._reprcompare = None  # noqa: SLF001
