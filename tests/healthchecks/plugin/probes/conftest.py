"""Fixtures of the tests of the engine."""

import pytest

from tests.healthchecks.plugin.probes.neighbours import Neighbours


@pytest.fixture
def neighbours(suite, website, hole):
    return Neighbours(suite, website, hole.port)
