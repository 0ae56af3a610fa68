"""Files that are whole at every moment, and private unless said otherwise."""

import contextlib
import os
from pathlib import Path


def write_whole(path: Path, content: bytes | str, *, mode: int = 0o600, durable: bool = True) -> None:
    """Write beside and rename, so that a reader sees the old file or the new one, never half of it.

    Raises OSError; the old file is then still there, and nothing is left beside it. What need not survive
    a power cut is not `durable`: it never waits for the disk.
    """
    data = content.encode() if isinstance(content, str) else content
    beside = path.with_name(f".{path.name}.{os.urandom(6).hex()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)  # whatever the umask
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise


def append_line(path: Path, line: str) -> None:
    """Add one line in one write, so that lines of several writers never mix. Raises OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    try:
        os.write(descriptor, line.rstrip("\n").replace("\n", " ").encode() + b"\n")
    finally:
        os.close(descriptor)


def private_directory(path: Path) -> Path:
    """Make the directory, and those above it, with mode 0700; give it back.

    Raises PermissionError for one that another user owns, OSError for others that cannot be used.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = path.lstat()
    if status.st_uid != os.geteuid():
        raise PermissionError(f"{path} belongs to user {status.st_uid}, not to this one ({os.geteuid()})")
    if status.st_mode & 0o077:
        path.chmod(0o700)
    return path
