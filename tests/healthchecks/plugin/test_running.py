"""A run as a user sees it: exit status, what the terminal says, what is left behind."""

import contextlib
import json
import os
import pty
import re
import signal
import stat

import pytest

from tests.reliability import reliability

PORTS = """
    import socket
    from healthchecks import Target, probe, remaining

    class Port(Target):
        port: int

    @probe
    def word(port: Port) -> str:
        with socket.create_connection(("127.0.0.1", port.port), timeout=remaining()) as connection:
            return connection.recv(100).decode()

    def test_port_word(port: Port, word: str) -> None:
        assert word == "ready\\n", f"says {word!r} instead of 'ready'"
"""


@pytest.fixture
def ports(suite):
    suite.write("test_mine.py", PORTS)
    return suite


def table(port, name="one", **keys):
    extra = "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
    return f"[port.{name}]\nport = {port}\n{extra}"


def test_all_ok(ports, greeter):
    """A check that is ok leaves status 0, one line, the page and status.json."""
    ports.configure(table(greeter.port))
    outcome = ports.run()
    assert outcome.status == 0, outcome.output
    assert "1 check is ok" in outcome.output
    assert f"page: {ports.page / 'index.html'}" in outcome.output
    assert "port_word" in (ports.page / "index.html").read_text()
    entry = outcome.checks["port_word[one]"]
    assert (entry["status"], entry["message"], outcome.document["status"]) == ("ok", "", "ok")


def test_bad_answer(ports):
    """A bad answer is FAILED with the check's own words and no traceback, and ends with status 1."""
    from tests.healthchecks.plugin.conftest import Listener

    other = Listener(b"broken\n")
    ports.configure(table(other.port))
    outcome = ports.run()
    other.close()
    assert outcome.status == 1
    assert "FAILED  port[one]  says 'broken\\n' instead of 'ready'" in outcome.output
    assert "Traceback" not in outcome.output
    assert "assert word" not in outcome.output
    assert outcome.checks["port_word[one]"]["status"] == "failed"
    assert outcome.document["status"] == "failed"


def test_outage_costs_one_timeout(ports, hole):
    """100 silent targets are all FAILED after one timeout, each with the same plain words."""
    ports.configure("".join(table(hole.port, f"n{number}", timeout="1s") for number in range(100)))
    outcome = ports.run("test_mine.py", "--durations=0")
    assert outcome.status == 1
    assert len(outcome.checks) == 100
    assert {each["message"] for each in outcome.checks.values()} == {"no response within 1 s"}
    began = {each["since"] for each in outcome.checks.values()}
    assert len(began) == 1, "they were probed one after another"
    assert "port[n0, n1, n2 and 97 more]" in outcome.output


@reliability(
    "Checks",
    fault="some of several targets that fail alike are in maintenance, or fail for longer",
    promise="the terminal groups only what is alike",
)
def test_only_what_is_alike_shares_a_line(ports):
    ports.configure(table(1, "old"))
    ports.run()
    ports.configure(table(1, "old") + table(1, "new") + table(1, "moved", maintenance=True))
    outcome = ports.run()
    for name, notes in {"old": "for .*, 2 runs", "new": "new", "moved": "new, maintenance"}.items():
        assert re.search(rf"FAILED  port\[{name}\] .*refused.*  \({notes}\)", outcome.output), outcome.output


def test_run_timeout(ports, hole):
    """The run's own timeout ends what is still awaited."""
    ports.configure("[run]\ntimeout = 1\n" + table(hole.port, timeout=50))
    outcome = ports.run()
    assert outcome.status == 1
    assert outcome.checks["port_word[one]"]["duration"] < 45  # its own is 50
    assert outcome.checks["port_word[one]"]["message"] == "no response before the timeout of the run"


def test_only_selected_are_contacted(ports, greeter):
    """-k, a node id and --collect-only contact what they select and nothing else."""
    ports.configure(table(greeter.port, "one") + table(greeter.port, "two"))
    assert ports.run("test_mine.py", "--collect-only", "-q").status == 0
    assert greeter.contacts == 0
    assert ports.run("test_mine.py", "-k", "two").status == 0
    assert greeter.contacts == 1
    assert list(ports.run("test_mine.py::test_port_word[one]").checks) == ["port_word[one]"]
    assert greeter.contacts == 2


def test_ids_are_clean(ports, greeter):
    """A test's id is the target's name; a name with anything odd is refused."""
    ports.configure(table(greeter.port, "home"))
    assert "test_mine.py::test_port_word[home]" in ports.run("test_mine.py", "--collect-only", "-q").output
    ports.configure(f'[port."<img src=x>"]\nport = {greeter.port}\n')
    outcome = ports.run()
    assert outcome.status == 4
    assert "[port]: the name '<img src=x>' may hold letters, digits" in outcome.output


