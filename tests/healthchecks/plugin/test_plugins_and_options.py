"""Plugins that are switched off or added, and options: refused before anything is contacted, or without effect."""

import pytest
from _pytest.config import default_plugins, essential_plugins

from tests.healthchecks.plugin.test_running import PORTS, table
from tests.reliability import reliability

ALIAS = PORTS.replace("import Target, probe, remaining", "import Target, probe as m, remaining").replace("@probe", "@m")
MARKED = """
    import pytest
    import socket
    pytestmark = pytest.mark.healthcheck

    def test_port():
        socket.create_connection(("127.0.0.1", {port}))
"""


@pytest.fixture
def ports(suite):
    suite.write("test_mine.py", PORTS)
    return suite


@reliability(
    "Plugins and options",
    fault="a plugin that checks need is switched off (-p no:html, no:terminal, no:skipping)",
    promise="the run is refused in one line, before anything is contacted",
)
@pytest.mark.parametrize("name", ["html", "terminal", "skipping"])
def test_needed_plugin_is_off(ports, greeter, name):
    ports.configure(table(greeter.port))
    outcome = ports.run("test_mine.py", "-p", f"no:{name}")
    assert outcome.status == 4
    assert f"run them without -p no:{name}" in outcome.output
    assert "Traceback" not in outcome.output
    assert "INTERNALERROR" not in outcome.output
    assert greeter.contacts == 0


@reliability(
    "Plugins and options",
    fault="any other plugin of pytest is switched off (-p no:logging, no:metadata, no:capture …)",
    promise="nothing changes",
)
def test_plugins_that_are_not_needed(ports, greeter):
    needed = {*essential_plugins, "python", "skipping", "terminal"}
    names = [*sorted({*default_plugins} - needed), "metadata", "xdist"]
    ports.configure(table(greeter.port) + table(1, "dead"))
    ordinary = facts(ports.run())
    together = [argument for name in names for argument in ("-p", f"no:{name}")]
    outcome = ports.run("test_mine.py", *together)
    assert outcome.status == 1, outcome.output
    assert facts(outcome) == ordinary


def facts(outcome):
    return {check: (each["status"], each["message"]) for check, each in outcome.checks.items()}


@reliability(
    "Plugins and options",
    fault="-n of pytest-xdist in any spelling, with checks that the text of no file mentions",
    promise="the run is refused in one line instead of hanging; nothing is contacted",
)
@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        (PORTS, ["-n", "2"]),
        (PORTS, ["--tx", "2*popen", "--dist", "load"]),
        (ALIAS, ["--numprocesses=1"]),
        (MARKED, ["-n1"]),
        (PORTS, ["--pyargs", "-n1", "mine.test_mine"]),
    ],
)
def test_workers_are_refused(suite, greeter, text, arguments):
    suite.has_xdist = True
    (suite.folder / "mine").mkdir()
    suite.write("mine/__init__.py", "")
    suite.write("mine/test_mine.py", text.replace("{port}", str(greeter.port)))
    suite.configure(table(greeter.port) if text != MARKED else "")
    suite.environment["PYTHONPATH"] = str(suite.folder)
    outcome = suite.run(*arguments, *([] if "--pyargs" in arguments else ["mine"]))
    assert outcome.status == 4, outcome.output
    assert "ERROR: health checks run side by side already: run them without -n" in outcome.output
    assert "Traceback" not in outcome.output
    assert greeter.contacts == 0


def test_workers_by_environment(ports, greeter):
    ports.has_xdist = True
    ports.configure(table(greeter.port))
    ports.environment["PYTEST_ADDOPTS"] = "-n 1"
    assert ports.run().status == 4
    assert greeter.contacts == 0
    ports.environment["PYTEST_ADDOPTS"] = "--dist=load"
    assert ports.run().status == 0


@reliability(
    "Plugins and options",
    fault="an option that only shows something (--fixtures, --setup-plan, --collect-only …)",
    promise="no target is contacted, and nothing is written",
)
@pytest.mark.parametrize(
    "option",
    ["--fixtures", "--fixtures-per-test", "--setup-plan", "--setup-only", "--collect-only", "--markers", "--help"],
)
def test_options_that_only_show(ports, hole, option):
    ports.configure(table(hole.port, timeout=60))
    outcome = ports.run("test_mine.py", option)
    assert outcome.status == 0, outcome.output
    assert hole.contacts == 0
    assert not ports.state.exists()
    assert not ports.page.exists()


@reliability(
    "Plugins and options",
    fault="a plugin or a strict setting refuses the run when collection is finished",
    promise="status 4, and no target was contacted",
)
def test_refusal_after_collection(ports, hole):
    ports.configure(table(hole.port, timeout=60))
    ports.write("pytest.ini", "[pytest]\nno_such_option = 1\n")
    assert ports.run("test_mine.py", "--strict-config").status == 4
    ports.write("pytest.ini", "[pytest]\n")
    ports.write(
        "conftest.py",
        """
        import pytest

        def pytest_collection_finish():
            raise pytest.UsageError("not today")
        """,
    )
    outcome = ports.run()
    assert outcome.status == 4
    assert "not today" in outcome.output
    assert hole.contacts == 0
    assert not ports.page.exists()


