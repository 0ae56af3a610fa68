"""What a check leaves behind in its process, or outside of it, reaches no other check and no output."""

import pytest

from tests.healthchecks.plugin.probes.neighbours import FORMS, assert_ended, harm, probed, results
from tests.reliability import reliability

LEFT = {
    "closed descriptors": "[os.close(each) for each in (0, 1, 2)]",
    "leaked descriptors": "[os.open('/dev/null', 0) for _ in range(100_000_000)]",
    "working directory": "os.chdir('/')",
    "blocked signals": "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())",
    "printed": "[print('x' * 1_000_000) for _ in range(100)]",
    "written to descriptor 1": "[os.write(1, b'x' * 1_000_000) for _ in range(100)]",
}
HEAD = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))  # before the run begins
"""
CHILDREN = {
    "forked": """
        child = os.fork()
        if child == 0:
            os.setsid()
            time.sleep(600)
            os._exit(0)
        (FOLDER / "child").write_text(str(child))
    """,
    "started": """
        child = subprocess.Popen(["sleep", "600"], start_new_session=True)
        (FOLDER / "child").write_text(str(child.pid))
    """,
    "orphaned": """
        command = "setsid sleep 600 >/dev/null 2>&1 & echo $!"
        (FOLDER / "child").write_bytes(subprocess.check_output(["sh", "-c", command]))
    """,
}


@reliability(
    "Checks",
    fault="a check closes or leaks descriptors, changes directory, blocks signals, prints 100 MB",
    promise="every other check is recorded and alerted, and the output stays small",
)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("left", LEFT)
def test_left_in_the_process(neighbours, left, form):
    outcome = neighbours.run(HEAD + form(LEFT[left]))
    assert harm(outcome)["status"] == "ok" or left == "leaked descriptors", outcome.output
    assert len(outcome.output) < 1_000_000
    assert "asserted, too" in outcome.output
    assert sum(each.stat().st_size for each in outcome.folder.rglob("*") if each.is_file()) < 20_000_000


@reliability(
    "Checks",
    fault="a check starts a process that lives on: forked, in a session of its own, or orphaned",
    promise="it is gone after the run; every other check is recorded and alerted",
)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("child", CHILDREN)
def test_left_outside_the_process(neighbours, child, form):
    try:
        outcome = neighbours.run(form(CHILDREN[child]))
    finally:
        assert_ended(int((neighbours.suite.folder / "child").read_text()))
    assert harm(outcome)["status"] == "ok", outcome.output


REPLACING = """
def replaced(*_, **__):
    raise RuntimeError("replaced by a check")


@pytest.fixture
def replacing(monkeypatch):
    for name in ("time", "monotonic", "sleep"):
        monkeypatch.setattr(time, name, replaced)
    for name in ("socket", "socketpair", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, replaced)


@probe
def contact_harm(harm: Harm):
    time.time = time.monotonic = lambda: 1e12


def test_harm(harm, contact_harm):
    time.time = time.monotonic = lambda: 1e12
    sys.setrecursionlimit(80)
    socket.setdefaulttimeout(0.001)
    warnings.simplefilter("error")
    os.environ.clear()
    sys.path.clear()


def test_state(harm, contact_harm):
    assert os.environ["PATH"] and sys.path and socket.getdefaulttimeout() is None
    assert sys.getrecursionlimit() > 80 and time.time() < 1e12
    warnings.warn("only a warning")


@pytest.mark.healthcheck
def test_with_fixture(replacing):
    time.monotonic = lambda: 1e12
"""


@reliability(
    "Checks",
    fault="a check replaces functions of Python's (time, sockets), or changes its environment, path or limits",
    promise="it has its own result, every other check is recorded and alerted",
)
def test_replaced_functions(neighbours):
    outcome = neighbours.run(f"import warnings\n{REPLACING}")
    own = ("harm[one]", "state[one]", "with_fixture[]")
    assert results(outcome, own) == dict.fromkeys(own, ("ok", "")), outcome.output


@reliability(
    "Checks",
    fault="a probe leaves its process in a state in which no result can be sent, such as without modules",
    promise="it alone is an error, every other check is recorded and alerted",
)
def test_nothing_can_be_sent(neighbours):
    outcome = neighbours.run(probed("sys.modules.clear(); sys.path.clear()"))
    assert harm(outcome)["status"] == "error", outcome.output
    assert harm(outcome)["message"].endswith("ended with status 1")


GREEDY = """
@probe
def contact_harm(harm: Harm):
    with contextlib.suppress(OSError):
        while True:
            os.open("/dev/null", 0)
    (FOLDER / "no descriptors").mkdir(exist_ok=True)
    time.sleep(0.5)


def test_harm(harm, contact_harm):
    pass


@probe
def contact_innocent(steady: Steady):
    while not (FOLDER / "no descriptors").exists():
        time.sleep(0.01)
    try:
        os.pipe()
    except OSError:
        raise Unhealthy("not connected") from None


def test_innocent(steady, contact_innocent):
    pass
"""


@reliability(
    "Checks",
    fault="a probe takes all descriptors of its process while others need one",
    promise="the others are probed again in processes of their own",
)
def test_another_has_all_descriptors(neighbours):
    neighbours.settings = "[run]\nworkers = 1\n"
    outcome = neighbours.run(f"import contextlib\n{HEAD}{GREEDY}")
    own = ("innocent[a]", "innocent[b]")
    assert results(outcome, own) == dict.fromkeys(own, ("ok", "")), outcome.output
