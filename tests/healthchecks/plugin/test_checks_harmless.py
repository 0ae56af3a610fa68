"""Whatever one check does, every other one is recorded, shown and alerted."""

import json
import os
import re
import signal
import sqlite3
from contextlib import closing

import pytest

from tests.reliability import reliability

HEAD = """
    import logging, os, subprocess, sys, threading, time
    from pathlib import Path
    import resource
    import pytest
    from healthchecks import Target, Unhealthy, attach, capture_message, probe

    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))  # before the run begins

    class Job(Target):
        pass

    @probe
    def word(job: Job) -> str:
        return "bad"

    class Odd(Exception):
        def __str__(self): raise ValueError("no text")
        __repr__ = __str__

    class Worse(Exception):
        def __str__(self): raise SystemExit
        __repr__ = __str__

    class Number(Exception):
        def __str__(self): return 42

    class Loud(logging.Handler):
        def emit(self, record): raise ValueError("handler")
"""
NEIGHBOUR = """
    def test_neighbour(job: Job, word: str):
        assert word == "good", "asserted"
"""


LOUD = "logging.getLogger().addHandler(Loud()); logging.error('word')"
CLOSE = "[os.close(each) for each in (0, 1, 2)]"
LEAK = "[os.open('/dev/null', 0) for _ in range(100_000_000)]"


def probed(body, name="harm"):
    return f"""
    @probe
    def probed_{name}(job: Job):
        {body}

    def test_{name}(job: Job, probed_{name}):
        pass
"""


def plain(body, name="harm"):
    return f"""
    @pytest.mark.healthcheck
    def test_{name}(request, record_property):
        {body}
"""


def fixture(body, name="harm"):
    return f"""
    @pytest.fixture
    def fixture_{name}():
        {body}

    @pytest.mark.healthcheck
    def test_{name}(fixture_{name}):
        pass
"""


HARM = {
    "text of an error": [
        (plain, "raise Odd"),
        (probed, "raise Odd"),
        (plain, "raise Worse"),
        (probed, "raise Number"),
        (plain, "assert Odd() == Number(), Odd()"),
        (plain, "raise Exception('x' * 50_000_000)"),
        (plain, "import warnings; warnings.warn(Odd('x'))"),
    ],
    "end of pytest": [
        (probed, "raise KeyboardInterrupt"),
        (probed, "pytest.exit('enough', 0)"),
        (plain, "pytest.exit('enough', 0)"),
        (probed, "sys.exit(0)"),
        (plain, "sys.exit(0)"),
        (fixture, "sys.exit(0)"),
        (fixture, "raise KeyboardInterrupt"),
        (fixture, "yield; raise KeyboardInterrupt"),
        (plain, "pytest.skip('no', allow_module_level=True)"),
        (plain, "thread = threading.Thread(target=sys.exit); thread.start(); thread.join()"),
    ],
    "no characters": [
        (plain, r"raise Unhealthy('\ud800')"),
        (plain, r"logging.error('\udcff %s', '\ud800')"),
        (probed, r"capture_message('\udcff', key='\ud800', **{'\ud800': 1})"),
        (probed, r"attach('\ud800', '\udcff', '\udcff'); raise Unhealthy('bad')"),
        (plain, r"record_property('\ud800', '\ud800')"),
        (plain, r"print('\ud800'); assert 0"),
    ],
    "odd objects": [
        (plain, "record_property('name', Odd())"),
        (plain, "request.node.user_properties.append(1)"),
        (probed, "capture_message(Odd(), key=Odd())"),
        (probed, "logging.error('%d', 'word')"),
    ],
    "handler of logs": [(plain, LOUD), (probed, LOUD)],
    "many logs": [(plain, "[logging.error('x' * 100_000) for _ in range(2000)]")],
    "much output": [(plain, "[print('x' * 1_000_000) for _ in range(100)]")],
    "working directory": [(plain, "os.chdir('/')"), (probed, "os.chdir('/')")],
    "removed directory": [(plain, "os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone')")],
    "environment": [(plain, "os.environ.clear()")],
    "closed streams": [(plain, "sys.stdout.close(); sys.stderr.close()")],
    "closed descriptors": [(plain, CLOSE)],
    "closed descriptors in a probe": [(probed, CLOSE)],
    "descriptors": [(plain, LEAK)],
    "descriptors in a probe": [(probed, LEAK)],
    "forks": [(plain, "os.fork()"), (probed, "os.fork()")],
}


