"""A call that may hang, such as one to a file system that does not answer, under a limit of time."""

from collections.abc import Callable
from typing import TypeVar

from servermonitoring import threads

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

    thread = threads.start(run, name="healthchecks-bounded")
    if thread is None:  # then without a limit: better than not at all
        return call()
    thread.join(seconds)
    if thread.is_alive():
        raise TimeoutError(f"no answer within {seconds:g} s")
    if errors:
        raise errors[0]
    return outcome[0]
