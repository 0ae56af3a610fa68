"""Validates by itself: `driver = watched(webdriver.Firefox())`, and nothing more.

Every command that the browser answers validates it. A browser that hangs answers none, and the watchdog ends it:
the blocked call then raises the WebDriverException that the program knows.
"""

import json
import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

from watchdog import main_process
from watchdog.validation import validate_process

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


_INTERVAL = 5.0  # seconds between two records
_STARTS = {"newSession", "WebDriver:NewSession"}
_ENDS = {"quit", "deleteSession", "WebDriver:DeleteSession", "Marionette:Quit"}
_LOADS = {
    "get", "refresh", "goBack", "goForward",
    "WebDriver:Navigate", "WebDriver:Refresh", "WebDriver:Back", "WebDriver:Forward",
}  # fmt: skip
# chromedriver answers these though every process of the browser is stopped, and after a window is closed there may
# be no browser.
_SAY_NOTHING = {
    "setTimeouts", "getTimeouts", "getAvailableLogTypes", "w3cGetCurrentWindowHandle", "status",
    "close", "WebDriver:CloseWindow", "WebDriver:CloseChromeWindow",
}  # fmt: skip
# Errors that only the page can have found.
_ANSWERS = {
    "detached shadow root", "element click intercepted", "element not accessible", "element not interactable",
    "insecure certificate", "invalid element state", "invalid selector", "javascript error",
    "move target out of bounds", "no such cookie", "no such element", "no such shadow root",
    "stale element reference", "unexpected alert open",
}  # fmt: skip
# Errors of commands that waited for a page: a site that is slow or down causes them as well as a browser that hangs.
_DOUBTFUL = {"timeout", "unknown error"}
_ROOT = {"using": "xpath", "value": "/*"}  # an element that every page has


class Browser:
    """The browser of one session."""

    def __init__(self, capabilities: dict[str, Any], pid: int) -> None:
        self._pid = pid
        self._due = 0.0  # on the monotonic clock
        self.loads_wait = capabilities.get("pageLoadStrategy") != "none"

    def is_due(self, command: str) -> bool:
        """Whether an answer to this command shows that the browser works, and the last record is old enough."""
        shows = command not in _SAY_NOTHING and (self.loads_wait or command not in _LOADS)
        return shows and time.monotonic() >= self._due

    def validate(self) -> None:
        self._due = time.monotonic() + _INTERVAL
        validate_process(self._pid)


class Commands:
    """Stands for the method that sends the commands of a driver, and validates the browser that answered."""

    def __init__(self, send: Callable[..., Any], service: int | None) -> None:
        self._send = send
        self._service = service  # pid of chromedriver or geckodriver
        self._browsers: dict[str | None, Browser] = {}  # by session id; one connection may have many sessions

    def add(self, session: str | None, capabilities: dict[str, Any], pid: int) -> None:
        """Validate the browser of this session now, and whenever it answers."""
        self._browsers[session] = Browser(capabilities, pid)
        self._browsers[session].validate()

    def __call__(self, command: str, params: Any = None, *more: Any, **named: Any) -> Any:
        """Send the command and return its response."""
        session = params.get("sessionId") if isinstance(params, dict) else None  # Selenium takes it out
        try:
            response = self._send(command, params, *more, **named)
        except Exception as error:
            status = getattr(error, "status", None)  # of marionette's errors
            if isinstance(status, str):
                self._judge(command, session, status)
            raise
        if command in _STARTS:
            self._start(response)
        elif command in _ENDS:
            self._browsers.pop(session, None)
        else:
            self._judge(command, session, _error(response))
        return response

    def _start(self, response: Any) -> None:
        """Find the browser of a new session: `start_session()` after `quit()` starts another one."""
        is_marionette = isinstance(response, dict) and "capabilities" in response
        value = response if is_marionette else _value(response)
        if not isinstance(value, dict) or not isinstance(value.get("capabilities"), dict):
            return  # the session was not created, and the program gets the error
        pid = main_process.find(value["capabilities"], self._service, is_local=is_marionette)
        if pid is None:
            log.warning("the browser of a new session is not found on this machine: it is not validated")
            return
        self.add(None if is_marionette else value.get("sessionId"), value["capabilities"], pid)

    def _judge(self, command: str, session: str | None, error: str | None) -> None:
        browser = self._browsers.get(session)
        if browser is None or not browser.is_due(command):
            return
        is_doubtful = error in _DOUBTFUL and browser.loads_wait
        if error is None or error in _ANSWERS or (is_doubtful and self._answers(command, session)):
            browser.validate()

    def _answers(self, command: str, session: str | None) -> bool:
        """Ask the page something that no site delays; a page that hangs delays it, as any command to it."""
        try:
            if ":" in command:
                self._send("WebDriver:FindElement", dict(_ROOT))
                return True
            return _error(self._send("findElement", {**_ROOT, "sessionId": session})) is None
        except Exception as error:  # noqa: BLE001 - the program gets the error of its own command
            log.debug("the browser does not answer: %s", error)
            return False


def _value(response: Any) -> Any:
    """Return the value in a response of Selenium's connection."""
    return response.get("value") if isinstance(response, dict) else None


def _error(response: Any) -> str | None:
    """Return the error code in a response, None if it is none."""
    if not isinstance(response, dict) or not response.get("status"):
        return None
    value = _value(response)
    try:
        value = json.loads(value) if isinstance(value, str) else value
        return str(value.get("value", value)["error"])
    except (ValueError, AttributeError, KeyError, TypeError):
        return "not an error of WebDriver"
