"""The `watchdog` command: what each subcommand does, and its exit status."""

import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from servermonitoring import state_directory
from servermonitoring.values import size_in_words
from watchdog import handover, messages
from watchdog.handover import ALREADY_RUNNING, NOT_DONE, OK, WRONG_CONFIGURATION, WatchdogSettings

if TYPE_CHECKING:
    import argparse

    from watchdog.daemon import Signals

log = logging.getLogger(__name__)


def run_watch(arguments: Sequence[str]) -> int:
    from watchdog.daemon import Signals

    signals = Signals()
    stream = messages.log_to_stream()
    try:
        return _watch(arguments, signals)
    finally:
        stream.finish()


def _watch(arguments: Sequence[str], signals: "Signals") -> int:
    from watchdog.alerting import AlertChannel
    from watchdog.daemon import Daemon, log_rules
    from watchdog.watcher import Watcher, begin_first_start

    options, config = handover.read(arguments)
    directory = None if options.dry_run else _state_directory(config)
    log.info("rules from %s", config.source or "the built-in default, as no configuration file was found")
    log_rules(config)
    watcher = Watcher(config.rules, directory, dry_run=options.dry_run)
    channel = AlertChannel(None if options.dry_run else state_directory.location(config.state) / "spool" / "watchdog")
    daemon = Daemon(watcher, signals, options.poll_interval, lambda: handover.read(arguments)[1], channel)
    if not options.once:
        watcher.state.lock()
    channel.configure(config.alerts)
    if options.once:
        watcher.scan()
        daemon.finish()
        return OK
    if not options.dry_run:
        watcher.first_start = begin_first_start(config.rules, directory)
        watcher.tracker.listen()
    daemon.run()
    return OK


def run_validate(options: "argparse.Namespace") -> int:
    from watchdog.validation import validate_process

    done = [validate_process(pid) for pid in options.pid]
    return OK if all(done) else NOT_DONE


def run_status(options: "argparse.Namespace") -> int:
    from servermonitoring.configuration import ConfigurationError
    from servermonitoring.watchdog_state import heartbeat
    from watchdog import settings, status

    try:
        config = settings.load(options.config)
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        return WRONG_CONFIGURATION
    directory = state_directory.location(config.state)
    _print((status.as_json if options.json else status.as_text)(config.rules, directory))
    return OK if status.is_running(heartbeat(directory)) else NOT_DONE


def run_clean(options: "argparse.Namespace") -> int:
    from watchdog import leftovers

    found = []
    try:
        for leftover in leftovers.clean(options.directory, options.older_than, dry_run=options.dry_run):
            found.append(leftover)
            if options.dry_run or leftover.error:
                _print(f"{size_in_words(leftover.size):>8}  {leftover.path}  {leftover.error}".rstrip())
    except OSError as error:
        sys.stderr.write(f"{options.directory} cannot be cleaned: {error.strerror}\n")
        return NOT_DONE
    done = [leftover for leftover in found if not leftover.error]
    size = size_in_words(sum(leftover.size for leftover in done))
    _print(f"{len(done)} leftovers of dead browsers {'would be ' * options.dry_run}removed, {size}")
    return OK if len(done) == len(found) else NOT_DONE


def _state_directory(config: WatchdogSettings) -> Path | None:
    try:
        return state_directory.directory(config.state, root_may_share=True)
    except OSError as error:
        log.warning("kills and heartbeat cannot be recorded: %s", error)
        return None


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")


_COMMANDS = {"validate": run_validate, "status": run_status, "clean": run_clean}


def main(arguments: Sequence[str] | None = None) -> int:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # first of all; the daemon waits for it in a thread
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        return run_watch(arguments) if arguments[:1] == ["watch"] else _run(arguments)
    except handover.HandoverError as error:
        sys.stderr.write(f"{error}\n" if str(error) else "")
        return error.status
    except state_directory.AlreadyRunningError as error:
        sys.stderr.write(f"{error}\n")
        return ALREADY_RUNNING


def _run(arguments: Sequence[str]) -> int:
    from watchdog.arguments import parser

    options = parser().parse_args(arguments)
    if options.command not in _COMMANDS:
        return run_watch(arguments)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
    messages.log_plainly()
    return _COMMANDS[options.command](options)
