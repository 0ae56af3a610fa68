"""Which records may be removed once their process is not seen: not those of another container's processes.

A directory may be shared with containers, whose records name pids and starts that mean nothing here. So a record
says in which namespaces it was written; one that does not, or names others, is kept for a day after its last change.
"""

import os
import stat
import time

from watchdog import namespace

_FOREIGN = 86_400.0  # seconds for which a record of unknown or other namespaces is kept
_MARK = " in "  # between what a record says of its writer and the namespaces


def mark() -> str:
    """What a record says of the namespaces in which it is written."""
    return _MARK + namespace.own()


def is_over(descriptor: int, name: str) -> bool:
    """Whether a record whose process is not seen may go. Raises OSError."""
    status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
    if not stat.S_ISREG(status.st_mode):
        return True  # no record
    return time.time() - max(status.st_mtime, status.st_ctime) > _FOREIGN or _is_ours(descriptor, name)


def _is_ours(descriptor: int, name: str) -> bool:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        file = os.open(name, flags, dir_fd=descriptor)
    except OSError:
        return False
    try:
        text = os.read(file, 500).decode(errors="replace")
    finally:
        os.close(file)
    return bool(namespace.own()) and text.rstrip().endswith(mark())
