"""Clients of the checks: bounded whatever the peer does, with one message for each fault."""

import contextlib
from importlib import import_module


def preload(module: str) -> None:
    """Import a module, for a target that was just read: after its probe has started, the time would count.

    Where that fails, the probe has the error once more.
    """
    with contextlib.suppress(Exception):  # not an error of the configuration, whatever it raises
        import_module(module)
