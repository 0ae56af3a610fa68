"""The steps of an installation: `install` takes them in this order, `uninstall` undoes them in reverse."""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from itertools import chain
from pathlib import Path

from steps import (
    CheckedConfiguration,
    Directory,
    Environment,
    Failed,
    File,
    Link,
    Rights,
    Step,
    SystemUser,
    Units,
    is_systemd,
    run,
)

USER = "servermonitoring"
CHECKOUT = Path(__file__).resolve().parents[1]
SOURCE = CHECKOUT / "deploy"
STATE = Path("/var/lib/servermonitoring")
PAGES = Path("/var/www/servermonitoring")
SECRETS = Path("/etc/servermonitoring")
CONFIGURATION = Path("/etc/servermonitoring.toml")
ADDITIONAL = Path("/etc/servermonitoring.d")  # more configuration files
PASSWORDS = Path("/etc/nginx/servermonitoring.htpasswd")
UNITS = Path("/etc/systemd/system")
RUNTIME = Path("/run/servermonitoring")  # the watchdog's socket; it makes the directory after a reboot
TEMPORARY = Path("/etc/tmpfiles.d/servermonitoring.conf")
_WRITTEN_FOR = "/opt/servermonitoring"  # place of the checkout in the files of this directory
_OTHERS_WRITE = 0o022
_UNITS = (
    "servermonitoring.timer", "servermonitoring-reports.timer", "servermonitoring-clean.timer",
    "servermonitoring-watchdog.service",
)  # fmt: skip

FAREWELL = f"""
Installed. Configure the checks in {CONFIGURATION}, secrets in files below {SECRETS}.
The page is http://127.0.0.1:8377/ for the logins in {PASSWORDS}.
Next steps: docs/operations.md"""


def steps(options: argparse.Namespace) -> list[Step]:
    """Return the steps of an installation with these options."""
    runner = by_systemd(options.every) if options.systemd else by_cron(options.every)
    return [*common(), *runner, *website(), CheckedConfiguration(CHECKOUT, CONFIGURATION, USER)]


def superseded(options: argparse.Namespace) -> list[Step]:
    """Return the steps of the other scheduler, which must not run the same jobs a second time."""
    return by_cron(options.every) if options.systemd else by_systemd(options.every)


def all_steps() -> list[Step]:
    """Return the steps of all installations, in their order."""
    return [*common(), *by_cron(10), *by_systemd(10), *website()]


def kept(*, purge: bool) -> list[str]:
    """Return what an uninstallation keeps, for people."""
    places = [] if purge else [STATE, PAGES, SECRETS, CONFIGURATION, ADDITIONAL, PASSWORDS, f"the system user {USER}"]
    there = [str(each) for each in places if not isinstance(each, Path) or each.exists()]
    return [*there, f"this checkout ({CHECKOUT})"]


def apply(wanted: Iterable[Step], *, dry_run: bool) -> bool:
    """Do what is missing, in order; return whether there was anything."""
    return _carry_out(((step.missing, step.do) for step in wanted), dry_run=dry_run)


def undo(wanted: Iterable[Step], *, dry_run: bool, purge: bool = False) -> bool:
    """Undo what is there, last step first, the user's own data with `purge` only; return whether there was anything."""
    removable = (step for step in reversed(list(wanted)) if purge or not step.precious)
    return _carry_out(((step.there, step.undo) for step in removable), dry_run=dry_run)


def _carry_out(changes: Iterable[tuple[Callable[[], str], Callable[[], None]]], *, dry_run: bool) -> bool:
    """Print what each change is, and make it; return whether there was any. One without words is not needed."""
    changed = False
    for describe, change in changes:
        if words := describe():
            changed = True
            print(f"{'would change: ' * dry_run}{words}", flush=True)
            if not dry_run:
                change()
    return changed


