"""A run that is killed or ended in the middle leaves no process, and the next run is as every other."""

import contextlib
import signal

import psutil
import pytest

from tests.healthchecks.plugin.probes.neighbours import FORMS, LIMIT, finish, harm, plain, probed
from tests.healthchecks.plugin.probes.usage import marked
from tests.reliability import reliability
from tests.servers.server import until

SIGNALS = [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP]
WITH_BROWSERS = """
[subprocess.Popen(["sleep", "600"], start_new_session=each) for each in (False, True)]
(FOLDER / "begun").touch()
"""
WAITS = WITH_BROWSERS + "threading.Event().wait()"
HOLDS = WITH_BROWSERS + "collections.deque(itertools.repeat(0), maxlen=0)"


@pytest.fixture
def marking(neighbours):
    """Every process of the run has its directory and a variable of its own, even one that left the run's session."""
    mark = str(neighbours.suite.folder)
    neighbours.timeout = "600s"
    neighbours.suite.environment["MARK"] = mark
    neighbours.mark = mark
    yield neighbours
    for each in marked(mark):
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()


def end_in_the_middle(neighbours, check, number):
    """Send the signal to a run whose harmful check has begun; return its outcome when no process of it is left."""
    process = neighbours.start(check)
    until((neighbours.suite.folder / "begun").exists, LIMIT, what="begin of the check")
    process.send_signal(number)
    outcome = finish(neighbours.suite, process, neighbours.output)
    until(lambda: not marked(neighbours.mark), 20, what="end of all processes")
    return outcome


def assert_next_is_normal(neighbours):
    outcome = neighbours.run(plain("pass"))
    assert harm(outcome)["status"] == "ok"
    assert "already" not in outcome.output


@reliability(
    "Browsers",
    fault="a run is killed by SIGKILL, or ended by SIGTERM or SIGHUP, while a check has started processes",
    promise="no process of the run is left after a moment, and the next run is as every other",
)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_ended_run(marking, number, form):
    outcome = end_in_the_middle(marking, form(WAITS), number)
    assert outcome.status == (-signal.SIGKILL if number == signal.SIGKILL else 2), outcome.output
    assert_next_is_normal(marking)


@reliability(
    "Browsers",
    fault="a run is killed or ended while a probe holds Python in C",
    promise="no process of the run is left after a moment, and the next run is as every other",
)
@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_ended_run_that_is_held(marking, number):
    end_in_the_middle(marking, probed(HOLDS), number)
    assert_next_is_normal(marking)


SENDS = """
class Large:
    def __reduce__(self):
        (FOLDER / "sender").write_text(str(os.getpid()))
        return str, ("x" * 5_000_000,)


@pytest.mark.healthcheck(timeout=TIMEOUT)
def test_harm(record_property):
    record_property("large", Large())
    (FOLDER / "begun").touch()
    while not (FOLDER / "go").exists():
        time.sleep(0.01)
"""


@reliability(
    "Browsers",
    fault="a run hangs and is killed by SIGKILL while a test with fixtures sends what came of it",
    promise="no process of the run is left after a moment",
)
def test_killed_run_to_which_a_test_sends(marking):
    folder = marking.suite.folder
    process = marking.start(SENDS)
    until((folder / "begun").exists, LIMIT, what="begin of the check")
    process.send_signal(signal.SIGSTOP)
    (folder / "go").touch()
    until(lambda: _sleeps(folder / "sender"), LIMIT, what="full channel")
    process.send_signal(signal.SIGKILL)
    finish(marking.suite, process, marking.output)
    until(lambda: not marked(marking.mark), 20, what="end of all processes")


def _sleeps(file):
    """Return whether the process whose pid is in the file waits in the kernel."""
    with contextlib.suppress(OSError, ValueError, psutil.NoSuchProcess):
        return psutil.Process(int(file.read_text())).status() == psutil.STATUS_SLEEPING
    return False
