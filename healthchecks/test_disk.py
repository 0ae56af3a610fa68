"""Disks: space, inodes, mount points, and file systems remounted read-only after an error.

Without a [disk.NAME] table every local file system of this machine is checked.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import Field

from healthchecks import (
    CheckError,
    ConfigPath,
    Percentage,
    Target,
    Unhealthy,
    forecast,
    metric,
    past_metric,
    probe,
)
from servermonitoring import clock
from servermonitoring.values import part_in_words, percent, percent_limit

_LOCAL = {
    "ext2",
    "ext3",
    "ext4",
    "xfs",
    "btrfs",
    "zfs",
    "f2fs",
    "jfs",
    "reiserfs",
    "bcachefs",
    "vfat",
    "overlay",
}


class Disk(Target):
    local: ClassVar[bool] = True

    path: ConfigPath
    """A directory on the file system."""
    mounted: bool = False
    """Whether the path itself must be a mount point; otherwise the file system that it is on is checked."""
    max_used: Percentage = 0.9
    """Maximum share of space used, without the reserve of root."""
    min_days_left: float | None = Field(default=None, gt=0, le=30)
    """Minimum number of days, at most 30, until `max_used` is reached by a forecast; not checked without the key."""
    max_inodes_used: Percentage = 0.9
    """Maximum share of inodes used, where the file system counts them."""
    writable: bool = True
    """Whether it must be mounted read-write: after an error the kernel remounts a file system read-only."""

    @classmethod
    def defaults(cls) -> dict[str, Self]:
        return {path: cls(path=Path(path)) for path in _local_file_systems()}


@dataclass(frozen=True)
class Usage:
    """Shares are 0 to 1; sizes are bytes."""

    used: float
    free: int
    total: int
    inodes: float
    read_only: bool
    mounted: bool


@probe
def usage(disk: Disk) -> Usage:
    try:
        if not stat.S_ISDIR(disk.path.stat().st_mode):
            # Not checked with the configuration: a file system that hangs would delay the start of the run.
            raise CheckError(f"{disk.path} is not a directory: give the mount point, or a directory on the file system")
        status = os.statvfs(disk.path)
    except OSError as error:
        raise Unhealthy(f"{disk.path}: {error.strerror}") from None
    found = _usage(disk, status)
    if found.mounted:  # otherwise these are the numbers of another file system
        metric("used", found.used, "ratio", limit=disk.max_used)
        metric("free", found.free, "bytes")
        if status.f_files:
            metric("inodes used", found.inodes, "ratio", limit=disk.max_inodes_used)
    return found


def _usage(disk: Disk, status: os.statvfs_result) -> Usage:
    used = status.f_blocks - status.f_bfree
    usable = used + status.f_bavail  # as df: without root's reserve
    return Usage(
        used=used / usable if usable else 0.0,
        free=status.f_bavail * status.f_frsize,
        total=status.f_blocks * status.f_frsize,
        inodes=1 - status.f_ffree / status.f_files if status.f_files else 0.0,
        read_only=bool(status.f_flag & os.ST_RDONLY),
        mounted=not disk.mounted or _is_mount_point(disk.path),
    )


def test_disk_space(disk: Disk, usage: Usage) -> None:
    free = f"{part_in_words(usage.free, usage.total)} free"
    assert usage.mounted, f"{disk.path} is not a mount point: nothing is mounted there"
    assert usage.used <= disk.max_used, (
        f"{percent(usage.used)} of space used on {disk.path} ({free}), maximum {percent_limit(disk.max_used)}"
    )
    _assert_days_left(disk, usage)
    assert usage.inodes <= disk.max_inodes_used, (
        f"{percent(usage.inodes)} of inodes used on {disk.path}, maximum {percent_limit(disk.max_inodes_used)}"
    )
    assert not (disk.writable and usage.read_only), f"{disk.path} is mounted read-only"


def _assert_days_left(disk: Disk, usage: Usage) -> None:
    if disk.min_days_left is None:
        return
    now = clock.time()
    past = past_metric("disk_space", disk.name, "used", days=28)
    found = forecast([*past, (now, usage.used)], disk.max_used)
    assert found is None or found.days_left(now) >= disk.min_days_left, (
        f"{percent(usage.used)} of space used on {disk.path}, {found.in_words(percent_limit(disk.max_used), now)}, "
        f"min_days_left {disk.min_days_left:g}"
    )


def _is_mount_point(path: Path) -> bool:
    """Return whether the path is a mount point, also of a bind mount, whose device number is that of its parent."""
    real = os.path.realpath(path)
    return os.path.ismount(real) or any(mount.mountpoint == real for mount in _mounts())


def _mounts() -> list[Any]:
    """Return all mounts; none where /proc cannot be read."""
    import psutil

    try:
        return psutil.disk_partitions(all=True)
    except OSError:
        return []


def _local_file_systems() -> list[str]:
    """Return the shortest mount point of each local device; always at least /."""
    by_device: dict[str, str] = {}
    for mount in _mounts():
        writable = "ro" not in mount.opts.split(",")
        if mount.fstype in _LOCAL and writable and Path(mount.mountpoint).is_dir():
            known = by_device.setdefault(mount.device, mount.mountpoint)
            by_device[mount.device] = min(known, mount.mountpoint, key=len)
    return sorted({*by_device.values(), "/"})
