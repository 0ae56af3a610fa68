"""A check that ends its process is an error that says how, and every other check has its result."""

import re

import pytest

from tests.healthchecks.plugin.probes.neighbours import FORMS, assert_times_out, harm, probed
from tests.reliability import reliability

CRASHES = {
    "exit": ("os._exit(3)", r"\b3\b"),
    "segmentation fault": ("ctypes.string_at(0)", r"SIGSEGV|[Ss]egmentation"),
    "kill": ("os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL|[Kk]illed"),
}


@reliability(
    "Checks",
    fault="a check ends its process: os._exit, a segmentation fault, the OOM killer",
    promise="it alone is an error that says how, every other check is recorded and alerted",
)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("crash", CRASHES)
def test_crash(neighbours, crash, form):
    body, message = CRASHES[crash]
    outcome = neighbours.run(form(body))
    assert harm(outcome)["status"] == "error", outcome.output
    assert re.search(message, harm(outcome)["message"])


@reliability(
    "Checks",
    fault="all probes share one worker process, and one of them ends it or holds it",
    promise="the innocent ones are probed again, and have their own results",
)
@pytest.mark.parametrize("deed", ["exit", "hold"])
def test_one_worker(neighbours, deed):
    neighbours.settings = "[run]\nworkers = 1\n"
    if deed == "exit":
        outcome = neighbours.run(probed("os._exit(3)"))
        assert harm(outcome)["status"] == "error", outcome.output
    else:
        assert_times_out(neighbours, probed("collections.deque(itertools.repeat(0), maxlen=0)"), probed)


SEVERAL = """
class Deed(Target):
    pass


DEEDS = {
    "exit": lambda: os._exit(3),
    "hold": lambda: collections.deque(itertools.repeat(0), maxlen=0),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "swell": lambda: bytearray(b"x") * 3_000_000_000,
}


@probe
def contact_deed(deed: Deed):
    time.sleep(0.2)
    DEEDS[deed.name]()


def test_deed(deed, contact_deed):
    pass
"""


@reliability(
    "Checks",
    fault="several probes of one run crash, hang and swell at the same time",
    promise="each has its own status, every other check is recorded and alerted",
)
def test_several_at_once(neighbours):
    timeouts = {"exit": "30s", "hold": "2s", "kill": "30s", "swell": "30s"}
    neighbours.settings = "".join(f'[deed.{name}]\ntimeout = "{timeout}"\n' for name, timeout in timeouts.items())
    outcome = neighbours.run(SEVERAL + probed("pass"))
    assert harm(outcome)["status"] == "ok", outcome.output
    statuses = {name: outcome.checks[f"deed[{name}]"]["status"] for name in timeouts}
    assert statuses == {"exit": "error", "hold": "failed", "kill": "error", "swell": "failed"}
    assert outcome.checks["deed[hold]"]["message"] == "no response within 2 s"


AGAIN = """
class Again(Target):
    pass


@probe
def contact_again(again: Again):
    tries = FOLDER / again.name
    if not tries.exists():
        tries.touch()
        raise Unhealthy("the first try")
    if again.name == "later":  # when the probe is over
        threading.Timer(0.1, ctypes.string_at, [0]).start()
    else:
        os._exit(3)


def test_again(again, contact_again):
    pass
"""


@reliability(
    "Checks",
    fault="probes crash in their retries, one of them by a thread that it has left behind",
    promise="a crash is an error of its own check, every other check is recorded and alerted",
)
def test_crash_in_a_retry(neighbours):
    neighbours.settings = "[again.now]\nretries = 1\n[again.later]\nretries = 1\n"
    outcome = neighbours.run(AGAIN + probed("pass"))
    assert harm(outcome)["status"] == "ok", outcome.output
    assert outcome.checks["again[now]"]["status"] == "error"
    assert "ended with status 3" in outcome.checks["again[now]"]["message"]
    assert outcome.checks["again[later]"]["status"] in {"ok", "error"}  # whether it had been reported before
