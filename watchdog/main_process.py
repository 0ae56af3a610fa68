"""The main process of the browser of a WebDriver session."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from watchdog import processes
from watchdog.processes import Process

_HERE = {"localhost", "127.0.0.1", "[::1]"}
_LISTENING = "0A"  # state in /proc/net/tcp


def find(capabilities: dict[str, Any], service: int | None, *, is_local: bool) -> int | None:
    """Return its pid, None if it is not found on this machine.

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
