"""What is remembered as secret is a fact of the process: each test here begins and ends with its own."""

import re

import pytest

from servermonitoring import scrubbing


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch):
    monkeypatch.setattr(scrubbing, "_remembered", set())
    monkeypatch.setattr(scrubbing, "_known", (0, re.compile("(?!)")))
