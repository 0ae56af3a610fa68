r"""A real systemd: process 1 of a clean Debian, in namespaces and a cgroup of its own.

with Systemd() as systemd:
    systemd.write({"shop.service": "[Service]\nExecStart=/bin/sleep 999\n"})
    systemd.run("systemctl start shop")
    monkeypatch.setenv("PATH", systemd.path_with_systemctl)
"""

import contextlib
import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.deployment.root import Machine
from tests.servers.server import program, until

_LIMIT = 180  # seconds for a start, and for a command
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_SYSTEMD = "/lib/systemd/systemd --system --unit=basic.target --show-status=0 --log-target=null"


class Systemd(Machine):
    """Starts it; ends it with all its units."""

    namespaces = (*Machine.namespaces, "-i")

    def __init__(self, binds: Mapping[str, Path] | None = None) -> None:
        if os.geteuid() != 0:
            pytest.skip("missing: root, to start systemd in namespaces")
        self._cgroup = _cgroup2() / f"servermonitoring-{os.getpid()}-{time.monotonic_ns()}"
        super().__init__(binds)

    @property
    def path_with_systemctl(self) -> str:
        """A PATH whose systemctl is the one in there; its timedatectl and apt-get, too."""
        return f"{self.directory / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"

    def write(self, units: Mapping[str, str]) -> None:
        """Write the files of these units, and have systemd read them."""
        folder = self.path("/run/systemd/system")
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in units.items():
            (folder / name).write_text(text)
        self.run("systemctl daemon-reload")

    def start(self) -> None:
        self._cgroup.mkdir()
        script = [
            f"echo $$ > {self._cgroup}/cgroup.procs",
            f'exec unshare --mount --pid --net --uts --ipc --cgroup --fork --kill-child sh -ec "$0" {self.root}',
        ]
        root = self.root
        mounts = [
            *self.mounts(),
            f"mount --bind {root}/proc/sys {root}/proc/sys",  # or it would set the kernel's values for all
            f"mount -o remount,ro,bind {root}/proc/sys",
            f"mount -t sysfs -o ro sysfs {root}/sys",
            f"mount -t cgroup2 cgroup2 {root}/sys/fs/cgroup",
            f"mount -t tmpfs -o mode=755 none {root}/run",
            f"mount -t tmpfs -o mode=755 none {root}/dev",
            *(f"touch {root}/dev/{name} && mount --bind /dev/{name} {root}/dev/{name}" for name in _DEVICES),
            f"ln -s /proc/self/fd {root}/dev/fd",
            f"mkdir {root}/dev/pts && mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts {root}/dev/pts",
            f"ln -s pts/ptmx {root}/dev/ptmx",  # without it no unit may have private devices
            "ip link set lo up",
            f"exec chroot {root} env -i container=servermonitoring PATH=/usr/sbin:/usr/bin:/sbin:/bin {_SYSTEMD}",
        ]
        self._process = subprocess.Popen(
            [program("sh"), "-ec", "\n".join(script), "\n".join(mounts)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=(self.directory / "errors").open("wb"),
        )  # fmt: skip
        self.first = until(self._find_first, _LIMIT, what="systemd")
        self._make_commands()
        self.until("case $(systemctl is-system-running) in running|degraded) true;; *) false;; esac")

    def stop(self) -> None:
        super().stop()
        until(self._remove_cgroup, _LIMIT, what="end of all processes")

    def _find_first(self) -> int | None:
        """Return the number of process 1 of the namespace, once it is systemd."""
        if self._process.poll() is not None:
            pytest.skip(f"missing: namespaces for systemd: {(self.directory / 'errors').read_text()[-300:]}")
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        found = [int(each) for each in children if Path(f"/proc/{each}/comm").read_text() == "systemd\n"]
        return found[0] if found else None

    def _make_commands(self) -> None:
        folder = self.directory / "bin"
        folder.mkdir()
        for name in ("systemctl", "timedatectl", "apt-get"):
            (folder / name).write_text(f'#!/bin/sh\nexec {" ".join(self.words())} {name} "$@"\n')
            (folder / name).chmod(0o755)

    def _remove_cgroup(self) -> bool:
        for each in sorted(self._cgroup.rglob("*/"), reverse=True):
            with contextlib.suppress(OSError):
                each.rmdir()
        with contextlib.suppress(OSError):
            self._cgroup.rmdir()
        return not self._cgroup.exists()


def _cgroup2() -> Path:
    """Return where the unified hierarchy is mounted."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, options, *_ = line.split()
        if kind == "cgroup2" and "rw" in options.split(","):
            return Path(place)
    pytest.skip("missing: a writable cgroup2")
