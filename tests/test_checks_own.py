"""docs/checks-own.md: its files run as they stand, and its tables and names are true."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests import ROOT
from tests.reliability import reliability

TEXT = (ROOT / "docs" / "checks-own.md").read_text()
FILES = dict(re.findall(r"<!-- file: (\S+) -->\n+```python\n(.*?)```", TEXT, re.DOTALL))
TOKEN = "token-of-the-test"


class Shop(BaseHTTPRequestHandler):
    def do_GET(self):
        allowed = self.headers["Authorization"] == f"Bearer {TOKEN}"
        self.send_response(200 if allowed else 403)
        self.end_headers()
        self.wfile.write(json.dumps({"waiting": 7}).encode())
        self.server.visits.append(self.path)

    def log_message(self, *_):
        """Nothing."""


@pytest.fixture
def shop():
    with ThreadingHTTPServer(("127.0.0.1", 0), Shop) as server:
        server.visits = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def documented(suite, shop):
    """The files of the page, and a second one that asks for the shared probe."""
    (suite.folder / "mychecks").mkdir()
    for name, text in FILES.items():
        (suite.folder / name).write_text(text)
    (suite.folder / "mychecks" / "test_more.py").write_text(
        FILES["mychecks/test_orders.py"].replace("test_orders_waiting", "test_orders_paid")
    )
    url = f"http://127.0.0.1:{shop.server_port}/"
    tables = f'[orders.shop]\nurl = "{url}"\ntoken = "{TOKEN}"\n[orders.small]\nurl = "{url}small"\ntoken = "{TOKEN}"\n'
    suite.configure(f'[run]\nchecks = ["mychecks"]\n{tables}max_waiting = 2\n')
    return suite


@reliability(
    "Authors",
    fault="an author shares a probe between files, parametrizes, or compares with a setting",
    promise="docs/checks-own.md shows how, by files that run as they stand",
)
def test_the_files_run_as_they_stand(documented, shop):
    outcome = documented.run("--pyargs", "healthchecks", "-k", "orders or version")
    assert {name: each["status"] for name, each in outcome.checks.items()} == {
        "orders_waiting[shop]": "ok", "orders_paid[shop]": "ok",
        "orders_waiting[small]": "failed", "orders_paid[small]": "failed",
        "version[git]": "ok", "version[tar]": "ok",
    }  # fmt: skip
    assert outcome.checks["orders_waiting[small]"]["message"] == "7 orders wait, at most 2"
    assert sorted(shop.visits) == ["/", "/small"], "a shared probe is made once"
    assert TOKEN not in outcome.output


RAISED = """
    import os
    import sys
    import pytest
    from healthchecks import CheckError, Unhealthy

    def broken():
        raise CheckError("why")

    def unhealthy():
        raise Unhealthy("why")

    def interrupt():
        raise KeyboardInterrupt

    CALLS = {
        "Unhealthy": unhealthy, "OSError": lambda: open("/no/such"), "ValueError": lambda: int("x"),
        "pytest.fail": lambda: pytest.fail("why"), "CheckError": broken, "TypeError": lambda: len(5),
        "AttributeError": lambda: (5).nothing, "NameError": lambda: nothing, "LookupError": lambda: {}["x"],
        "ImportError": lambda: __import__("nothing_of_that_name"), "ArithmeticError": lambda: 1 / 0,
        "pytest.skip": lambda: pytest.skip("why"), "sys.exit": lambda: sys.exit(1),
        "pytest.exit": lambda: pytest.exit("why"), "KeyboardInterrupt": interrupt, "os._exit": lambda: os._exit(0),
    }

    @pytest.mark.healthcheck
    @pytest.mark.parametrize("name", CALLS)
    def test_raises(name):
        CALLS[name]()
"""


@reliability(
    "Authors",
    fault="a check raises one exception or another",
    promise="docs/checks-own.md has a table of which are failed, error and skipped, and it is true",
)
def test_the_table_of_what_happens(suite):
    """What is in a row of it has the status of that row."""
    suite.write("test_mine.py", RAISED)
    found = suite.run().checks
    rows = re.findall(r"^\| (.*?) \| (failed|error|skipped) \|$", TEXT, re.MULTILINE)
    names = {name: status for row, status in rows for name in re.findall(r"`([\w.]+)[`(]", row)}
    statuses = {key: each["status"] for key, each in found.items()}
    assert {f"raises[{name}]": names[name] for name in re.findall(r'"([\w.]+)": ', RAISED)} == statuses
    assert {f"raises[{name}]" for name in names} - {"raises[assert]", "raises[xfail]"} == statuses.keys()


OTHER = """
    import ctypes
    import os
    import signal
    import time
    import pytest
    from healthchecks import Target, probe

    class Thing(Target):
        pass

    @probe
    def generated(thing: Thing):
        yield 1

    @probe
    def skipped(thing: Thing):
        pytest.skip("why")

    @pytest.fixture
    def failing():
        open("/no/such")

    @pytest.fixture
    def untidy():
        yield
        open("/no/such")

    def test_generator(thing, generated): pass

    def test_skips(thing, skipped): pass

    @pytest.mark.healthcheck
    class TestOther:
        def test_asserts(self): assert False

        def test_raises(self): raise EOFError

        @pytest.mark.healthcheck(timeout="1s")
        def test_hangs(self): time.sleep(600)

        def test_grows(self): bytearray(600_000_000)

        def test_crashes(self): ctypes.string_at(0)

        def test_is_killed(self): os.kill(os.getpid(), signal.SIGKILL)

        def test_setup(self, failing): pass

        def test_teardown(self, untidy): pass

        def test_returns(self): return 1

        @pytest.mark.xfail
        def test_expected(self): assert False

        @pytest.mark.xfail(strict=True)
        def test_unexpected(self): pass
"""
PARTS = {
    "asserts[]": "`assert` fails", "raises[]": "another exception is raised", "hangs[]": "the timeout expires",
    "grows[]": "more memory is used than `[run] worker_memory`", "crashes[]": "a crash in a library",
    "is_killed[]": "the kernel's OOM killer", "setup[]": "a fixture", "teardown[]": "the teardown fails",
    "returns[]": "the test returns a value",
    "generator[one]": "the probe is a generator", "skips[one]": "also in a probe", "expected[]": "`xfail` that fails",
    "unexpected[]": "`xfail(strict=True)` that passes",
}  # fmt: skip


def test_the_rest_of_the_table(suite):
    """What is no exception by its name; no part of the table is left out."""
    suite.write("test_mine.py", OTHER)
    suite.configure("[thing.one]\n")
    statuses = {key: each["status"] for key, each in suite.run().checks.items()}
    rows = re.findall(r"^\| (.*?) \| (failed|error|skipped) \|$", TEXT, re.MULTILINE)
    parts = {part: status for row, status in rows for part in re.split(r"; | or |, (?=also)", row)}
    assert statuses == {check: next(parts[each] for each in parts if part in each) for check, part in PARTS.items()}
    names = re.findall(r'"([\w.]+)": ', RAISED)
    assert [part for part in parts if not any(each in part for each in (*PARTS.values(), *names))] == []
