"""Validation of a browser, by the program that drives it: at the start and after every page load.

A validation record is a file `PID-START` in the directory of records. START is when the process started, in clock ticks
after the machine's start (the 22nd field of /proc/PID/stat), so that a record is never taken for that of a later
process with the same pid. The first line is the uptime at validation (the first number of /proc/uptime); what follows
is for people. A program in any language can write it: write a temporary file and rename it. Where that is not possible,
for example on a full disk, set the file's time of modification to the uptime: it counts as if it were written.
"""

import logging
import os
import time
from pathlib import Path

from watchdog import processes
from watchdog.processes import uptime
from watchdog.validation import directory, records

VARIABLE = "WATCHDOG_SOCKET"  # set, but empty: none
NAME = "validation.socket"
_DIRECTORY = "servermonitoring"


def send(name: str, now: float) -> bool:
    """Send a validation to every watchdog that may watch this user's processes; return whether one received it.

    Never waits.
    """
    import socket  # loaded late, as scrapers load this module

    is_received = False
    content = f"{name} {now:.2f}\n".encode()
    for path in _known():
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
                sender.sendto(content, str(path))
        except OSError:  # there is none, it has just ended, or it is flooded
            continue
        is_received = True
    return is_received


def own() -> Path | None:
    """Return the path of the socket of this user's watchdog; None for none."""
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
_logged_errors: set[str] = set()
_SUFFIX = os.urandom(6).hex()  # nobody can take it in advance; one for the program, so that its records stay one


def validate_process(pid: int) -> bool:
    """Record that the process works now. Never raises and never waits; return False if it failed.

    The watchdog gets the validation in two ways, of which either suffices: by the record, and through its socket.
    """
    try:
        process = processes.find(pid)
        if process is None or process.is_dead:
            _warn_once(f"process {pid} cannot be validated: there is no such process")
            return False
        name, now = process.identity, uptime()
        is_received = send(name, now)
        try:
            _record(name, now)
        except OSError:
            if not is_received:
                raise
    except Exception as error:  # noqa: BLE001 - a scraper must not fail because of its watchdog
        _warn_once(f"process {pid} cannot be validated: {error}", about=str(error))
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
    temporary = directory.write_temporary(descriptor, name, content)
    try:
        _rename(descriptor, temporary, name)
    except BaseException:
        os.unlink(temporary, dir_fd=descriptor)
        raise


def _rename(descriptor: int, temporary: str, name: str) -> None:
    try:
        os.rename(temporary, name, src_dir_fd=descriptor, dst_dir_fd=descriptor)
    except (PermissionError, IsADirectoryError):  # another user planted something there: leave it alone
        os.rename(temporary, f"{name}.{_SUFFIX}", src_dir_fd=descriptor, dst_dir_fd=descriptor)


def _refresh(descriptor: int, name: str, now: float) -> bool:
    """Set the time of an existing record, which needs no space; return whether there is one of this user."""
    for each in (name, f"{name}.{_SUFFIX}"):
        try:
            os.utime(each, (now, now), dir_fd=descriptor, follow_symlinks=False)
        except OSError:
            continue
        return True
    return False


def _warn_once(message: str, about: str | None = None) -> None:
    """Log each error once: a scraper validates at every page."""
    about = about or message
    if about not in _logged_errors:
        _logged_errors.add(about)
        log.warning("%s", message)
