"""What Debian and Ubuntu say of waiting updates, by apt-get's simulation, and of a restart that is required.

apt-get -s changes nothing, takes no lock and needs no network: it knows what the last `apt-get update` has fetched.
"""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from healthchecks import CheckError
from healthchecks.clients.command import run_command
from servermonitoring.files import read_regular

_LARGEST_OUTPUT = 4_000_000  # bytes: two lines for each of some ten thousand packages
_INSTALLATION = re.compile(r"^Inst (\S+) (?:\[[^\]]*\] )?\(\S+ ([^)]*?)(?: \[[^\]]*\])?\)", re.MULTILINE)
_SECURITY = re.compile(r"-security\b", re.IGNORECASE)  # Debian-Security:12/stable-security, Ubuntu:24.04/noble-security
_MOST_NAMES = 1_000
_LONGEST = 200  # characters
_REQUIRED = Path("/run/reboot-required")
_LARGEST_LIST = 100_000  # bytes of the packages that require it


@dataclass(frozen=True)
class WaitingUpdates:
    """Names of packages, at most a thousand, and how many there are."""

    security: tuple[str, ...]
    security_count: int
    count: int


def read_updates() -> WaitingUpdates:
    """Return the updates that wait. Raise CheckError without apt, and without its lists of packages."""
    if not (program := shutil.which("apt-get")):
        raise CheckError("apt-get is not on the PATH: security updates are known on Debian and Ubuntu only")
    options = ("-o", "Debug::NoLocking=true", "-o", "APT::Get::Show-User-Simulation-Note=false")
    output = run_command([program, "-s", "-qq", *options, "dist-upgrade"], {}, Path("/"), largest=_LARGEST_OUTPUT)
    if output.exit_status:
        said = output.errors.strip() or f"exit status {output.exit_status}"
        raise CheckError(f"apt-get -s dist-upgrade: {said.splitlines()[0][:_LONGEST]}")
    return parse_simulation(output.text)


def parse_simulation(text: str) -> WaitingUpdates:
    """Return the updates in what `apt-get -s dist-upgrade` writes: Inst NAME [OLD] (NEW ORIGINS [ARCHITECTURE])."""
    found = [(match[1][:_LONGEST], match[2]) for match in _INSTALLATION.finditer(text)]
    security = [name for name, origins in found if _SECURITY.search(origins)]
    return WaitingUpdates(tuple(security[:_MOST_NAMES]), len(security), len(found))


def read_required_restart(path: Path = _REQUIRED) -> tuple[str, ...] | None:
    """Return the packages that require a restart of the machine, perhaps none; None if it is not required.

    Raise CheckError on other systems: there nothing writes the file.
    """
    if not Path("/etc/debian_version").exists():
        raise CheckError(f"only Debian and Ubuntu write {path}: here it is not known whether a restart is required")
    if not path.exists():
        return None
    try:
        lines = read_regular(path.with_name(f"{path.name}.pkgs"), _LARGEST_LIST).decode(errors="replace").splitlines()
    except OSError:
        return ()
    return tuple(dict.fromkeys(line.strip()[:_LONGEST] for line in lines if line.strip()))[:_MOST_NAMES]
