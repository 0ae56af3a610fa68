"""Automatic validation of a driven browser: `driver = watched(webdriver.Firefox())`, and nothing more.

Every command that the browser responds to validates it. A browser that hangs does not respond, and the watchdog kills
it: the blocked call then raises a WebDriverException, which the program handles already.

The browser's main process is found by the capabilities of the WebDriver session.
"""

import contextlib
import json
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from watchdog import processes
from watchdog.processes import Process
from watchdog.validation import validate_process

log = logging.getLogger(__name__)
Driver = TypeVar("Driver")
# Methods through which all commands pass: of Selenium's connection to its driver, and of marionette's client.
_HTTP, _MARIONETTE = "execute", "_send_message"


def watched(driver: Driver) -> Driver:
    """Make a WebDriver validate its browser now and at each response to a command; return the same driver.

    A browser that is not on this machine (a grid) is not validated, and a warning is logged.
    """
    inner = _unwrapped(driver)
    connection = getattr(inner, "command_executor", inner)
    method = next((name for name in (_HTTP, _MARIONETTE) if callable(getattr(connection, name, None))), None)
    kind = type(inner).__name__
    if method is None:
        log.warning("%s is not a WebDriver, so its browser is not validated: pass the driver itself", kind)
        return driver
    pid = browser_pid(inner)
    if pid is None:
        log.warning("the browser of %s was not found on this machine: it is not validated", kind)
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
    return _find_main_process(_capabilities(inner), _service_pid(inner), is_local=is_marionette)


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
# chromedriver responds to these by itself, even if every process of the browser is stopped; and after a window is
# closed there may be no browser.
_WITHOUT_BROWSER = {
    "setTimeouts", "getTimeouts", "getAvailableLogTypes", "w3cGetCurrentWindowHandle", "status",
    "close", "WebDriver:CloseWindow", "WebDriver:CloseChromeWindow",
}  # fmt: skip
# Errors that only the page can have found.
_PAGE_ERRORS = {
    "detached shadow root", "element click intercepted", "element not accessible", "element not interactable",
    "insecure certificate", "invalid element state", "invalid selector", "javascript error",
    "move target out of bounds", "no such cookie", "no such element", "no such shadow root",
    "stale element reference", "unexpected alert open",
}  # fmt: skip
# Errors of commands that waited for a page: both a slow site and a hung browser cause them.
_AMBIGUOUS_ERRORS = {"timeout", "unknown error"}
_ROOT = {"using": "xpath", "value": "/*"}  # an element that every page has


class DrivenBrowser:
    """The browser of one session."""

    def __init__(self, capabilities: dict[str, Any], pid: int) -> None:
        self._pid = pid
        self._due = 0.0  # on the monotonic clock
        self.loads_wait = capabilities.get("pageLoadStrategy") != "none"

    def is_due(self, command: str) -> bool:
        """Return whether a response to this command proves that the browser works, and a record is due."""
        proves = command not in _WITHOUT_BROWSER and (self.loads_wait or command not in _LOADS)
        return proves and time.monotonic() >= self._due

    def validate(self) -> None:
        self._due = time.monotonic() + _INTERVAL
        validate_process(self._pid)


class Commands:
    """Replaces the method that sends the commands of a driver, and validates the browser that responded."""

    def __init__(self, send: Callable[..., Any], service: int | None) -> None:
        self._send = send
        self._service = service  # pid of chromedriver or geckodriver
        self._browsers: dict[str | None, DrivenBrowser] = {}  # by session id; one connection may have many sessions

    def add(self, session: str | None, capabilities: dict[str, Any], pid: int) -> None:
        """Validate the browser of this session now, and whenever it responds."""
        self._browsers[session] = DrivenBrowser(capabilities, pid)
        self._browsers[session].validate()

    def __call__(self, command: str, params: Any = None, *more: Any, **named: Any) -> Any:
        """Send the command and return its response."""
        session = params.get("sessionId") if isinstance(params, dict) else None  # Selenium takes it out
        try:
            response = self._send(command, params, *more, **named)
        except Exception as error:
            status = getattr(error, "status", None)  # of marionette's errors
            if isinstance(status, str):
                self._validate(command, session, status)
            raise
        if command in _STARTS:
            self._start(response)
        elif command in _ENDS:
            self._browsers.pop(session, None)
        else:
            self._validate(command, session, _error(response))
        return response

    def _start(self, response: Any) -> None:
        """Find the browser of a new session: `start_session()` after `quit()` starts another one."""
        is_marionette = isinstance(response, dict) and "capabilities" in response
        value = response if is_marionette else _value(response)
        if not isinstance(value, dict) or not isinstance(value.get("capabilities"), dict):
            return  # the session was not created, and the program gets the error
        pid = _find_main_process(value["capabilities"], self._service, is_local=is_marionette)
        if pid is None:
            log.warning("the browser of a new session was not found on this machine: it is not validated")
            return
        self.add(None if is_marionette else value.get("sessionId"), value["capabilities"], pid)

    def _validate(self, command: str, session: str | None, error: str | None) -> None:
        browser = self._browsers.get(session)
        if browser is None or not browser.is_due(command):
            return
        is_ambiguous = error in _AMBIGUOUS_ERRORS and browser.loads_wait
        if error is None or error in _PAGE_ERRORS or (is_ambiguous and self._responds(command, session)):
            browser.validate()

    def _responds(self, command: str, session: str | None) -> bool:
        """Send the page a command that no site delays, but a hung page does."""
        try:
            if ":" in command:
                self._send("WebDriver:FindElement", dict(_ROOT))
                return True
            return _error(self._send("findElement", {**_ROOT, "sessionId": session})) is None
        except Exception as error:  # noqa: BLE001 - the program gets the error of its own command
            log.debug("the browser does not respond: %s", error)
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


