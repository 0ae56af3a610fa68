"""Disks: space, inodes, and file systems that were remounted read-only after an error.

Without a [disk.NAME] table every local file system of this machine is checked.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from healthchecks import Share, Target, Unhealthy, measurement
from servermonitoring.values import size_in_words

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

    path: str
    """A directory on the file system."""
    used: Share = 0.9
    """Most space that may be used, of what users other than root may use."""
    inodes: Share = 0.9
    """Most inodes that may be used, where the file system counts them."""
    writable: bool = True
    """Whether it has to be mounted read-write."""

    @classmethod
    def defaults(cls) -> dict[str, Self]:
        return {path: cls(path=path) for path in _local_file_systems()}


@dataclass(frozen=True)
class Usage:
    """Shares are 0 to 1; sizes are bytes."""

    used: float
    free: int
    total: int
    inodes: float
    read_only: bool


@measurement
def usage(disk: Disk) -> Usage:
    try:
        status = os.statvfs(disk.path)
    except OSError as error:
        raise Unhealthy(f"{disk.path}: {error.strerror}") from None
    used = status.f_blocks - status.f_bfree
    usable = used + status.f_bavail  # what df counts with: without root's reserve
    return Usage(
        used=used / usable if usable else 0.0,
        free=status.f_bavail * status.f_frsize,
        total=status.f_blocks * status.f_frsize,
        inodes=1 - status.f_ffree / status.f_files if status.f_files else 0.0,
        read_only=bool(status.f_flag & os.ST_RDONLY),
    )


def test_disk_space(disk: Disk, usage: Usage) -> None:
    free = f"{size_in_words(usage.free)} of {size_in_words(usage.total)} free"
    assert usage.used <= disk.used, f"{disk.path} is {usage.used:.1%} full, at most {disk.used:.0%} ({free})"
    assert usage.inodes <= disk.inodes, (
        f"{disk.path} has {usage.inodes:.1%} of its inodes used, at most {disk.inodes:.0%}"
    )
    assert not (disk.writable and usage.read_only), f"{disk.path} is mounted read-only"


def _local_file_systems() -> list[str]:
    """Mount points with a device of their own, the shortest of each device; always at least /."""
    import psutil

    by_device: dict[str, str] = {}
    for mount in psutil.disk_partitions(all=True):
        writable = "ro" not in mount.opts.split(",")
        if mount.fstype in _LOCAL and writable and Path(mount.mountpoint).is_dir():
            known = by_device.setdefault(mount.device, mount.mountpoint)
            by_device[mount.device] = min(known, mount.mountpoint, key=len)
    return sorted({*by_device.values(), "/"})
