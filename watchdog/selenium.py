"""Validates by itself: `driver = watched(webdriver.Firefox())`, and nothing more.

Every command that the browser answers validates it. A browser that hangs answers none, and the watchdog ends it:
the blocked call then raises the WebDriverException that the program knows.
"""

import logging
from typing import Any, TypeVar

from watchdog import main_process
from watchdog.session import Commands

log = logging.getLogger(__name__)
Driver = TypeVar("Driver")

# Where all commands of a driver pass: Selenium's connection to its driver, and marionette's client.
_HTTP, _MARIONETTE = "execute", "_send_message"


def watched(driver: Driver) -> Driver:
    """Make a WebDriver validate its browser now and whenever it answers a command; return the same driver.

    A browser that is not on this machine (a grid) is left alone, and the log says so.
    """
    inner = _unwrapped(driver)
    connection = getattr(inner, "command_executor", inner)
    method = next((name for name in (_HTTP, _MARIONETTE) if callable(getattr(connection, name, None))), None)
    kind = type(inner).__name__
    if method is None:
        log.warning("%s is no WebDriver, so nothing validates its browser: pass the driver itself", kind)
        return driver
    pid = browser_pid(inner)
    if pid is None:
        log.warning("the browser of %s is not found on this machine: it is not validated", kind)
        return driver
    commands = getattr(connection, method)
    if not isinstance(commands, Commands):
        commands = Commands(commands, service=_service_pid(inner))
        setattr(connection, method, commands)
    # Marionette's commands do not name their session: a client has one at a time.
    commands.add(inner.session_id if method == _HTTP else None, _capabilities(inner), pid)
    return driver


def browser_pid(driver: Any) -> int | None:
    """Return the pid of the browser's main process on this machine, None if there is none."""
    inner = _unwrapped(driver)
    is_marionette = not hasattr(inner, "command_executor")
    return main_process.find(_capabilities(inner), _service_pid(inner), is_local=is_marionette)


def _unwrapped(driver: Any) -> Any:
    """Return the driver that an EventFiringWebDriver passes its commands on to."""
    while getattr(driver, "wrapped_driver", None) is not None:
        driver = driver.wrapped_driver
    return driver


def _capabilities(driver: Any) -> dict[str, Any]:
    return getattr(driver, "capabilities", None) or getattr(driver, "session_capabilities", None) or {}


def _service_pid(driver: Any) -> int | None:
    return getattr(getattr(getattr(driver, "service", None), "process", None), "pid", None)
