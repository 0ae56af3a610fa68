"""What a check leaves behind in its process, or outside of it, reaches no other check and no output."""

import pytest

from tests.healthchecks.plugin.probes.neighbours import FORMS, assert_ended, harm
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