def common() -> list[Step]:
    return [
        SystemUser(USER, STATE),
        Environment(CHECKOUT, after=restart_watchdog),
        Directory(CHECKOUT / ".cache", Rights(), precious=False),
        Directory(CHECKOUT / ".cache/pytest", Rights(USER, USER, 0o700), precious=False),  # for pytest --lf
        Directory(STATE, Rights(USER, USER, 0o700)),
        Directory(PAGES, Rights(USER, "www-data", 0o2750)),  # 2: files there belong to that group
        Directory(SECRETS, Rights("root", USER, 0o750)),
        Directory(RUNTIME, Rights(), precious=False),
        Directory(ADDITIONAL, Rights("root", USER, 0o750)),
        File(CONFIGURATION, text("servermonitoring.toml"), Rights("root", USER, 0o640), ours=False),
        File(TEMPORARY, text("tmpfiles.conf"), Rights(mode=0o644), after=make_temporary),
    ]


def by_cron(every: int) -> list[Step]:
    crontab = text("crontab").replace("*/10", f"*/{every}")
    program = Path("/etc/supervisor/conf.d/servermonitoring-watchdog.conf")
    return [
        File(Path("/etc/cron.d/servermonitoring"), crontab, Rights(mode=0o644)),
        File(program, text("supervisord.conf"), Rights(mode=0o644), after=update_supervisord),
    ]


def by_systemd(every: int) -> list[Step]:
    files = sorted((SOURCE / "systemd").iterdir())
    units = [
        File(UNITS / path.name, text(path).replace("*:0/10", f"*:0/{every}"), Rights(mode=0o644), after=reload_units)
        for path in files
    ]
    return [*units, Units(_UNITS)]


def website() -> list[Step]:
    """Return the steps for nginx if it is installed."""
    if not Path("/etc/nginx").is_dir():
        return []
    site = Path("/etc/nginx/sites-available/servermonitoring")
    return [
        File(PASSWORDS, "", Rights("root", "www-data", 0o640), ours=False),
        File(site, text("nginx.conf"), Rights(mode=0o644), after=reload_nginx),
        Link(Path("/etc/nginx/sites-enabled/servermonitoring"), site, after=reload_nginx),
    ]


def text(name: str | Path) -> str:
    """Return a file of this directory, with the place of this checkout."""
    return (SOURCE / name).read_text().replace(_WRITTEN_FOR, str(CHECKOUT))


def version() -> str:
    """Return the version of this checkout, which need not be installed."""
    sys.path.append(str(CHECKOUT))
    from servermonitoring import __version__

    return __version__


def refuse_unsafe_checkout() -> None:
    """Raise Failed if users other than root can write to the checkout, since root runs its code."""
    if os.geteuid() != 0:
        raise Failed("must be run by root")
    for path in chain([CHECKOUT], CHECKOUT.parents):
        status = path.stat()
        if status.st_uid != 0 or (status.st_mode & _OTHERS_WRITE and not status.st_mode & 0o1000):
            raise Failed(f"users other than root can write to {path}: put the checkout below /opt, owned by root")


def make_temporary() -> None:
    """Create now what systemd creates at each boot, if it does."""
    if TEMPORARY.exists() and shutil.which("systemd-tmpfiles"):
        run("systemd-tmpfiles", "--create", str(TEMPORARY))


def update_supervisord() -> None:
    if _runs("supervisorctl", "pid"):
        run("supervisorctl", "update")


def restart_watchdog() -> None:
    """Restart the watchdog with the new code if it runs."""
    if _runs("supervisorctl", "status", "servermonitoring-watchdog"):
        run("supervisorctl", "restart", "servermonitoring-watchdog")
    if is_systemd():
        run("systemctl", "try-restart", "servermonitoring-watchdog.service")


def reload_units() -> None:
    if is_systemd():
        run("systemctl", "daemon-reload")


def reload_nginx() -> None:
    if Path("/run/nginx.pid").exists():
        run("nginx", "-t", "-q")
        run("nginx", "-s", "reload")


def _runs(*command: str) -> bool:
    if not shutil.which(command[0]):
        return False
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
