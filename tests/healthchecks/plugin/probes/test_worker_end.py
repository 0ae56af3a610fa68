"""What becomes of the probes of a worker that is gone."""

import signal

import pytest

from healthchecks.plugin.probes.worker_end import EndCause, Fate, WorkerEnd, outcome_of_death
from healthchecks.plugin.result import CheckError, Unhealthy

OUTCOME = CheckError("the process ended")
FAILED, OVERDUE = Fate(is_final=True, error=OUTCOME), Fate(is_final=True)
AGAIN, ALONE, ALONE_IN_TIME = Fate(), Fate(is_alone=True), Fate(is_alone=True, keeps_end=True)


@pytest.mark.parametrize(
    ("cause", "jobs", "culprit", "overdue", "expected"),
    [
        (EndCause.DIED, 1, None, set(), FAILED),
        (EndCause.DIED, 2, None, set(), ALONE),
        (EndCause.DIED, 2, 1, set(), ALONE),
        (EndCause.MEMORY, 2, 1, set(), FAILED),
        (EndCause.MEMORY, 2, 2, set(), AGAIN),
        (EndCause.MEMORY, 2, None, set(), ALONE),
        (EndCause.DESCRIPTORS, 2, 1, set(), ALONE),
        (EndCause.DESCRIPTORS, 2, None, {1}, OVERDUE),
        (EndCause.HUNG, 2, 1, {1}, OVERDUE),
        (EndCause.HUNG, 2, 2, {1}, OVERDUE),
        (EndCause.HUNG, 2, 1, {2}, ALONE_IN_TIME),
        (EndCause.HUNG, 2, 2, {2}, AGAIN),
        (EndCause.HUNG, 2, None, set(), ALONE),
    ],
)
def test_fate_of_job_one(cause, jobs, culprit, overdue, expected):
    end = WorkerEnd(cause, jobs, culprit, overdue)
    assert end.fate_of(1, OUTCOME, has_started=True) == expected


@pytest.mark.parametrize("cause", EndCause)
def test_a_job_that_had_not_started_is_innocent(cause):
    assert WorkerEnd(cause, 1, 2, {2}).fate_of(1, OUTCOME, has_started=False) == AGAIN


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (3, "the process of age ended with status 3"),
        (-signal.SIGSEGV, "the process of age was killed by SIGSEGV"),
        (-signal.SIGKILL, "the process of age was killed by SIGKILL, perhaps for lack of memory"),
        (-99, "the process of age was killed by signal 99"),
        (None, "the process of age ended"),
    ],
)
def test_how_it_died(status, message):
    outcome = outcome_of_death("age", EndCause.DIED, status, 512_000_000, "Fatal Python error")
    assert isinstance(outcome, CheckError)
    assert str(outcome) == message
    assert outcome.details == f"{message}\nFatal Python error"


def test_too_much_memory_is_a_failure():
    outcome = outcome_of_death("age", EndCause.MEMORY, None, 512_000_000, "")
    assert isinstance(outcome, Unhealthy)
    assert str(outcome) == "used more than 512 MB of memory"
