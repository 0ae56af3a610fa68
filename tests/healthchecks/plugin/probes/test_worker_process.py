"""When a worker is of no use any more, as the pytest process sees it."""

import struct
from types import SimpleNamespace

import pytest

from healthchecks.plugin.probes.board import Board
from healthchecks.plugin.probes.job import ProbeJob
from healthchecks.plugin.probes.worker_end import EndCause
from healthchecks.plugin.probes.worker_process import WorkerProcess
from servermonitoring import clock


@pytest.mark.parametrize(
    ("age", "has_begun", "cause"), [(20, False, None), (40, True, None), (40, False, EndCause.HUNG)]
)
def test_worker_whose_main_thread_waits_for_ever(age, has_begun, cause):
    board = Board(1, 1)
    worker = WorkerProcess(0, SimpleNamespace(fork=lambda *_: None), 1_000_000_000_000, board)
    worker.pid = 1  # of one that uses next to no processor time
    worker.order(0, ProbeJob("a probe", None, 3600), clock.monotonic() + 3600)
    if has_begun:
        board.begin(0, 1)
    struct.pack_into("d", board._memory, board._place(0), clock.monotonic() - age)
    assert worker.fault() is cause
    worker.close()
