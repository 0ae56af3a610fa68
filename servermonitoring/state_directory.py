"""Where history, spools, locks and the watchdog's records of kills are kept."""

import os
from pathlib import Path

from servermonitoring.files import at_home, private_directory, remove_abandoned


def directory(configured: str | None = None, *, root_may_share: bool = False) -> Path:
    """The state directory, made with mode 0700.

    `[state] directory`, else below $XDG_STATE_HOME, else below ~/.local/state. `root_may_share`: root's watchdog
    tells the suite of another user what it did.
    Raises OSError where it cannot be made.
    """
    found = private_directory(location(configured), root_may_share=root_may_share)
    remove_abandoned(found)
    return found


def location(configured: str | None = None) -> Path:
    """Where the state directory is or would be; makes nothing."""
    if configured:
        return at_home(configured)
    base = at_home(os.environ.get("XDG_STATE_HOME", ""))
    return (base if base.is_absolute() else at_home("~/.local/state")) / "servermonitoring"
