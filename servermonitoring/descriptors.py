"""The descriptors 0, 1 and 2, which another file or a socket is given where they are closed."""

import os


def open_standard() -> list[int]:
    """Open /dev/null in place of those that are closed. Return which. Raise OSError where there is none."""
    closed = [number for number in (0, 1, 2) if not _is_open(number)]
    for number in closed:
        descriptor = os.open(os.devnull, os.O_RDWR)
        if descriptor != number:
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.set_inheritable(number, True)
    return closed


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True
