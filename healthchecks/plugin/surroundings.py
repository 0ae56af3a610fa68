"""What all checks share with the whole process, and one may change: working directory, descriptors 0 to 2."""

import contextlib
import os

_STANDARD = (0, 1, 2)


class Surroundings:
    """As they were when this was made."""

    def __init__(self) -> None:
        self._directory: int | None = None
        with contextlib.suppress(OSError):  # it may have been deleted
            self._directory = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def restore(self) -> None:
        """Undo what a check did to them. A standard stream that was closed is /dev/null from now on."""
        if self._directory is not None:
            with contextlib.suppress(OSError):
                os.fchdir(self._directory)
        for descriptor in _STANDARD:
            with contextlib.suppress(OSError):
                if not _is_open(descriptor):
                    _open_null(descriptor)


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _open_null(descriptor: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, descriptor)  # dup2 of a descriptor to itself makes it inheritable, as these are
    if null != descriptor:
        os.close(null)
