"""What the subcommands of `watchdog` do; each gives the exit status."""

import argparse
import fcntl
import logging
import os
import sys
from pathlib import Path

from servermonitoring import state
from servermonitoring.values import size_in_words
from watchdog import rulebook

_PATIENCE = 5.0  # seconds that the removal of a profile may take when all else is done
OK, NOT_DONE, WRONG_CONFIGURATION, ALREADY_RUNNING = 0, 1, 4, 6

log = logging.getLogger(__name__)


class AlreadyRunningError(Exception):
    """Another watchdog has this state directory."""


def watch(options: argparse.Namespace) -> int:
    from watchdog import background, daemon, truce
    from watchdog.outlet import Outlet
    from watchdog.watching import Watch

    book = rulebook.load(options.config)
    directory = None if options.dry_run else _state_directory(book)
    log.info("rules from %s", book.source or "nowhere, so the default one")
    daemon.tell_rules(book)
    looks = Watch(book.rules, directory, dry_run=options.dry_run)
    lock = None if directory is None or options.once else _lock(directory)
    outlet = Outlet(None if options.dry_run else state.location(book.state) / "spool" / "watchdog")
    outlet.address(book.addressee)
    if options.once:
        looks.look()
        looks.finish()
        background.wait(_PATIENCE)
        outlet.close()
        return OK
    if not options.dry_run:
        looks.truce = truce.begin(book.rules, directory)
        looks.believer.listen()
    daemon.Daemon(looks, directory, options.poll_interval, lambda: rulebook.load(options.config), outlet).run()
    del lock  # held until here
    return OK


def validate(options: argparse.Namespace) -> int:
    from watchdog.validation import validate_process

    done = [validate_process(pid) for pid in options.pid]
    return OK if all(done) else NOT_DONE


def status(options: argparse.Namespace) -> int:
    from watchdog import status as now
    from watchdog.state import heartbeat

    book = rulebook.load(options.config)
    directory = state.location(book.state)
    _say((now.as_json if options.json else now.as_text)(book.rules, directory))
    return OK if now.running(heartbeat(directory)) else NOT_DONE


def clean(options: argparse.Namespace) -> int:
    from watchdog import cleaning

    found = []
    try:
        for leftover in cleaning.clean(options.directory, options.older_than, dry_run=options.dry_run):
            found.append(leftover)
            if options.dry_run or leftover.error:
                _say(f"{size_in_words(leftover.size):>8}  {leftover.path}  {leftover.error}".rstrip())
    except OSError as error:
        sys.stderr.write(f"{options.directory} cannot be cleaned: {error.strerror}\n")
        return NOT_DONE
    done = [leftover for leftover in found if not leftover.error]
    size = size_in_words(sum(leftover.size for leftover in done))
    _say(f"{len(done)} leftovers of dead browsers {'would be ' * options.dry_run}removed, {size}")
    return OK if len(done) == len(found) else NOT_DONE


def _state_directory(book: rulebook.Rulebook) -> Path | None:
    try:
        return state.directory(book.state, root_may_share=True)
    except OSError as error:
        log.warning("kills and heartbeat cannot be recorded: %s", error)
        return None


def _lock(directory: Path) -> int | None:
    """A descriptor that holds the lock as long as this process lives. Raises AlreadyRunningError."""
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(directory / "watchdog.lock", flags, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise AlreadyRunningError(f"another watchdog runs with the state in {directory}") from None
    except OSError as error:
        log.warning("the state cannot be locked: %s", error)
        return None
    return descriptor


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
