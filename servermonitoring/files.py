"""Files that are whole at every moment, and private unless said otherwise."""

import contextlib
import errno
import os
import re
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal

from servermonitoring.values import size_in_words

_OTHERS = ((stat.S_ISDIR, "a directory"), (stat.S_ISFIFO, "a named pipe"), (stat.S_ISSOCK, "a socket"))
_BESIDE = re.compile(r"\.servermonitoring\.[0-9a-f]{12}")  # what is being written, until it is renamed
_ABANDONED = 3600.0  # seconds after which nobody writes to it any longer


def read_regular(path: Path, most: int, *, part: Literal["whole", "start", "end"] = "whole") -> bytes:
    """Return what a regular file holds: the whole of it, or at most `most` bytes from its start or its end.

    Never waits, as a pipe would, and never reads without end, as a device would. Raises OSError, with a `strerror`
    that says what is wrong, also where the path leads to something else, or the whole is more than `most` bytes.
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
    """Write beside and rename, so that a reader sees the old file or the new one, never half of it.

    Raises OSError; the old file is then still there, and nothing is left beside it. What need not survive
    a power cut is not `durable`: it never waits for the disk.
    """
    with replacement(path, mode=mode, durable=durable) as file:
        file.write(_encoded(content) if isinstance(content, str) else content)


@contextlib.contextmanager
def replacement(path: Path, *, mode: int = 0o600, durable: bool = True) -> Iterator[BinaryIO]:
    """Open a new file that takes the place of the old one at the end of the block, if nothing is raised in it.

    No link is followed, and no file that is there is written to: the new one is another. Raise OSError.
    """
    beside = path.with_name(f".servermonitoring.{os.urandom(6).hex()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)  # whatever the umask
            _give_to_owner(file.fileno(), path.parent)
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise


def remove_abandoned(directory: Path, older_than: float = _ABANDONED) -> int:
    """Remove what writers that were killed left half-written in the directory; return how many files.

    `older_than` is their least age in seconds. Only files of this user go (of any user, if this is root), and a
    directory that cannot be read holds none.
    """
    count = 0
    with contextlib.suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for name in filter(_BESIDE.fullmatch, os.listdir(descriptor)):  # noqa: PTH208 - a descriptor
                count += _remove_abandoned(descriptor, name, older_than)
        finally:
            os.close(descriptor)
    return count


def _remove_abandoned(directory: int, name: str, older_than: float) -> bool:
    with contextlib.suppress(OSError):  # also one that its writer has just renamed
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        is_ours = stat.S_ISREG(status.st_mode) and os.geteuid() in (0, status.st_uid)
        if is_ours and time.time() - status.st_mtime >= older_than:
            os.unlink(name, dir_fd=directory)
            return True
    return False


def append_line(path: Path, line: str) -> None:
    """Add one line in one write, so that lines of several writers never mix. Raises OSError.

    What is no regular file is refused, and no reader of a pipe is waited for. A line that a full disk cut short is an
    error, too; the next one then begins a line of its own.
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
    """Make the directory, and those above it, with mode 0700; give it back.

    Raises PermissionError for one that another user owns (root may share one, if told so: what the functions here
    make in it is its owner's), OSError for others that cannot be used.
    """
    make_directory(path)
    for status in (path.lstat(), path.stat()):  # a link, and what it points to
        if status.st_uid != os.geteuid() and not (root_may_share and os.geteuid() == 0):
            raise PermissionError(f"{path} belongs to user {status.st_uid}, not to this one ({os.geteuid()})")
    if status.st_mode & 0o077:
        path.chmod(0o700)
    return path


def make_directory(path: Path) -> Path:
    """Make the directory, and those above it that are missing, with mode 0700 whatever the umask; give it back.

    One that is there stays as it is: it may be shared on purpose. Raises PermissionError where the path leads
    through a link of another user, OSError where it cannot be made.
    """
    for each in (*reversed(path.parents), path):
        refuse_foreign_link(each)
        if not each.is_dir():
            _make_private(each)  # one by one: mkdir(parents=True) makes those above for all to read and write
    return path


def refuse_foreign_link(path: Path) -> None:
    """Raise PermissionError for a symbolic link that another user made, and who is not root."""
    if path.is_symlink() and path.lstat().st_uid not in (0, os.geteuid()):
        raise PermissionError(f"{path} is a link made by user {path.lstat().st_uid}")


def _give_to_owner(descriptor: int, directory: Path) -> None:
    """What root makes in the directory of another user is for that user to read."""
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
    """A path in which ~ is a home; taken as it stands where there is no such user, so that it is told missing."""
    return Path(os.path.expanduser(text))  # noqa: PTH111 - Path.expanduser raises RuntimeError


def _encoded(text: str) -> bytes:
    r"""As UTF-8; names of files that are none arrive as lone surrogates, and show as \udcff."""
    return text.encode(errors="backslashreplace")


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