@reliability(
    "Plugins and options",
    fault="-x, --maxfail, --stepwise or pytest.exit() cuts a run",
    promise="page and status.json say so, and of how many checks no result is there; the exit status is pytest's",
)
@pytest.mark.parametrize(
    ("arguments", "status", "without_result"),
    [
        (["-x"], 1, 2),
        (["--maxfail=2"], 1, 1),
        (["--stepwise", "-p", "cacheprovider", "-p", "stepwise"], 2, 2),
        (["--maxfail=3"], 1, 0),
        (["-p", "leaves"], 7, 2),
    ],
)
def test_cut(ports, arguments, status, without_result):
    hook = "def pytest_runtest_logfinish():\n    pytest.exit('enough', 7)"
    ports.write("leaves.py", f"import pytest\n{hook}\n")
    ports.environment["PYTHONPATH"] = str(ports.folder)
    ports.configure("".join(table(1, f"n{number}") for number in range(3)))
    outcome = ports.run("test_mine.py", *arguments)
    assert outcome.status == status, outcome.output
    assert outcome.document["interrupted"] is (without_result > 0)
    page = (ports.page / "index.html").read_text()
    assert ("cut off after" in page) is (without_result > 0)
    if without_result:
        assert f"{without_result} of 3 checks have no result" in outcome.output
    assert outcome.document["without_result"] == without_result


@pytest.mark.parametrize(
    "arguments",
    [
        ["-o", "log_cli=1", "--log-cli-level=DEBUG", "--tb=long", "-s", "-l", "--full-trace"],
        ["-q", "-q", "--no-header", "--no-summary", "--capture=sys"],
        ["--strict-markers", "-o", "xfail_strict=1", "-o", "strict=true", "--assert=plain", "-W", "error"],
        ["-p", "cacheprovider", "--lf", "--ff", "--nf", "--cache-clear"],
        ["--durations=0", "-rA", "--color=yes", "-vv", "--capture=tee-sys", "--force-short-summary"],
        ["--import-mode=importlib", "--basetemp=tmp", "--deselect=test_mine.py::test_none"],
        ["--import-mode=append", "--continue-on-collection-errors", "--pythonwarnings=always", "-ra"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_options_change_no_result(suite, greeter, arguments):
    suite.write("test_mine.py", PORTS.replace("return connection", "logging.error('to be seen'); return connection"))
    suite.write("test_mine.py", "import logging\n" + (suite.folder / "test_mine.py").read_text())
    suite.configure(table(greeter.port) + table(1, "dead"))
    expected = {
        "port_word[one]": ("ok", ""),
        "port_word[dead]": ("failed", "ConnectionRefusedError: [Errno 111] Connection refused"),
    }
    outcome = suite.run("test_mine.py", *arguments)
    assert outcome.status == 1, outcome.output
    assert facts(outcome) == expected, outcome.output
    assert "INTERNALERROR" not in outcome.output
    assert outcome.document["interrupted"] is False


@reliability(
    "Plugins and options",
    fault="-W error makes an exception of a warning in a check",
    promise="the check is an error, with its traceback: it does not say that the service is bad",
)
def test_warning_as_error(suite):
    text = """
        import warnings
        import pytest

        @pytest.mark.healthcheck
        def test_old():
            warnings.warn("use the new one", DeprecationWarning)
    """
    suite.write("test_mine.py", text)
    outcome = suite.run("test_mine.py", "-W", "error")
    assert outcome.status == 1
    entry = outcome.checks["old[]"]
    assert (entry["status"], entry["message"]) == ("error", "DeprecationWarning: use the new one")


@reliability(
    "Plugins and options",
    fault="pytest-rerunfailures runs a check again until it passes",
    promise="the last of its tries is the result, in all outputs",
)
def test_reruns_of_others(suite):
    """By a plugin that does what pytest-rerunfailures 16.7 does: report a try as "rerun", and run the test again."""
    suite.write(
        "conftest.py",
        """
        from _pytest.runner import runtestprotocol

        def pytest_runtest_protocol(item, nextitem):
            for tries_left in (2, 1, 0):
                item._initrequest()
                reports = runtestprotocol(item, nextitem=nextitem, log=False)
                failed = [each for each in reports if each.failed]
                for each in failed if tries_left else ():
                    each.outcome = "rerun"
                for each in reports:
                    item.ihook.pytest_runtest_logreport(report=each)
                if not failed:
                    return True
        """,
    )
    suite.write(
        "test_mine.py",
        """
        from pathlib import Path
        import pytest

        @pytest.mark.healthcheck
        def test_flaky():
            with Path("tries").open("a") as tries:
                tries.write("x")
            assert Path("tries").stat().st_size == 3, "not yet"
        """,
    )
    outcome = suite.run()
    assert outcome.status == 0, outcome.output
    assert outcome.checks["flaky[]"]["status"] == "ok"
