"""Daemon threads, which the system may refuse, and calls with a timeout."""

import threading
from collections.abc import Callable
from typing import TypeVar


def start(function: Callable[..., object], *arguments: object, name: str) -> threading.Thread | None:
    """Start a daemon thread and return it; None if the system refuses: then the caller does without it."""
    thread = threading.Thread(target=function, args=arguments, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError:
        return None
    return thread


T = TypeVar("T")


def bounded(call: Callable[[], T], seconds: float) -> T:
    """Return or raise what the call does. Raise TimeoutError after `seconds`; its thread is then left behind."""
    outcome: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(call())
        except BaseException as error:  # noqa: BLE001 - raised again in the caller
            errors.append(error)

    thread = start(run, name="healthchecks-bounded")
    if thread is None:  # then without a timeout
        return call()
    thread.join(seconds)
    if thread.is_alive():
        raise TimeoutError(f"no response within {seconds:g} s")
    if errors:
        raise errors[0]
    return outcome[0]
