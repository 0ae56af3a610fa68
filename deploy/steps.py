"""Kinds of installation steps: each knows whether it is done, does it and undoes it.

Users, directories, files and links; then the virtual environment, systemd units and the check of the configuration.
"""

import grp
import hashlib
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

# No probe runs; without a cache, as its directory belongs to another user (an error with --strict-config).
_COLLECT = ("-m", "pytest", "-q", "-o", "addopts=", "-p", "no:cacheprovider", "--collect-only", "healthchecks")
_LOCK = "requirements/server.lock"  # with the extra notify
_PACKAGES = ("healthchecks", "servermonitoring", "watchdog")


class Failed(Exception):  # noqa: N818 - a state of the installation
    """A step failed; the text says which and why."""


class Step(Protocol):
    """One thing that an installation creates."""

    @property
    def precious(self) -> bool:
        """Whether it holds the user's own data: removed by --purge only."""

    def missing(self) -> str:
        """Return what has to be done, in words; "" for nothing."""

    def do(self) -> None: ...

    def there(self) -> str:
        """Return what can be undone, in words; "" for nothing."""

    def undo(self) -> None: ...


def run(*command: str, **options: object) -> None:
    """Run a command. Raise Failed with its output."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    if done.returncode:
        raise Failed(f"{' '.join(command)} failed with exit status {done.returncode}:\n{done.stdout}{done.stderr}")


@dataclass
class SystemUser:
    name: str
    home: Path
    precious: bool = True

    def missing(self) -> str:
        return "" if self._is_there() else f"system user {self.name}: created, without a shell"

    def do(self) -> None:
        shell = "/usr/sbin/nologin"
        run("useradd", "--system", "--user-group", "--home-dir", str(self.home), "--no-create-home",
            "--shell", shell, self.name)  # fmt: skip

    def there(self) -> str:
        return f"system user {self.name}: removed" if self._is_there() else ""

    def undo(self) -> None:
        run("userdel", self.name)

    def _is_there(self) -> bool:
        return any(each.pw_name == self.name for each in pwd.getpwall())


@dataclass(frozen=True)
class Rights:
    """Owner, group and mode of a file or directory."""

    user: str = "root"
    group: str = "root"
    mode: int = 0o755

    def __str__(self) -> str:
        return f"{self.user}:{self.group} {self.mode:04o}"

    def are_set(self, path: Path) -> bool:
        status = path.lstat()
        try:
            owners = pwd.getpwnam(self.user).pw_uid, grp.getgrnam(self.group).gr_gid
        except KeyError:  # not created yet, in a dry run
            return False
        return (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (*owners, self.mode)

    def set(self, path: Path) -> None:
        shutil.chown(path, self.user, self.group)
        path.chmod(self.mode)


@dataclass
class Directory:
    path: Path
    rights: Rights
    precious: bool = True

    def missing(self) -> str:
        if not self.path.is_dir():
            return f"directory {self.path} ({self.rights}): created"
        return "" if self.rights.are_set(self.path) else f"directory {self.path}: rights changed to {self.rights}"

    def do(self) -> None:
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.rights.set(self.path)

    def there(self) -> str:
        return f"directory {self.path} and its content: removed" if self.path.is_dir() else ""

    def undo(self) -> None:
        shutil.rmtree(self.path)


@dataclass
class File:
    """`ours`: a later version replaces it, an edited one is kept as `.old`; else it is the administrator's."""

    path: Path
    content: str
    rights: Rights
    ours: bool = True
    after: Callable[[], None] | None = None

    @property
    def precious(self) -> bool:
        return not self.ours

    def missing(self) -> str:
        if not self.path.exists():
            return f"file {self.path} ({self.rights}): created"
        if self.ours and self.path.read_text() != self.content:
            return f"file {self.path}: replaced, the old one kept as {self._old.name}"
        return "" if self.rights.are_set(self.path) else f"file {self.path}: rights changed to {self.rights}"

    def do(self) -> None:
        if not self.path.exists():
            self._write()
        elif self.ours and self.path.read_text() != self.content:
            self.path.replace(self._old)
            self._write()
        self.rights.set(self.path)
        if self.after:
            self.after()

    def there(self) -> str:
        return f"file {self.path}: removed" if self.path.exists() else ""

    def undo(self) -> None:
        self.path.unlink()
        self._old.unlink(missing_ok=True)
        if self.after:
            self.after()

    @property
    def _old(self) -> Path:
        return self.path.with_name(f"{self.path.name}.old")

    def _write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(self.content)


