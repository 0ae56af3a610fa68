"""What the subcommands of `watchdog` do; each gives the exit status."""

import argparse
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from servermonitoring import state
from servermonitoring.values import size_in_words
from watchdog import log_stream, rulebook

if TYPE_CHECKING:
    from watchdog.signals import Signals

OK, NOT_DONE, WRONG_CONFIGURATION, ALREADY_RUNNING = 0, 1, 4, 6

log = logging.getLogger(__name__)


def watch(options: argparse.Namespace) -> int:
    from watchdog.signals import Signals

    signals = Signals()
    stream = log_stream.begin()
    try:
        return _watch(options, signals)
    finally:
        stream.finish()


def _watch(options: argparse.Namespace, signals: "Signals") -> int:
    from watchdog import truce
    from watchdog.daemon import Daemon, tell_rules
    from watchdog.outlet import Outlet
    from watchdog.watching import Watch

    book = rulebook.load(options.config)
    directory = None if options.dry_run else _state_directory(book)
    log.info("rules from %s", book.source or "nowhere, so the default one")
    tell_rules(book)
    looks = Watch(book.rules, directory, dry_run=options.dry_run)
    outlet = Outlet(None if options.dry_run else state.location(book.state) / "spool" / "watchdog")
    daemon = Daemon(looks, signals, options.poll_interval, lambda: rulebook.load(options.config), outlet)
    if not options.once:
        looks.state.lock()
    outlet.address(book.addressee)
    if options.once:
        looks.look()
        daemon.finish()
        return OK
    if not options.dry_run:
        looks.truce = truce.begin(book.rules, directory)
        looks.believer.listen()
    daemon.run()
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


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