def test_maxfail_and_junit(ports, hole):
    """-x stops at the first failure; --junitxml has the plain message."""
    ports.configure("".join(table(hole.port, f"n{number}", timeout=1) for number in range(3)))
    outcome = ports.run("test_mine.py", "-x", "--junitxml", "junit.xml")
    assert outcome.status == 1
    assert len(outcome.checks) == 1
    assert 'message="no response within 1 s"' in (ports.folder / "junit.xml").read_text()


def test_last_failed(ports, greeter):
    """--lf runs what failed in the last run."""
    ports.configure(table(1, "dead") + table(greeter.port, "ok"))
    arguments = ("test_mine.py", "-p", "cacheprovider", "--lf")
    assert len(ports.run(*arguments).checks) == 2
    assert list(ports.run(*arguments).checks) == ["port_word[dead]"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_interrupted(ports, hole, greeter, number):
    """SIGTERM and Ctrl-C end a run at once; the results until then are recorded, and the page says it was cut off."""
    ports.configure(table(greeter.port, "ok") + table(hole.port, "hung", timeout=50))
    process = ports.start("test_mine.py", "-v")
    for line in process.stdout:
        if "test_port_word[ok] PASSED" in line:
            break
    process.send_signal(number)
    outcome = ports.finish(process)
    assert outcome.status == 2
    assert "Cut off before all checks ran" in outcome.output
    assert outcome.document["interrupted"] is True
    assert outcome.checks["port_word[ok]"]["status"] == "ok"
    assert "port_word[hung]" not in outcome.checks


def test_progress_is_for_terminals(ports, hole):
    """On a terminal a line says how many are awaited and for how long; it is not on the page and not under cron."""
    ports.configure(table(hole.port, timeout=2))
    terminal, other = pty.openpty()
    process = ports.start("test_mine.py", stdout=other)
    os.close(other)
    shown = b""
    with contextlib.suppress(OSError):  # how a terminal says that the program has closed it
        while part := os.read(terminal, 4096):
            shown += part
    os.close(terminal)
    assert process.wait(60) == 1
    assert b"waiting for 1 probe, at most 1 s more" in shown
    assert "waiting for" not in (ports.page / "index.html").read_text()
    assert "waiting for" not in ports.run().output


def test_second_run(ports, hole):
    """A second run while one is alive says so with pid and age, exits 6 at once and contacts nothing."""
    ports.configure(table(hole.port, "hung", timeout=50))
    first = ports.start("test_mine.py", "-v")
    for line in first.stdout:
        if "targets: " in line:
            break
    contacts = hole.contacts
    second = ports.run()
    assert second.status == 6
    assert f"another run of the health checks is alive: pid {first.pid}, for " in second.output
    assert hole.contacts <= max(contacts, 1)
    first.send_signal(signal.SIGINT)
    assert ports.finish(first).status == 2


def test_xdist_is_refused(ports, greeter):
    """-n would run every probe in every worker: refused with the reason."""
    ports.has_xdist = True
    ports.configure(table(greeter.port))
    outcome = ports.run("test_mine.py", "-n", "2")
    assert outcome.status not in (0, 1)
    assert "run them without -n" in outcome.output
    assert greeter.contacts == 0


def test_broken_file_silences_no_other(ports, greeter):
    """A check file that cannot be imported is an error; the others run all the same."""
    ports.configure(table(greeter.port))
    ports.write("test_broken.py", "import does_not_exist\n")
    outcome = ports.run("test_mine.py", "test_broken.py")
    assert outcome.status == 1
    assert outcome.checks["port_word[one]"]["status"] == "ok"
    assert outcome.checks["broken[]"]["status"] == "error"
    assert "ERROR" in outcome.output
    assert "No module named 'does_not_exist'" in outcome.output


def test_broken_check_is_an_error(suite):
    """A mistake in the check itself is ERROR with a traceback for its author, not FAILED."""
    suite.write("test_mine.py", "import pytest\n@pytest.mark.healthcheck\ndef test_typo():\n    len(5)\n")
    outcome = suite.run()
    assert outcome.status == 1
    assert outcome.checks["typo[]"]["status"] == "error"
    assert "ERROR   typo  TypeError: object of type 'int' has no len()" in outcome.output
    assert "test_mine.py:4" in outcome.output


def test_an_error_whose_text_says_all_is_printed_once(suite):
    suite.write(
        "test_mine.py", "import pytest\nfrom healthchecks import CheckError\n\n@pytest.mark.healthcheck\n"
        "def test_mine():\n    raise CheckError('the plugin is missing')\n",
    )  # fmt: skip
    assert suite.run().output.count("the plugin is missing") == 1


def test_plain_test_under_the_timeout(suite):
    """A marked test without a probe runs under its timeout and is recorded like any other."""
    suite.write(
        "test_mine.py",
        """
        import threading, pytest

        @pytest.mark.healthcheck(timeout="1s", group="jobs")
        def test_hangs():
            threading.Event().wait()

        @pytest.mark.healthcheck
        def test_works(tmp_path):
            assert tmp_path.exists()

        @pytest.mark.healthcheck
        def test_fails():
            assert 1 == 2, "the numbers differ"
        """,
    )
    outcome = suite.run()
    reported = {name: (each["status"], each["message"]) for name, each in outcome.checks.items()}
    assert reported == {
        "hangs[]": ("failed", "no response within 1 s"),
        "works[]": ("ok", ""),
        "fails[]": ("failed", "the numbers differ"),
    }
    assert outcome.checks["hangs[]"]["group"] == "jobs"


def test_skipped_in_the_test(suite):
    """A check that finds nothing to check says so by pytest.skip, and is skipped with its reason."""
    text = "import pytest\n@pytest.mark.healthcheck\ndef test_tape():\n    pytest.skip('no tape drive here')\n"
    suite.write("test_mine.py", text)
    outcome = suite.run()
    assert outcome.status == 0, outcome.output
    assert outcome.checks["tape[]"]["status"] == "skipped"
    assert "no tape drive here" in outcome.output
    assert "not configured" not in outcome.output
    assert "Not configured" not in (suite.page / "index.html").read_text()


def test_files_are_private(ports, greeter):
    """State and page are for this user only."""
    ports.configure(table(greeter.port))
    ports.run()
    for directory in (ports.state, ports.page):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        for path in directory.rglob("*"):
            assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_pages_are_for_those_who_may_enter_their_directory(ports, hole):
    """A web server reads them by its group, in the folders below too; nobody else."""
    ports.page.mkdir(parents=True)
    ports.page.chmod(0o2750)
    ports.configure(table(hole.port, timeout="0.5s"))
    ports.run()
    assert {path.name for path in ports.page.iterdir() if path.is_dir()} == {"badges", "runs"}
    for path in ports.page.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o2750 if path.is_dir() else 0o640), path


