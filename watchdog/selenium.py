"""Validates by itself: `driver = watched(webdriver.Firefox())`, and nothing more.

Every page load that comes to its end validates the browser. A page that hangs does not, and the watchdog
ends the browser: the blocked call then raises the WebDriverException that the program knows.
"""

import functools
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from watchdog import processes
from watchdog.validation import validate_process

log = logging.getLogger(__name__)
Driver = TypeVar("Driver")

# Selenium's, and marionette's where they have other names.
_LOADS = ("get", "refresh", "back", "forward", "navigate", "go_back", "go_forward")


def watched(driver: Driver) -> Driver:
    """Make a WebDriver validate its browser now and after every page load; give the same driver back.

    A browser that is not on this machine (a grid) is left alone, and the log says so.
    """
    pid = browser_pid(driver)
    if pid is None:
        log.warning("the browser of %s is not on this machine: it is not validated", type(driver).__name__)
        return driver
    validate_process(pid)
    for name in _LOADS:
        load = getattr(driver, name, None)
        if callable(load):
            setattr(driver, name, _validating(load, pid))
    return driver


def browser_pid(driver: Any) -> int | None:
    """The pid of the browser's main process on this machine, None if there is none."""
    capabilities = getattr(driver, "capabilities", None) or getattr(driver, "session_capabilities", None) or {}
    told = capabilities.get("moz:processID")
    if isinstance(told, int):
        return told if _local(driver, told) else None
    service = getattr(getattr(driver, "service", None), "process", None)
    return None if service is None else next(_browsers_below(service.pid), None)


def _local(driver: Any, pid: int) -> bool:
    """A grid tells the pid on its own machine: it means nothing here."""
    return hasattr(driver, "service") or not hasattr(driver, "command_executor") or _mine(pid)


def _mine(pid: int) -> bool:
    return processes.user(pid) == os.getuid() and "firefox" in " ".join(processes.arguments(pid)[:1])


def _browsers_below(driver: int) -> Iterator[int]:
    """Processes below chromedriver that are a browser's main one: its others have a --type."""
    for child in _children(driver):
        arguments = processes.arguments(child)
        if any(each.startswith("--user-data-dir") for each in arguments) and not any(
            each.startswith("--type=") for each in arguments
        ):
            yield child
        yield from _browsers_below(child)


def _children(pid: int) -> list[int]:
    found = (processes.look(int(each.name)) for each in Path("/proc").iterdir() if each.name.isdigit())
    return [process.pid for process in found if process is not None and process.parent == pid]


def _validating(load: Callable[..., Any], pid: int) -> Callable[..., Any]:
    @functools.wraps(load)
    def loaded(*args: Any, **kwargs: Any) -> Any:
        result = load(*args, **kwargs)
        validate_process(pid)
        return result

    return loaded
