"""Notifications to systemd (Type=notify, WatchdogSec=)."""

import contextlib
import os
import time


def notify(*lines: str) -> None:
    """Send lines such as READY=1; do nothing without systemd."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    import socket  # half a megabyte that is not needed without systemd

    if address.startswith("@"):
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
        connection.setblocking(False)
        connection.sendto("\n".join(lines).encode(), address)


def reloading() -> None:
    notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


def interval() -> float | None:
    """Return the seconds within which systemd expects WATCHDOG=1, None if it does not."""
    usec, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID")
    if not usec.isdigit() or not int(usec) or (pid and pid != str(os.getpid())):
        return None
    return int(usec) / 1_000_000
