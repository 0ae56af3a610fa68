"""What a probe may return and raise: anything that can be pickled, up to a size; the test gets it as it was."""

import re

import pytest

from tests.healthchecks.plugin.probes.neighbours import harm, probed
from tests.reliability import reliability

UNPICKLABLE = {
    "lock": "return threading.Lock()",
    "lambda": "return lambda: None",
    "socket in a list": "return [socket.socket()]",
    "fails to be pickled": "return Odd()",
}
ODD = """
class Odd:
    def __reduce__(self):
        raise SystemExit
"""
ANSWERS = """
import dataclasses, datetime, enum


class Colour(enum.Enum):
    RED = 1


@dataclasses.dataclass(frozen=True)
class Answer:
    number: float
    colour: Colour
    time: datetime.datetime
    inner: tuple = ()


class Refused(Exception):
    def __init__(self, name, code):
        super().__init__(f"{name} refused with {code}")
        self.code = code
"""
RETURNS = """
ANSWER = Answer(0.5, Colour.RED, datetime.datetime.now(datetime.UTC), ({"a": b"bytes"}, {1, 2}, None))


@probe
def contact_harm(harm: Harm):
    return ANSWER


def test_harm(harm, contact_harm):
    assert contact_harm == ANSWER
    assert contact_harm.colour is Colour.RED
"""


@reliability(
    "Authors",
    fault="a probe returns what cannot be pickled: a lock, a lambda, a socket",
    promise="it is an error that names the probe and says so; every other check is recorded and alerted",
)
@pytest.mark.parametrize("value", UNPICKLABLE)
def test_unpicklable_value(neighbours, value):
    outcome = neighbours.run(ODD + probed(UNPICKLABLE[value]))
    assert harm(outcome)["status"] == "error", outcome.output
    assert "contact_harm" in harm(outcome)["message"]
    assert "pickle" in harm(outcome)["message"]


@reliability(
    "Authors",
    fault="a probe returns a value of 100 MB",
    promise="it is an error that says how large a value may be; every other check is recorded and alerted",
)
def test_large_value(neighbours):
    outcome = neighbours.run(probed("return b'x' * 100_000_000"))
    assert harm(outcome)["status"] == "error", outcome.output
    assert "contact_harm" in harm(outcome)["message"]
    assert re.search(r"\d [kM]B\b", harm(outcome)["message"])


def test_value_is_as_it_was(neighbours):
    outcome = neighbours.run(ANSWERS + RETURNS)
    assert harm(outcome)["status"] == "ok", outcome.output


def test_value_of_a_megabyte(neighbours):
    check = probed("return os.urandom(1_000_000)").replace("    pass", "    assert len(contact_harm) == 1_000_000")
    assert harm(neighbours.run(check))["status"] == "ok"


@reliability(
    "Authors",
    fault="a probe raises an exception of its own that can be pickled and not be read again, or that holds a lock",
    promise="the check has its status and message",
)
@pytest.mark.parametrize("held", ["red", "threading.Lock()"])
def test_exception_of_its_own(neighbours, held):
    body = f"""
        error = Refused("shop", 7)
        error.held = {held!r} if {held!r} == "red" else threading.Lock()
        raise error
    """
    outcome = neighbours.run(ANSWERS + probed(body))
    assert harm(outcome)["status"] == "failed", outcome.output
    assert "shop refused with 7" in harm(outcome)["message"]