@dataclass
class Link:
    path: Path
    target: Path
    after: Callable[[], None] | None = None
    precious: bool = False

    def missing(self) -> str:
        return "" if self.path.is_symlink() else f"link {self.path} to {self.target}: created"

    def do(self) -> None:
        self.path.symlink_to(self.target)
        if self.after:
            self.after()

    def there(self) -> str:
        return f"link {self.path}: removed" if self.path.is_symlink() else ""

    def undo(self) -> None:
        self.path.unlink()
        if self.after:
            self.after()


@dataclass
class Environment:
    """The checkout's own .venv from the lock file, updated in place when lock file or code change."""

    checkout: Path
    after: Callable[[], None]
    precious: bool = False

    def missing(self) -> str:
        if not self._path.is_dir():
            return f"environment {self._path}: created from {_LOCK}"
        done = self._stamp.exists() and self._stamp.read_text() == self._fingerprint()
        return "" if done else f"environment {self._path}: updated"

    def do(self) -> None:
        if not (self._path / "bin/pip").exists():
            self._make()
        pip = str(self._path / "bin/pip"), "--quiet", "--disable-pip-version-check", "install", "--no-cache-dir"
        run(*pip, "--require-hashes", "-r", str(self.checkout / _LOCK))
        run(*pip, "--no-deps", "--no-build-isolation", "--editable", str(self.checkout))
        self._compile()
        self._stamp.write_text(self._fingerprint())
        self.after()

    def there(self) -> str:
        return f"environment {self._path}: removed" if self._path.is_dir() else ""

    def undo(self) -> None:
        shutil.rmtree(self._path)

    @property
    def _path(self) -> Path:
        return self.checkout / ".venv"

    @property
    def _stamp(self) -> Path:
        return self._path / "installed"

    def _make(self) -> None:
        try:
            run(sys.executable, "-m", "venv", str(self._path))
        except Failed as error:
            shutil.rmtree(self._path, ignore_errors=True)
            raise Failed(f"{error}\nOn Debian and Ubuntu: apt-get install python3-venv") from None

    def _compile(self) -> None:
        """Compile once, as root: the suite's user may not write here and would compile in every run."""
        python = str(self._path / "bin/python")
        run(python, "-m", "compileall", "-q", *_PACKAGES, cwd=self.checkout)
        with tempfile.NamedTemporaryFile(suffix=".toml") as empty:
            run(python, *_COLLECT, cwd=self.checkout, env={**os.environ, "SERVERMONITORING_CONFIG": empty.name})

    def _fingerprint(self) -> str:
        """Return a hash of all that is installed and of its Python."""
        digest = hashlib.sha256(f"{sys.version} {self.checkout}".encode())
        code = [path for package in _PACKAGES for path in sorted((self.checkout / package).rglob("*.py"))]
        for path in (self.checkout / _LOCK, self.checkout / "pyproject.toml", *code):
            digest.update(path.read_bytes())
        return digest.hexdigest()


@dataclass
class Units:
    """systemd timers and services, started now and at each boot."""

    names: tuple[str, ...]
    precious: bool = False

    def missing(self) -> str:
        if not is_systemd() or all(self._is("is-enabled", name) for name in self.names):
            return ""
        return f"systemd: {', '.join(self.names)} enabled and started"

    def do(self) -> None:
        run("systemctl", "daemon-reload")
        run("systemctl", "enable", "--now", *self.names)

    def there(self) -> str:
        there = [name for name in self.names if is_systemd() and self._is("is-enabled", name)]
        return f"systemd: {', '.join(there)} stopped and disabled" if there else ""

    def undo(self) -> None:
        run("systemctl", "disable", "--now", *self.names)

    def _is(self, what: str, name: str) -> bool:
        return subprocess.run(["systemctl", "--quiet", what, name], capture_output=True, check=False).returncode == 0


@dataclass
class CheckedConfiguration:
    """Last step, without a file: check that the suite's user can read the configuration and that it is valid."""

    checkout: Path
    configuration: Path
    user: str
    precious: bool = False

    def missing(self) -> str:
        """Return ""; raise Failed if the configuration is wrong."""
        python = self.checkout / ".venv/bin/python"
        if not python.exists() or not self.configuration.exists():
            return ""  # in a dry run
        done = subprocess.run(
            [python, *_COLLECT],
            cwd=self.checkout, env={"PATH": os.defpath, "SERVERMONITORING_CONFIG": str(self.configuration)},
            user=pwd.getpwnam(self.user).pw_uid, group=grp.getgrnam(self.user).gr_gid, extra_groups=[],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise Failed(f"the checks do not run as user {self.user}:\n{(done.stderr or done.stdout).strip()}")
        return ""

    def do(self) -> None: ...

    def there(self) -> str:
        return ""

    def undo(self) -> None: ...


def is_systemd() -> bool:
    """Return whether systemd runs this machine."""
    return Path("/run/systemd/system").is_dir()
