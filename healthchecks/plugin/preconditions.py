"""Runs that are refused before anything is contacted or written: without asserts, or in the directories of others."""

import os
import pwd
import shlex
import sys
from pathlib import Path

import pytest

from healthchecks.plugin.run import Run

_CACHE = ("lfplugin", "nfplugin", "stepwiseplugin")  # which write at the end of every run


def refuse_optimized() -> None:
    """Raise pytest.UsageError if Python leaves out asserts (-O): every check would pass."""
    if not __debug__:
        raise pytest.UsageError(
            "Python was started with -O (or $PYTHONOPTIMIZE), without which checks assert nothing: start it without"
        )


def refuse_foreign_directories(run: Run, config: pytest.Config) -> None:
    """Raise pytest.UsageError where this user would leave files that the directories' owner could not read."""
    for what, wrong in (("state", _state(run.directory)), ("page", _page(run.page_directory))):
        if wrong:
            for name in _CACHE:
                config.pluginmanager.unregister(name=name)
            raise pytest.UsageError(f"the {what} directory {wrong}")


def _state(directory: Path) -> str:
    """Root would write into it, or make it; another user could not keep it private."""
    place, owner = _nearest(directory)
    me = os.geteuid()
    if me == 0 and owner != 0:
        return f"{place} belongs to {_name(owner)}: {_instead(owner)}"
    if owner != me and place == directory:
        keep = "name another in [state] directory"
        return f"{place} belongs to {_name(owner)}, not to {_name(me)}: {keep}, or {_instead(owner)}"
    return ""


def _page(directory: Path) -> str:
    place, owner = _nearest(directory)
    if os.geteuid() == 0 and owner != 0 and place == directory:
        return f"{place} belongs to {_name(owner)}: {_instead(owner)}"
    return ""


def _nearest(directory: Path) -> tuple[Path, int]:
    """The directory or, where it is still to be made, the one that is there above it; and its owner."""
    for place in (directory, *directory.absolute().parents):
        try:
            return place, place.stat().st_uid
        except OSError:
            continue
    return directory, os.geteuid()


def _name(uid: int) -> str:
    try:
        return f"user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"user {uid}"


def _instead(uid: int) -> str:
    """What to type."""
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = f"#{uid}"
    return f"run `sudo -u {shlex.quote(user)} {shlex.join(sys.argv)}`"
