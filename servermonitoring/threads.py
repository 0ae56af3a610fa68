"""Daemon threads, where the system may have no more of them to give."""

import threading
from collections.abc import Callable


def start(function: Callable[..., object], *arguments: object, name: str) -> threading.Thread | None:
    """Start a daemon thread and return it; None where there is none to be had: then do without, or do it here."""
    thread = threading.Thread(target=function, args=arguments, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError:
        return None
    return thread
