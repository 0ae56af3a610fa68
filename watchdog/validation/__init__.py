"""Tells the watchdog that a browser is alive: called by the program that drives it, at start and after
every page load.

A record is a file `PID-START` in the directory of records. START is when the process started, in clock ticks
after the machine's start (the 22nd field of /proc/PID/stat), so that a record is never taken for that of a
later process with the same pid. The first line is the uptime at validation (the first number of
/proc/uptime); what follows is for people. Any language can write it; write beside and rename. Where that is not
possible, a full disk say, the file's time of modification is set to the uptime: it counts as if it were written.
"""

import logging
import os
import time
from pathlib import Path

from watchdog import processes
from watchdog.clock import uptime
from watchdog.validation import directory, records

VARIABLE = "WATCHDOG_SOCKET"  # set, but empty: none
NAME = "validation.socket"
_DIRECTORY = "servermonitoring"


def send(name: str, now: float) -> bool:
    """Tell every watchdog that may watch this user's processes; return whether one has it. Never waits."""
    import socket  # the record is enough for whoever has no watchdog

    heard = False
    content = f"{name} {now:.2f}\n".encode()
    for path in _known():
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
                sender.sendto(content, str(path))
        except OSError:  # there is none, it has just ended, or it is flooded
            continue
        heard = True
    return heard


def own() -> Path | None:
    """Return where a watchdog of this user has its socket; None for nowhere."""
    chosen = os.environ.get(VARIABLE)
    if chosen is not None:
        return Path(chosen) if chosen else None
    runtime = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    if runtime:
        return Path(runtime) / NAME
    base = _system() if os.geteuid() == 0 else _personal()
    return base / _DIRECTORY / NAME if base.is_dir() else None


def _known() -> list[Path]:
    if VARIABLE in os.environ:
        return [path for path in [own()] if path]
    return [base / _DIRECTORY / NAME for base in (_system(), _personal())]


def _system() -> Path:
    return Path("/run")


def _personal() -> Path:
    return Path(os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}")


log = logging.getLogger(__name__)
_said: set[str] = set()
_SUFFIX = os.urandom(6).hex()  # that nobody can take beforehand; one for this program, so that its records stay one


def validate_process(pid: int) -> bool:
    """Record that the process is alive and well now. Never raises and never waits; False if it could not.

    A watchdog hears it in two ways, of which either suffices: from the record, and through its socket.
    """
    try:
        process = processes.look(pid)
        if process is None or process.is_dead:
            _say(f"process {pid} cannot be validated: there is no such process")
            return False
        name, now = process.identity, uptime()
        heard = send(name, now)
        try:
            _record(name, now)
        except OSError:
            if not heard:
                raise
    except Exception as error:  # noqa: BLE001 - a scraper must not fail for want of its watchdog
        _say(f"process {pid} cannot be validated: {error}", about=str(error))
        return False
    return True


def _record(name: str, now: float) -> None:
    descriptor = directory.open_to_write()
    try:
        try:
            _write(descriptor, name, _content(now))
        except OSError:
            if not _refresh(descriptor, name, now):
                raise
    finally:
        os.close(descriptor)


def _content(now: float) -> bytes:
    date = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return f"{now:.2f}\nvalidated {date} by process {os.getpid()}{records.mark()}\n".encode()


def _write(descriptor: int, name: str, content: bytes) -> None:
    beside = directory.write_beside(descriptor, name, content)
    try:
        _rename(descriptor, beside, name)
    except BaseException:
        os.unlink(beside, dir_fd=descriptor)
        raise


def _rename(descriptor: int, beside: str, name: str) -> None:
    try:
        os.rename(beside, name, src_dir_fd=descriptor, dst_dir_fd=descriptor)
    except (PermissionError, IsADirectoryError):  # another user planted something there: theirs to keep
        os.rename(beside, f"{name}.{_SUFFIX}", src_dir_fd=descriptor, dst_dir_fd=descriptor)


def _refresh(descriptor: int, name: str, now: float) -> bool:
    """Set the time of an existing record, which needs no space; return whether there is one of this user."""
    for each in (name, f"{name}.{_SUFFIX}"):
        try:
            os.utime(each, (now, now), dir_fd=descriptor, follow_symlinks=False)
        except OSError:
            continue
        return True
    return False


def _say(message: str, about: str | None = None) -> None:
    """Once for each thing that is wrong: a scraper validates at every page."""
    about = about or message
    if about not in _said:
        _said.add(about)
        log.warning("%s", message)
