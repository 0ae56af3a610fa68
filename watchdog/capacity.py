"""Whether a record can be made: free space, free inodes, and a file that is written and removed again."""

import errno
import os

from watchdog import directory, processes


def check(descriptor: int) -> None:
    """Ask the file system, at almost no cost. Raise OSError if no user but root can make a file there."""
    status = os.fstatvfs(descriptor)
    if status.f_flag & os.ST_RDONLY:
        raise _error(errno.EROFS)
    if status.f_blocks and not status.f_bavail:
        raise _error(errno.ENOSPC)
    if status.f_files and not status.f_favail:  # some file systems do not count them
        raise OSError(errno.ENOSPC, f"no inodes left: {directory.location()}")


def try_out(descriptor: int) -> None:
    """Write a file as a record is written, and remove it: quotas and remounts show only so. Raise OSError."""
    os.unlink(directory.write_beside(descriptor, processes.own_identity(), b"0.00\n"), dir_fd=descriptor)


def _error(number: int) -> OSError:
    return OSError(number, f"{os.strerror(number)}: {directory.location()}")
