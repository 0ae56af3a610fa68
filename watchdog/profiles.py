"""The temporary profile directories of browsers: how they are named, and which one a browser uses.

Only names that a driver gives to a profile it made for one session are ours to remove; a directory that a
person chose is not.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from servermonitoring import owner

_TEMPORARY = re.compile(
    r"rust_mozprofile\w{1,40}"  # geckodriver
    r"|tmp[\w-]{1,40}\.mozrunner"  # marionette
    r"|\.?(?:org\.chromium\.Chromium|com\.google\.Chrome)\.[\w.-]{1,40}"  # chromedriver, Chromium
    r"|\.?scoped_dir[\w.-]{0,40}"
)
_OPTION = re.compile(r"--?(?:profile|user-data-dir)(?:=(?P<path>.+))?")


def temporary(name: str) -> bool:
    """Whether drivers, browsers and health checks give such names to what they ought to remove themselves."""
    return _TEMPORARY.fullmatch(name) is not None or owner.is_directory_name(name)


def named_in(arguments: list[str]) -> Iterator[Path]:
    """The profile directories in a browser's command line."""
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        match = _OPTION.fullmatch(argument)
        path = match and (match["path"] or following)
        if path and path.startswith("/"):
            yield Path(path)


def leftovers(arguments: list[str]) -> list[Path]:
    """What a browser that was killed leaves: its temporary profile, and the directory of its socket."""
    found = []
    for profile in named_in(arguments):
        found += [path for path in (profile, *_socket_directory(profile)) if temporary(path.name)]
    return found


def _socket_directory(profile: Path) -> list[Path]:
    """Chromium's, told by a link in its profile."""
    try:
        return [(profile / "SingletonSocket").readlink().parent]
    except OSError:
        return []
