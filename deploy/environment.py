"""The steps that are more than a file: the virtual environment, units of systemd, the check of the configuration."""

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

from steps import Failed, run

# No probe runs; without a cache, whose place belongs to another user (--strict-config would mind).
COLLECT = ("-m", "pytest", "-q", "-o", "addopts=", "-p", "no:cacheprovider", "--collect-only", "healthchecks")
_PACKAGES = ("healthchecks", "servermonitoring", "watchdog")


@dataclass
class Environment:
    """The checkout's own .venv, from the lock; made anew in place when the lock or the code is another one."""

    checkout: Path
    after: Callable[[], None]
    precious: bool = False

    def missing(self) -> str:
        if not self._path.is_dir():
            return f"environment {self._path}: made from requirements/healthchecks.lock"
        done = self._stamp.exists() and self._stamp.read_text() == self._fingerprint()
        return "" if done else f"environment {self._path}: brought up to date"

    def do(self) -> None:
        if not (self._path / "bin/pip").exists():
            self._make()
        pip = str(self._path / "bin/pip"), "--quiet", "--disable-pip-version-check", "install", "--no-cache-dir"
        run(*pip, "--require-hashes", "-r", str(self.checkout / "requirements/healthchecks.lock"))
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
        """Once, as root: the user that runs the suite may not write here, and would compile at every run."""
        python = str(self._path / "bin/python")
        run(python, "-m", "compileall", "-q", *_PACKAGES, cwd=self.checkout)
        with tempfile.NamedTemporaryFile(suffix=".toml") as empty:
            run(python, *COLLECT, cwd=self.checkout, env={**os.environ, "SERVERMONITORING_CONFIG": empty.name})

    def _fingerprint(self) -> str:
        """Of all that is installed, and of the Python that runs it."""
        digest = hashlib.sha256(f"{sys.version} {self.checkout}".encode())
        code = [path for package in _PACKAGES for path in sorted((self.checkout / package).rglob("*.py"))]
        for path in (self.checkout / "requirements/healthchecks.lock", self.checkout / "pyproject.toml", *code):
            digest.update(path.read_bytes())
        return digest.hexdigest()


@dataclass
class Units:
    """Timers and services of systemd, started now and at each boot."""

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
    """Not a thing, but the last word: the suite's own user can read the configuration, and it is right."""

    checkout: Path
    configuration: Path
    user: str
    precious: bool = False

    def missing(self) -> str:
        """Looked at in every installation, and told only where it is wrong."""
        python = self.checkout / ".venv/bin/python"
        if not python.exists() or not self.configuration.exists():
            return ""  # in a dry run
        done = subprocess.run(
            [python, *COLLECT],
            cwd=self.checkout, env={"PATH": os.defpath, "SERVERMONITORING_CONFIG": str(self.configuration)},
            user=pwd.getpwnam(self.user).pw_uid, group=grp.getgrnam(self.user).gr_gid, extra_groups=[],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise Failed(f"the checks would not run as user {self.user}:\n{(done.stderr or done.stdout).strip()}")
        return ""

    def do(self) -> None: ...

    def there(self) -> str:
        return ""

    def undo(self) -> None: ...


def is_systemd() -> bool:
    """Whether this machine was started by systemd."""
    return Path("/run/systemd/system").is_dir()
