import importlib
import sys

import pytest

from tests import ROOT


@pytest.fixture
def shared(monkeypatch):
    """Import a module that benchmarks share."""
    monkeypatch.setattr(sys, "path", [str(ROOT / "ci" / "benchmarks"), *sys.path])
    return importlib.import_module
