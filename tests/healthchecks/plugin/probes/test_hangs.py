"""A check that hangs, even in C or with signals blocked, ends by its timeout; every other check has its result."""

import pytest

from tests.healthchecks.plugin.probes.neighbours import FORMS, assert_times_out
from tests.reliability import reliability

HANGS = {
    "loop in C": "collections.deque(itertools.repeat(0), maxlen=0)",
    "regular expression": "re.match('(a+)+$', 'a' * 64 + 'b')",
    "blocked signals": """
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        threading.Event().wait()
    """,
    "stopped process": "os.kill(os.getpid(), signal.SIGSTOP); threading.Event().wait()",
    "event that never comes": "threading.Event().wait()",
}


@reliability(
    "Checks",
    fault="a check holds Python in C, blocks all signals, or stops its process",
    promise="it ends by its timeout, every other check is recorded and alerted",
)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("hang", HANGS)
def test_hang(neighbours, hang, form):
    assert_times_out(neighbours, form(HANGS[hang]), form)
