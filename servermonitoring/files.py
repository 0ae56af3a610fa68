"""Files that are complete at every moment, and private by default."""

import contextlib
import errno
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal

from servermonitoring import clock
from servermonitoring.values import size_in_words

_OTHERS = ((stat.S_ISDIR, "a directory"), (stat.S_ISFIFO, "a named pipe"), (stat.S_ISSOCK, "a socket"))
_TEMPORARY = re.compile(r"\.servermonitoring\.[0-9a-f]{12}")  # a file being written, until it is renamed
_ABANDONED = 3600.0  # seconds after which its writer is gone


def read_regular(path: Path, most: int, *, part: Literal["whole", "start", "end"] = "whole") -> bytes:
    """Return the content of a regular file: the whole, or at most `most` bytes of its start or its end.

    Never wait, as for a pipe, and never read without end, as from a device. Raise OSError, with a `strerror` that says
    what is wrong, also if the path is no regular file or the whole has more than `most` bytes.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        _refuse_irregular(status, path)
        if part == "end":
            os.lseek(descriptor, max(0, status.st_size - most), os.SEEK_SET)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(most + (part == "whole"))
    finally:
        os.close(descriptor)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"is larger than {size_in_words(most)}", str(path))
    return content


def _refuse_irregular(status: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(status.st_mode):
        what = next((words for fits, words in _OTHERS if fits(status.st_mode)), "a device")
        raise OSError(errno.EINVAL, f"is {what}, not a file", str(path))


def write_whole(path: Path, content: bytes | str, *, mode: int = 0o600, durable: bool = True) -> None:
    """Write a temporary file and rename it, so that a reader sees the old file or the new one, never half of one.

    Raise OSError; the old file is then still there and the temporary one removed. `durable=False` does not wait for
    the disk: the file may not survive a power cut.
    """
    with replacement(path, mode=mode, durable=durable) as file:
        file.write(_encoded(content) if isinstance(content, str) else content)


@contextlib.contextmanager
def replacement(path: Path, *, mode: int = 0o600, durable: bool = True) -> Iterator[BinaryIO]:
    """Open a new file that replaces the old one at the end of the block, unless the block raises.

    Follow no link and write to no existing file. Raise OSError.
    """
    temporary = path.with_name(f".servermonitoring.{os.urandom(6).hex()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)  # whatever the umask
            _give_to_owner(file.fileno(), path.parent)
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def remove_abandoned(directory: Path, older_than: float = _ABANDONED) -> int:
    """Remove half-written files of killed writers from the directory; return how many.

    `older_than`: their minimum age in seconds. Only files of this user are removed (of any user by root); a directory
    that cannot be read holds none.
    """
    count = 0
    with contextlib.suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for name in filter(_TEMPORARY.fullmatch, os.listdir(descriptor)):  # noqa: PTH208 - a descriptor
                count += _remove_abandoned(descriptor, name, older_than)
        finally:
            os.close(descriptor)
    return count


def _remove_abandoned(directory: int, name: str, older_than: float) -> bool:
    with contextlib.suppress(OSError):  # also one that its writer has just renamed
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        is_ours = stat.S_ISREG(status.st_mode) and os.geteuid() in (0, status.st_uid)
        if is_ours and clock.time() - status.st_mtime >= older_than:
            os.unlink(name, dir_fd=directory)
            return True
    return False


def append_line(path: Path, line: str) -> None:
    """Append one line in one write, so that lines of several writers never mix. Raise OSError.

    A path that is no regular file is an error; a pipe is not waited for. A line cut short by a full disk is an error,
    too; the next one begins a new line.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags | os.O_EXCL, 0o600)
        _give_to_owner(descriptor, path.parent)
    except FileExistsError:
        descriptor = os.open(path, flags, 0o600)
    try:
        status = os.fstat(descriptor)
        _refuse_irregular(status, path)
        if status.st_nlink > 1:  # a link to what others may not write to
            raise PermissionError(f"{path} is a file with more than one name")
        data = _encoded(line.rstrip("\n").replace("\n", " ")) + b"\n"
        written = os.write(descriptor, data)
        if written < len(data):
            with contextlib.suppress(OSError):
                os.write(descriptor, b"\n")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    finally:
        os.close(descriptor)


def private_directory(path: Path, *, root_may_share: bool = False) -> Path:
    """Create the directory, and those above it, with mode 0700; return it.

    Raise PermissionError if another user owns it (with `root_may_share` root may use it: the functions here then give
    new files to its owner), OSError if it cannot be used.
    """
    make_directory(path)
    for status in (path.lstat(), path.stat()):  # a link, and what it points to
        if status.st_uid != os.geteuid() and not (root_may_share and os.geteuid() == 0):
            raise PermissionError(f"{path} belongs to user {status.st_uid}, not to this one ({os.geteuid()})")
    if status.st_mode & 0o077:
        path.chmod(0o700)
    return path


def make_directory(path: Path) -> Path:
    """Create the directory, and those above it that are missing, with mode 0700 whatever the umask; return it.

    An existing one is left as it is: it may be shared on purpose. Raise PermissionError if the path goes through a
    link of another user, OSError if it cannot be created.
    """
    for each in (*reversed(path.parents), path):
        refuse_foreign_link(each)
        if not each.is_dir():
            _make_private(each)  # one by one: mkdir(parents=True) gives those above the default mode
    return path


def refuse_foreign_link(path: Path) -> None:
    """Raise PermissionError for a symbolic link of another user who is not root."""
    if path.is_symlink() and path.lstat().st_uid not in (0, os.geteuid()):
        raise PermissionError(f"{path} is a link made by user {path.lstat().st_uid}")


def _give_to_owner(descriptor: int, directory: Path) -> None:
    """Give a file that root creates in another user's directory to that user."""
    owner = directory.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def _make_private(path: Path) -> None:
    try:
        path.mkdir(mode=0o700)
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            _give_to_owner(descriptor, path.parent)
        finally:
            os.close(descriptor)
    except FileExistsError:
        if not path.is_dir():  # else another process was quicker
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path)) from None


def at_home(text: str) -> Path:
    """Return the path with ~ expanded; unchanged if there is no such user, so that it is reported as missing."""
    return Path(os.path.expanduser(text))  # noqa: PTH111 - Path.expanduser raises RuntimeError


def _encoded(text: str) -> bytes:
    r"""Encode as UTF-8; bytes of file names that are not UTF-8 become \udcff."""
    return text.encode(errors="backslashreplace")


def open_standard() -> list[int]:
    """Open /dev/null in place of closed standard streams. Return their numbers. Raise OSError."""
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
