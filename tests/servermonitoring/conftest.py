"""What is remembered as secret is a fact of the process: each test here begins and ends with its own."""

import pytest

from servermonitoring import scrubbing
from servermonitoring.scrubbing import Words


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch):
    for name in ("_anywhere", "_alone"):
        monkeypatch.setattr(scrubbing, name, Words(getattr(scrubbing, name).form))
