"""The thread in which tests run, and what it says of those that take too long."""

import threading
import time

import pytest

from healthchecks.plugin.result import ProbeTimeout
from healthchecks.plugin.signals import Interruption
from healthchecks.plugin.stage import Phase, Stage


def test_a_phase_with_a_bound_of_its_own_is_said_to_have_had_its_timeout():
    """On a busy machine the stage gives up before the child that runs the test has said that its time is over."""
    stage = Stage(time.monotonic() + 60, Interruption())
    job = stage.begin(Phase("test_shop", threading.Event().wait, timeout=0.1, later=0.2))
    with pytest.raises(ProbeTimeout, match=r"no response within 0\.1 s$"):
        stage.finish(job)
    assert job.duration >= 0.3
