"""The kinds of steps that an installation is made of: each knows whether it is done, does it, takes it back."""

import grp
import os
import pwd
import shutil
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class Failed(Exception):  # noqa: N818 - a state of the installation
    """A step could not be done; the text says which, and what was said."""


class Step(Protocol):
    """One thing that is there after an installation."""

    @property
    def precious(self) -> bool:
        """Whether it holds what is the user's own: taken back by --purge only."""

    def missing(self) -> str:
        """What has to be done, in words; empty if nothing."""

    def do(self) -> None: ...

    def there(self) -> str:
        """What can be taken back, in words; empty if nothing."""

    def undo(self) -> None: ...


def carry_out(wanted: Iterable[Step], *, dry_run: bool) -> bool:
    """Do what is missing, in order; whether there was anything."""
    changed = False
    for step in wanted:
        if not (words := step.missing()):
            continue
        changed = True
        print(f"{'would be done: ' * dry_run}{words}", flush=True)
        if not dry_run:
            step.do()
    return changed


def take_back(wanted: Iterable[Step], *, dry_run: bool, purge: bool = False) -> bool:
    """Take back what is there, the last first (what holds the user's own data with `purge` only); whether it was."""
    changed = False
    for step in reversed(list(wanted)):
        if (step.precious and not purge) or not (words := step.there()):
            continue
        changed = True
        print(f"{'would be done: ' * dry_run}{words}", flush=True)
        if not dry_run:
            step.undo()
    return changed


def run(*command: str, **options: object) -> None:
    """Raises Failed with what the command said."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    if done.returncode:
        raise Failed(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")


@dataclass
class SystemUser:
    name: str
    home: Path
    precious: bool = True

    def missing(self) -> str:
        return "" if self._is_there() else f"system user {self.name}: made, without a shell"

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
    """Who may do what with a file or directory."""

    user: str = "root"
    group: str = "root"
    mode: int = 0o755

    def __str__(self) -> str:
        return f"{self.user}:{self.group} {self.mode:04o}"

    def are_set(self, path: Path) -> bool:
        status = path.lstat()
        try:
            owners = pwd.getpwnam(self.user).pw_uid, grp.getgrnam(self.group).gr_gid
        except KeyError:  # not made yet, in a dry run
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
            return f"directory {self.path} ({self.rights}): made"
        return "" if self.rights.are_set(self.path) else f"directory {self.path}: rights set to {self.rights}"

    def do(self) -> None:
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.rights.set(self.path)

    def there(self) -> str:
        return f"directory {self.path}, with all that is in it: removed" if self.path.is_dir() else ""

    def undo(self) -> None:
        shutil.rmtree(self.path)


@dataclass
class File:
    """`ours`: later versions replace it, an edited one is kept beside as `.old`; else the administrator's."""

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
            return f"file {self.path} ({self.rights}): written"
        if self.ours and self.path.read_text() != self.content:
            return f"file {self.path}: replaced, the old one is {self._old.name}"
        return "" if self.rights.are_set(self.path) else f"file {self.path}: rights set to {self.rights}"

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
        return "" if self.path.is_symlink() else f"link {self.path} to {self.target}: made"

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
