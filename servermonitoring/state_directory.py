"""State directory: holds history, spools, locks and the watchdog's kills."""

import os
from pathlib import Path

from servermonitoring.files import at_home, private_directory, remove_abandoned


def directory(configured: str | None = None, *, root_may_share: bool = False) -> Path:
    """Return the state directory, created with mode 0700.

    It is `[state] directory`, else below $XDG_STATE_HOME, else below ~/.local/state. `root_may_share`: root's watchdog
    writes its state for the suite of another user. Raise OSError if it cannot be created.
    """
    found = private_directory(location(configured), root_may_share=root_may_share)
    remove_abandoned(found)
    return found


def location(configured: str | None = None) -> Path:
    """Return the path of the state directory without creating it."""
    if configured:
        return at_home(configured)
    base = at_home(os.environ.get("XDG_STATE_HOME", ""))
    return (base if base.is_absolute() else at_home("~/.local/state")) / "servermonitoring"
