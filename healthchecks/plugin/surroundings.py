"""What all checks share with the whole process, and one may change: directory, standard streams, descriptors."""

import contextlib
import errno
import os
import sys
from pathlib import Path

from healthchecks.plugin.limits import lift

_STANDARD = (0, 1, 2)


class Surroundings:
    """As they were when this was made."""

    def __init__(self) -> None:
        self._directory: Path | None = None
        with contextlib.suppress(OSError):  # it may have been deleted
            self._directory = Path.cwd()

    def return_home(self) -> None:
        """Undo a change of the working directory."""
        if self._directory is not None:
            with contextlib.suppress(OSError):
                os.chdir(self._directory)


def protect_streams() -> None:
    """Have close() of the standard streams do nothing: pytest and all later checks write to them."""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, TypeError):  # a stream that is replaced by something of a user's
            stream.close = lambda: None  # type: ignore[method-assign]


def restore_descriptors() -> None:
    """Open standard streams that a check has closed, as /dev/null; make room when it has left no descriptor."""
    try:
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.EMFILE:
            lift()
        return
    for descriptor in _STANDARD:
        if null <= descriptor or not _is_open(descriptor):
            os.dup2(null, descriptor)  # inheritable, as these are, also where it is the same
    if null not in _STANDARD:
        os.close(null)


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