_HERE = {"localhost", "127.0.0.1", "[::1]"}
_LISTENING = "0A"  # state in /proc/net/tcp


def _find_main_process(capabilities: dict[str, Any], service: int | None, *, is_local: bool) -> int | None:
    """Return the pid of the main process of a session's browser, None if it is not found on this machine.

    `service` is the pid of the driver's program, if it was started by this one. A session that is not local may be
    one of a grid: pids and ports in its capabilities are then those of another machine.
    """
    pid = capabilities.get("moz:processID")
    if isinstance(pid, int):
        return pid if _is_firefox(pid, capabilities, is_local=is_local or service is not None) else None
    browsers = {process.pid: process for process in _chromiums()}
    address = _first_dict(capabilities, "goog:chromeOptions", "ms:edgeOptions").get("debuggerAddress")
    found = _listening(str(address), browsers)
    profile = _first_dict(capabilities, "chrome", "msedge").get("userDataDir")  # not of one that it attached to
    if service is None:
        return found if found is None or not profile or _uses_profile(found, profile) else None
    if found is None:
        found = next((pid for pid in browsers if service in _parents(pid) and not _has_below(pid, browsers)), None)
    return found


def _is_firefox(pid: int, capabilities: dict[str, Any], *, is_local: bool) -> bool:
    process = processes.find(pid)
    if process is None or process.is_dead:
        return False
    return is_local or _uses_profile(pid, capabilities.get("moz:profile"))


def _first_dict(capabilities: dict[str, Any], *names: str) -> dict[str, Any]:
    """Return the capabilities that drivers of Chromium, Chrome or Edge have below one of these names."""
    return next((each for name in names if isinstance(each := capabilities.get(name), dict)), {})


def _uses_profile(pid: int, profile: Any) -> bool:
    """Return whether its command line names the profile: a grid has other profiles than this machine."""
    return bool(profile) and any(each.endswith(str(profile)) for each in processes.arguments(pid))


def _chromiums() -> Iterator[Process]:
    """Yield processes that may be a main process of Chromium; its others have a --type."""
    for pid in processes.pids():
        arguments = processes.arguments(pid)
        if any(each.startswith(("--user-data-dir", "--remote-debugging-port")) for each in arguments) and not any(
            each.startswith("--type=") for each in arguments
        ):
            process = processes.find(pid)
            if process is not None and not process.is_dead:
                yield process


def _parents(pid: int) -> Iterator[int]:
    process = processes.find(pid)
    while process is not None and process.parent:
        yield process.parent
        process = processes.find(process.parent)


def _has_below(pid: int, browsers: dict[int, Process]) -> bool:
    """Return whether another candidate is a descendant: then this one is a script that started the browser."""
    return any(pid in _parents(other) for other in browsers)


def _listening(address: str, browsers: dict[int, Process]) -> int | None:
    """Return the process that listens on the address of its debugger."""
    host, _, port = address.rpartition(":")
    if host not in _HERE or not port.isdigit():
        return None
    sockets = {f"socket:[{inode}]" for inode in _sockets(int(port))}
    return next((pid for pid in browsers if not sockets.isdisjoint(_open_files(pid))), None)


def _sockets(port: int) -> Iterator[str]:
    """Yield the inodes of the sockets that listen on this port."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[1].endswith(f":{port:04X}") and fields[3] == _LISTENING:
                yield fields[9]


def _open_files(pid: int) -> Iterator[str]:
    try:
        descriptors = list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return
    for link in descriptors:
        with contextlib.suppress(OSError):  # closed meanwhile
            yield str(link.readlink())