@pytest.fixture
def hooked(suite, website):
    website.answer("/hook", "ok")
    suite.configure(f"[job.one]\ntimeout = '20s'\n[alerts]\nwebhook = '{website.url('/hook')}'\n")
    return suite


@reliability(
    "Checks",
    fault="a check raises, prints, logs, closes, leaks or forks whatever it likes",
    promise="every other check runs, and is recorded, shown and alerted",
)
@pytest.mark.parametrize("harm", HARM)
def test_neighbour_runs(hooked, website, harm):
    harmful = [kind(body, f"harm{number}") for number, (kind, body) in enumerate(HARM[harm])]
    hooked.write("test_mine.py", HEAD + "".join(harmful) + NEIGHBOUR)
    outcome = hooked.run("test_mine.py")
    assert outcome.status == 1, outcome.output
    assert outcome.checks["neighbour[one]"]["message"] == "asserted"
    assert not outcome.document["interrupted"]
    names = {f"harm{number}" for number in range(len(harmful))} | {"neighbour"}
    assert {each["check"] for each in outcome.document["checks"]} == names
    assert "neighbour" in (hooked.page / "index.html").read_text()
    with closing(sqlite3.connect(hooked.state / "history.sqlite")) as database:
        rows = database.execute("SELECT name, message FROM results JOIN checks ON id = check_id").fetchall()
    assert ("neighbour", "asserted") in rows
    assert {name for name, _ in rows} == names
    assert "neighbour" in {json.loads(request.body)["check"] for request in website.requests}, outcome.output
    assert re.search(r"^FAILED +(job|neighbour)\[one\] +asserted", outcome.output, re.MULTILINE), outcome.output


@reliability(
    "Checks",
    fault="a file of checks calls sys.exit() or pytest.exit() when it is imported",
    promise="it is one error with its place, and all other checks run",
)
@pytest.mark.parametrize("exits", ["import sys; sys.exit(0)", "raise SystemExit", "pytest.exit('no', 0)"])
def test_exit_at_import(hooked, website, exits):
    hooked.write("test_mine.py", HEAD + NEIGHBOUR)
    hooked.write("test_gone.py", f"import healthchecks\nimport pytest\n{exits}\n")
    outcome = hooked.run("test_gone.py", "test_mine.py")
    assert outcome.status == 1, outcome.output
    assert outcome.checks["neighbour[one]"]["message"] == "asserted"
    assert outcome.checks["gone[]"]["status"] == "error"
    assert {json.loads(request.body)["check"] for request in website.requests} == {"gone", "neighbour"}


@reliability(
    "Checks",
    fault="a fixture forks a process that lives on",
    promise="the next run is not taken for a second one at the same time",
)
def test_forked_child_does_not_hold_the_lock(hooked):
    fork = """
    @pytest.fixture
    def forked():
        pid = os.fork()
        Path("child").write_text(str(pid)) if pid else time.sleep(600)

    @pytest.mark.healthcheck
    def test_harm(forked): pass
    """
    hooked.write("test_mine.py", HEAD + fork + NEIGHBOUR)
    child, children = hooked.folder / "child", []
    try:
        for number in range(2):
            with (hooked.folder / f"output{number}").open("w") as output:  # a pipe would wait for the child
                outcome = hooked.finish(hooked.start("test_mine.py", stdout=output))
            assert outcome.status == 1, outcome.output
            assert outcome.checks["neighbour[one]"]["message"] == "asserted"
            children.append(int(child.read_text()))
            os.kill(children[-1], 0)  # it is still alive
    finally:
        for each in children:
            os.kill(each, signal.SIGKILL)


@reliability(
    "Checks",
    fault="a check keeps more than 20 MB of attachments, which no alert can carry",
    promise="its alert arrives without what is too much, and says so",
)
def test_alert_with_too_many_attachments(suite, bugsink):
    attach = "[attach(f'picture {number}', os.urandom(1_900_000), 'image/png') for number in range(15)]"
    suite.write("test_mine.py", HEAD + probed(f"{attach}; raise Unhealthy('bad')"))
    suite.configure(f"[job.one]\n[sentry]\ndsn = '{bugsink.dsn}'\n")
    outcome = suite.run("test_mine.py")
    assert "Sentry: 1 sent" in outcome.output
    assert [issue.title for issue in bugsink.issues()] == ["job[one]: bad"]
    raw = bugsink.raw()
    assert "picture 4" in raw
    assert "10 attachments left out: 10 MB are the most for one check" in raw
