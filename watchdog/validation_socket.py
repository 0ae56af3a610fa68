"""The second way of a validation to the watchdog: a datagram to its socket, which needs no disk.

The datagram is `PID-START UPTIME`, as in the name and the first line of a record. The socket is in a directory
that only root, or only the watchdog's own user, can write in. The kernel names the sender's user.
"""

import os
from pathlib import Path

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