def test_unrelated_run_costs_nothing(suite):
    """A test run without health checks imports no client library, writes nothing and says nothing."""
    suite.forked = False
    suite.write(
        "test_mine.py",
        """
        import sys

        def test_nothing_imported():
            clients = {"pydantic", "requests", "psycopg2", "pika", "selenium", "lxml", "sentry_sdk", "psutil"}
            assert not clients & set(sys.modules)
            assert not [name for name in sys.modules if name.startswith("healthchecks.plugin.run")]
        """,
    )
    outcome = suite.run()
    assert outcome.status == 0, outcome.output
    assert "health" not in outcome.output.replace("healthchecks", "")
    assert not suite.page.exists()
    assert not suite.state.exists()


def test_unusable_state_directory(ports, greeter):
    """Where nothing can be stored, the run goes on and says so."""
    (ports.folder / "state").write_text("a file, not a directory")
    ports.configure(table(greeter.port))
    outcome = ports.run()
    assert outcome.status == 0
    assert "cannot be used: Not a directory" in outcome.output
    assert "1 check is ok" in outcome.output


def test_descriptors_are_rationed(ports, hole):
    """Under a small descriptor limit targets wait for their turn: no false failure for want of descriptors."""
    import resource

    ports.configure("".join(table(hole.port, f"n{number}", timeout="0.5s") for number in range(150)))
    process = ports.start("test_mine.py")
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (128, 128))
    outcome = ports.finish(process)
    assert {each["message"] for each in outcome.checks.values()} == {"no response within 0.5 s"}


def test_abandoned_threads_do_not_hold_the_exit(ports, hole):
    """The process ends although the thread of a probe hangs."""
    ports.configure(table(hole.port, timeout="0.2s"))
    assert ports.run().status == 1  # which raises if the process is still there after a minute


def test_a_long_name_leaves_its_message_in_sight(suite):
    suite.write(
        "test_mine.py",
        """
        import pytest

        @pytest.mark.healthcheck
        @pytest.mark.parametrize("text", [1], ids=["x" * 500])
        def test_text(text):
            assert not text, "there is a text"
        """,
    )
    outcome = suite.run()
    (line,) = [line for line in outcome.output.splitlines() if line.startswith("FAILED")]
    assert line.startswith("FAILED  text[xxx")
    assert line.endswith("…  there is a text  (new)")
    assert len(line) < 150
    assert f"text[{'x' * 500}]" in outcome.checks
