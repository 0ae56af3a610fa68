"""A receiver of alerts; and what is remembered as secret, a fact of the process: each test here has its own."""

import pytest

from servermonitoring import scrubbing
from servermonitoring.scrubbing import Words
from tests.servers.relay import Relay


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch):
    for name in ("_anywhere", "_alone"):
        monkeypatch.setattr(scrubbing, name, Words(getattr(scrubbing, name).form))


@pytest.fixture
def receiver():
    """Takes everything."""
    with Relay("http://user@127.0.0.1:1/x") as relay:
        relay.answer(202)
        yield relay
