"""What an installation consists of, and where: the list that `install` walks down and `uninstall` walks up."""

import argparse
import os
import shutil
import subprocess
import sys
from itertools import chain
from pathlib import Path

from environment import CheckedConfiguration, Environment, Units, is_systemd
from steps import Directory, Failed, File, Link, Rights, Step, SystemUser, run

USER = "servermonitoring"
CHECKOUT = Path(__file__).resolve().parents[1]
SOURCE = CHECKOUT / "deploy"
STATE = Path("/var/lib/servermonitoring")
PAGES = Path("/var/www/servermonitoring")
SECRETS = Path("/etc/servermonitoring")
CONFIGURATION = Path("/etc/servermonitoring.toml")
PASSWORDS = Path("/etc/nginx/servermonitoring.htpasswd")
UNITS = Path("/etc/systemd/system")
RUNTIME = Path("/run/servermonitoring")  # the watchdog's socket; it makes the directory after a reboot
TEMPORARY = Path("/etc/tmpfiles.d/servermonitoring.conf")
_WRITTEN_FOR = "/opt/servermonitoring"  # where the files of this directory take the checkout to be
_OTHERS_WRITE = 0o022
_UNITS = (
    "servermonitoring.timer", "servermonitoring-reports.timer", "servermonitoring-clean.timer",
    "servermonitoring-watchdog.service",
)  # fmt: skip

FAREWELL = f"""
Done. The checks are in {CONFIGURATION}, secrets in files below {SECRETS}.
The page is served on http://127.0.0.1:8377/ to those who are in {PASSWORDS}.
docs/operations.md has the rest."""


def steps(options: argparse.Namespace) -> list[Step]:
    """What an installation with these options is made of."""
    runner = by_systemd(options.every) if options.systemd else by_cron(options.every)
    return [*common(), *runner, *website(), CheckedConfiguration(CHECKOUT, CONFIGURATION, USER)]


def superseded(options: argparse.Namespace) -> list[Step]:
    """What another installation may have left that would do the same work a second time."""
    return by_cron(options.every) if options.systemd else by_systemd(options.every)


def all_steps() -> list[Step]:
    """What any installation may have left, in the order it was made in."""
    return [*common(), *by_cron(10), *by_systemd(10), *website()]


def left(*, purge: bool) -> list[str]:
    """What an uninstallation leaves, for people."""
    kept = [] if purge else [STATE, PAGES, SECRETS, CONFIGURATION, PASSWORDS, f"the system user {USER}"]
    there = [str(each) for each in kept if not isinstance(each, Path) or each.exists()]
    return [*there, f"this checkout ({CHECKOUT})"]


def common() -> list[Step]:
    return [
        SystemUser(USER, STATE),
        Environment(CHECKOUT, after=restart_watchdog),
        Directory(CHECKOUT / ".cache", Rights(), precious=False),
        Directory(CHECKOUT / ".cache/pytest", Rights(USER, USER, 0o700), precious=False),  # for pytest --lf
        Directory(STATE, Rights(USER, USER, 0o700)),
        Directory(PAGES, Rights(USER, "www-data", 0o2750)),  # 2: what is written there is readable by that group
        Directory(SECRETS, Rights("root", USER, 0o750)),
        Directory(RUNTIME, Rights(), precious=False),
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
    """Where nginx is installed."""
    if not Path("/etc/nginx").is_dir():
        return []
    site = Path("/etc/nginx/sites-available/servermonitoring")
    return [
        File(PASSWORDS, "", Rights("root", "www-data", 0o640), ours=False),
        File(site, text("nginx.conf"), Rights(mode=0o644), after=reload_nginx),
        Link(Path("/etc/nginx/sites-enabled/servermonitoring"), site, after=reload_nginx),
    ]


def text(name: str | Path) -> str:
    """One of the files beside this one, for the checkout where it is."""
    return (SOURCE / name).read_text().replace(_WRITTEN_FOR, str(CHECKOUT))


def version() -> str:
    """Return the version of this checkout, which need not be installed."""
    sys.path.append(str(CHECKOUT))
    from servermonitoring import __version__

    return __version__


def refuse_unsafe_checkout() -> None:
    """Root will run what is in it: nobody else may be able to write there. Raises Failed."""
    if os.geteuid() != 0:
        raise Failed("has to be run by root")
    for path in chain([CHECKOUT], CHECKOUT.parents):
        status = path.stat()
        if status.st_uid != 0 or (status.st_mode & _OTHERS_WRITE and not status.st_mode & 0o1000):
            raise Failed(f"others than root can write to {path}: put the checkout below /opt, owned by root")


def make_temporary() -> None:
    """What systemd makes at each boot, where it does."""
    if TEMPORARY.exists() and shutil.which("systemd-tmpfiles"):
        run("systemd-tmpfiles", "--create", str(TEMPORARY))


def update_supervisord() -> None:
    if _runs("supervisorctl", "pid"):
        run("supervisorctl", "update")


def restart_watchdog() -> None:
    """With the new code, where it runs already."""
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
