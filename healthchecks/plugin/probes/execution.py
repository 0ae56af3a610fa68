"""Calls what an author wrote, to its end: also what is `async`; refuses what never ran or returned a value."""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from healthchecks.plugin.probes.context import remaining
from healthchecks.plugin.result import CheckError


def execute(function: Callable[[], Any]) -> Any:
    """Return what the function gives in the end. Raise CheckError for a generator, of which nothing has run yet.

    What it awaits runs in an event loop of its own in this thread, and is cancelled when the timeout expires.
    """
    value = function()
    if inspect.isawaitable(value):
        import asyncio

        value = asyncio.run(_awaited(value))
    if inspect.isgenerator(value) or inspect.isasyncgen(value):
        raise CheckError(f"{value.__name__}() is a generator, so nothing in it ran: return instead of yield")
    return value


def execute_test(function: Callable[[], Any]) -> None:
    """Run a test function to its end. Raise CheckError for one that returns a value."""
    refuse_value(execute(function))


def refuse_value(value: object) -> None:
    """Raise CheckError for what a test returned: nobody reads it."""
    if value is not None:
        raise CheckError(f"the test returned a value of type {type(value).__name__}: use assert instead of return")


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    import asyncio

    return await asyncio.wait_for(awaitable, remaining())
