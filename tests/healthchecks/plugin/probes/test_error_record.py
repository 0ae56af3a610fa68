"""What a probe raised is raised again in another process."""

import errno
import pickle
import threading
from functools import partial
from pathlib import Path

import psycopg2
import pytest
import requests
from selenium.common.exceptions import WebDriverException

from healthchecks import CheckError, ProbeTimeout, Unhealthy
from healthchecks.plugin.outcome import describe, is_broken
from healthchecks.plugin.probes.error_record import ErrorRecord
from healthchecks.plugin.result import NotProbed
from healthchecks.plugin.stage import AbandonedError
from servermonitoring.configuration import ConfigurationError, Problem


def crossed(error):
    """Return the error as another process gets it."""
    return pickle.loads(pickle.dumps(ErrorRecord.of(error), 5)).restore()


class OwnError(Unhealthy):
    """Its `args` are not its arguments."""

    def __init__(self, host, code):
        super().__init__(f"{host} says {code}")
        self.host, self.code = host, code
        self.lock = threading.Lock()


class StrangeError(Exception):
    def __init__(self):
        super().__init__(partial(print), {"a": 1})

    def __str__(self):
        return "strange"


class RudeError(Exception):
    def __str__(self):
        raise ValueError("no text")

    def __new__(cls, *_):
        if sealed:
            raise RuntimeError("no more of them")
        return super().__new__(cls)


sealed = False


def _of_a_function():
    class LocalError(CheckError):
        pass

    return LocalError("made within a function", "line 3")


ERRORS = [
    Unhealthy("status 503"), ProbeTimeout(), ProbeTimeout("no response within 4 s"), CheckError("mistake"),
    CheckError("mistake", "line 1: mistake\nhint: none"), NotProbed("not probed"), AbandonedError("setup", "details"),
    pytest.skip.Exception("not here", _use_item_location=True), pytest.fail.Exception("bad", pytrace=False),
    pytest.xfail.Exception("known"), pytest.exit.Exception("over", 3), AssertionError("1 is not 2"), AssertionError(),
    KeyError("key"), OSError(errno.EMFILE, "Too many open files"), ConnectionRefusedError(111, "refused"),
    KeyboardInterrupt(), psycopg2.OperationalError("FATAL: no"), requests.ConnectionError("no route"),
    WebDriverException("chrome not reachable"), OwnError("db1", 7), ConfigurationError(Path("a"), [Problem("b", "c")]),
    ValueError(Path("/a")), TypeError("an argument"), RecursionError(), MemoryError(),
]  # fmt: skip


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_class_text_and_attributes(error):
    copy = crossed(error)
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    plain = {name: value for name, value in vars(error).items() if isinstance(value, str | int | None)}
    assert vars(copy) == plain
    assert getattr(copy, "errno", None) == getattr(error, "errno", None)
    assert (describe(copy), is_broken(copy)) == (describe(error), is_broken(error))


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(_of_a_function(), id="local"),
        pytest.param(StrangeError(), id="strange"),
        pytest.param(RudeError(), id="rude"),
        pytest.param(ExceptionGroup("several", [ValueError("one")]), id="group"),
        pytest.param(UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), id="unicode"),
    ],
)
def test_classes_that_cannot_be_made_again(error, monkeypatch):
    """The status and the message stay the same."""
    message, broken, name = describe(error), is_broken(error), type(error).__name__
    monkeypatch.setattr(f"{__name__}.sealed", True)
    copy = crossed(error)
    assert (describe(copy), is_broken(copy), type(copy).__name__) == (message, broken, name)


def test_details_of_a_class_within_a_function():
    copy = crossed(_of_a_function())
    assert isinstance(copy, CheckError)
    assert copy.details == "line 3"


@pytest.mark.parametrize(
    "error",
    [
        Unhealthy("x" * 50_000_000),
        OSError(5, "x" * 50_000_000),
        ValueError(*(f"{each}{'x' * 9_000}" for each in range(999))),
    ],
)
def test_size(error):
    """A peer may send 50 MB of a reason, and it is in the text."""
    assert len(pickle.dumps(ErrorRecord.of(error), 5)) < 400_000
    assert crossed(error).args


def test_response_of_requests_is_not_read():
    """Pickle itself would read the response of an error to its end, which may never come."""
    response = requests.Response()
    response.raw = None  # reading it raises
    copy = crossed(requests.HTTPError("503 Server Error", response=response))
    assert (type(copy), str(copy)) == (requests.HTTPError, "503 Server Error")
