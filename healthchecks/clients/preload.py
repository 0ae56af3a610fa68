"""Clients that are loaded with the first target of their kind: after its probe has started, the time would count."""

import contextlib
from importlib import import_module


def preload(module: str) -> None:
    """Import a module, for a target that was just read; where that fails, the probe has the error once more."""
    with contextlib.suppress(Exception):  # not an error of the configuration, whatever it raises
        import_module(module)
