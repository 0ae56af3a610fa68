"""When a worker is of no use any more, as the pytest process sees it."""

import struct
from types import SimpleNamespace

import pytest

from healthchecks.plugin.probes.board import Board
from healthchecks.plugin.probes.job import ProbeJob
from healthchecks.plugin.probes.worker_end import EndCause
from healthchecks.plugin.probes.worker_process import WorkerProcess
from servermonitoring import clock


@pytest.fixture
def board():
    return Board(2, 1)


@pytest.fixture
def worker(board):
    worker = WorkerProcess(0, SimpleNamespace(fork=lambda *_: None), 1_000_000_000_000, board)
    worker.pid = 1  # of one that uses next to no processor time
    yield worker
    worker.close()


def order(worker, number):
    worker.order(number, ProbeJob("a probe", None, 3600), clock.monotonic() + 3600)


def had_pulse(board, age):
    """Have had the last pulse so many seconds ago."""
    struct.pack_into("d", board._memory, board._place(0), clock.monotonic() - age)


@pytest.mark.parametrize(
    ("age", "has_begun", "cause"), [(20, False, None), (40, True, None), (40, False, EndCause.HUNG)]
)
def test_worker_whose_main_thread_waits_for_ever(board, worker, age, has_begun, cause):
    order(worker, 0)
    if has_begun:
        board.begin(0, 1)
    had_pulse(board, age)
    assert worker.fault() is cause


def test_worker_that_had_nothing_to_do(board, worker):
    """It has no pulse then, and time to begin its next job; not again for each job that it does not begin."""
    had_pulse(board, 40)
    order(worker, 0)
    assert worker.fault() is None
    had_pulse(board, 40)
    order(worker, 1)
    assert worker.fault() is EndCause.HUNG
