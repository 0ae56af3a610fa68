"""Tells the watchdog that a browser is alive: called by the program that drives it, at start and after
every page load.

A record is a file `PID-START` in the directory of records. START is when the process started, in clock ticks
after the machine's start (the 22nd field of /proc/PID/stat), so that a record is never taken for that of a
later process with the same pid. The first line is the uptime at validation (the first number of
/proc/uptime); what follows is for people. Any language can write it; write beside and rename.
"""

import logging
import os
import time

from watchdog import directory, processes, retention
from watchdog.clock import uptime

log = logging.getLogger(__name__)
_said: set[str] = set()


def validate_process(pid: int) -> bool:
    """Record that the process is alive and well now. Never raises and never waits; False if it could not."""
    try:
        process = processes.look(pid)
        if process is None or process.is_dead:
            _say(f"process {pid} cannot be validated: there is no such process")
            return False
        _record(f"{pid}-{process.start}")
    except Exception as error:  # noqa: BLE001 - a scraper must not fail for want of its watchdog
        _say(f"process {pid} cannot be validated: {error}", about=str(error))
        return False
    return True


def _record(name: str) -> None:
    descriptor = directory.open_to_write()
    try:
        _write(descriptor, name, _content())
    finally:
        os.close(descriptor)


def _content() -> bytes:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return f"{uptime():.2f}\nvalidated {now} by process {os.getpid()}{retention.mark()}\n".encode()


def _write(descriptor: int, name: str, content: bytes) -> None:
    token = os.urandom(6).hex()
    beside = f".{name}.{token}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.open(beside, flags, 0o600, dir_fd=descriptor)
    try:
        try:
            os.write(file, content)  # never flushed to the disk: that could wait
        finally:
            os.close(file)
        _rename(descriptor, beside, name, token)
    except BaseException:
        os.unlink(beside, dir_fd=descriptor)
        raise


def _rename(descriptor: int, beside: str, name: str, token: str) -> None:
    try:
        os.rename(beside, name, src_dir_fd=descriptor, dst_dir_fd=descriptor)
    except (PermissionError, IsADirectoryError):  # another user planted something there: theirs to keep
        os.rename(beside, f"{name}.{token}", src_dir_fd=descriptor, dst_dir_fd=descriptor)


def _say(message: str, about: str | None = None) -> None:
    """Once for each thing that is wrong: a scraper validates at every page."""
    about = about or message
    if about not in _said:
        _said.add(about)
        log.warning("%s", message)
