r"""A real systemd: process 1 of a clean Debian, in namespaces and a cgroup of its own.

with Systemd() as systemd:
    systemd.write({"shop.service": "[Service]\nExecStart=/bin/sleep 999\n"})
    systemd.run("systemctl start shop")
    monkeypatch.setenv("PATH", systemd.path_with_systemctl)
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.deployment.root import debian
from tests.servers.server import program, until

_LIMIT = 180  # seconds for a start, and for a command
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_SYSTEMD = "/lib/systemd/systemd --system --unit=basic.target --show-status=0 --log-target=null"


class Systemd:
    """Starts it; ends it with all its units."""

    def __init__(self) -> None:
        if os.geteuid() != 0:
            pytest.skip("missing: root, to start systemd in namespaces")
        self._clean = debian()
        self._cgroup = _cgroup2() / f"servermonitoring-{os.getpid()}-{time.monotonic_ns()}"
        self.directory = Path(tempfile.mkdtemp(prefix="servermonitoring-systemd-"))

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop()

    @property
    def path_with_systemctl(self) -> str:
        """A PATH whose systemctl is the one in there; its timedatectl and apt-get, too."""
        return f"{self.directory / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"

    def path(self, name: str) -> Path:
        """Return a file in there, seen from outside."""
        return Path(f"/proc/{self._first}/root{name}")

    def write(self, units: Mapping[str, str]) -> None:
        """Write the files of these units, and have systemd read them."""
        folder = self.path("/run/systemd/system")
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in units.items():
            (folder / name).write_text(text)
        self.run("systemctl daemon-reload")

    def run(self, command: str, *, status: int | None = 0) -> str:
        """Return what a shell command in there wrote; it has to end with this status."""
        done = subprocess.run(
            [*self._words(), "sh", "-c", command], capture_output=True, text=True, timeout=_LIMIT, check=False
        )
        assert status is None or done.returncode == status, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def until(self, command: str) -> None:
        """Wait until a shell command in there succeeds."""

        def succeeded() -> bool:
            return self.run(f"{{ {command}; }} >/dev/null && echo succeeded", status=None).endswith("succeeded\n")

        until(succeeded, _LIMIT, what=command)

    def _words(self) -> list[str]:
        return [program("nsenter"), "-t", str(self._first), "-m", "-p", "-n", "-u", "-i", "-r", "env", "-C", "/"]

    def _start(self) -> None:
        root = self.directory / "mount/root"
        (self.directory / "mount").mkdir()
        self._cgroup.mkdir()
        layers = f"lowerdir={self._clean},upperdir={root.parent}/upper,workdir={root.parent}/work"
        script = [
            f"echo $$ > {self._cgroup}/cgroup.procs",
            f'exec unshare --mount --pid --net --uts --ipc --cgroup --fork --kill-child sh -ec "$0" {root}',
        ]
        mounts = [
            f"mount -t tmpfs -o mode=755 none {root.parent}",
            f"mkdir {root.parent}/upper {root.parent}/work {root}",
            f"mount -t overlay overlay -o {layers} {root}",
            f"mount -t proc proc {root}/proc",
            f"mount --bind {root}/proc/sys {root}/proc/sys",  # or it would set the kernel's values for all
            f"mount -o remount,ro,bind {root}/proc/sys",
            f"mount -t sysfs -o ro sysfs {root}/sys",
            f"mount -t cgroup2 cgroup2 {root}/sys/fs/cgroup",
            f"mount -t tmpfs -o mode=755 none {root}/run",
            f"mount -t tmpfs -o mode=755 none {root}/dev",
            *(f"touch {root}/dev/{name} && mount --bind /dev/{name} {root}/dev/{name}" for name in _DEVICES),
            f"ln -s /proc/self/fd {root}/dev/fd",
            "ip link set lo up",
            f"exec chroot {root} env -i container=servermonitoring PATH=/usr/sbin:/usr/bin:/sbin:/bin {_SYSTEMD}",
        ]
        self._process = subprocess.Popen(
            [program("sh"), "-ec", "\n".join(script), "\n".join(mounts)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=(self.directory / "errors").open("wb"),
        )  # fmt: skip
        self._first = until(self._find_first, _LIMIT, what="systemd")
        self._make_commands()
        self.until("case $(systemctl is-system-running) in running|degraded) true;; *) false;; esac")

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
            (folder / name).write_text(f'#!/bin/sh\nexec {" ".join(self._words())} {name} "$@"\n')
            (folder / name).chmod(0o755)

    def _stop(self) -> None:
        if hasattr(self, "_process"):
            self._process.kill()  # --kill-child ends process 1, and with it all others
            self._process.wait(_LIMIT)
        until(self._remove_cgroup, _LIMIT, what="end of all processes")
        shutil.rmtree(self.directory)

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
