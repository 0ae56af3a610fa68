"""What is remembered as secret is a fact of the process: each test here begins and ends with its own."""

import pytest

from servermonitoring import known_secrets
from servermonitoring.known_secrets import Words


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch):
    for name in ("_anywhere", "_alone"):
        monkeypatch.setattr(known_secrets, name, Words(getattr(known_secrets, name).form))
