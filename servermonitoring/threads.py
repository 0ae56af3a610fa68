"""Daemon threads, where the system may refuse them, and calls that may hang, under a limit of time."""

import threading
from collections.abc import Callable
from typing import TypeVar


def start(function: Callable[..., object], *arguments: object, name: str) -> threading.Thread | None:
    """Start a daemon thread and return it; None where there is none to be had: then do without, or do it here."""
    thread = threading.Thread(target=function, args=arguments, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError:
        return None
    return thread


T = TypeVar("T")


def bounded(call: Callable[[], T], seconds: float) -> T:
    """What the call gives or raises. TimeoutError when it takes longer: its thread is then left behind."""
    outcome: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(call())
        except BaseException as error:  # noqa: BLE001 - raised again in the caller
            errors.append(error)

    thread = start(run, name="healthchecks-bounded")
    if thread is None:  # then without a limit: better than not at all
        return call()
    thread.join(seconds)
    if thread.is_alive():
        raise TimeoutError(f"no answer within {seconds:g} s")
    if errors:
        raise errors[0]
    return outcome[0]
