"""The `watchdog` command: its arguments, what each subcommand does, and its exit status."""

import argparse
import logging
import math
import signal
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from servermonitoring import __version__, state_directory, values
from servermonitoring.values import size_in_words
from watchdog import messages, settings

if TYPE_CHECKING:
    from watchdog.daemon import Signals


OK, NOT_DONE, WRONG_CONFIGURATION, ALREADY_RUNNING = 0, 1, 4, 6
log = logging.getLogger(__name__)


def run_watch(options: argparse.Namespace) -> int:
    from watchdog.daemon import Signals

    signals = Signals()
    stream = messages.log_to_stream()
    try:
        return _watch(options, signals)
    finally:
        stream.finish()


def _watch(options: argparse.Namespace, signals: "Signals") -> int:
    from watchdog.alerting import AlertChannel
    from watchdog.daemon import Daemon, log_rules
    from watchdog.watcher import Watcher, begin_first_start

    config = settings.load(options.config)
    directory = None if options.dry_run else _state_directory(config)
    log.info("rules from %s", config.source or "the built-in default, as no configuration file was found")
    log_rules(config)
    watcher = Watcher(config.rules, directory, dry_run=options.dry_run)
    channel = AlertChannel(None if options.dry_run else state_directory.location(config.state) / "spool" / "watchdog")
    daemon = Daemon(watcher, signals, options.poll_interval, lambda: settings.load(options.config), channel)
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


def run_validate(options: argparse.Namespace) -> int:
    from watchdog.validation import validate_process

    done = [validate_process(pid) for pid in options.pid]
    return OK if all(done) else NOT_DONE


def run_status(options: argparse.Namespace) -> int:
    from servermonitoring.watchdog_state import heartbeat
    from watchdog import status

    config = settings.load(options.config)
    directory = state_directory.location(config.state)
    _print((status.as_json if options.json else status.as_text)(config.rules, directory))
    return OK if status.is_running(heartbeat(directory)) else NOT_DONE


def run_clean(options: argparse.Namespace) -> int:
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


def _state_directory(config: settings.WatchdogSettings) -> Path | None:
    try:
        return state_directory.directory(config.state, root_may_share=True)
    except OSError as error:
        log.warning("kills and heartbeat cannot be recorded: %s", error)
        return None


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")


_POLL_INTERVAL = 30.0  # seconds
_WIDTH = 100  # letters


class _Parser(argparse.ArgumentParser):
    """Prints help of a fixed width: to find the terminal's, argparse imports modules of 0.7 MB for archives."""

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=partial(argparse.HelpFormatter, width=_WIDTH), **options)


def parser() -> argparse.ArgumentParser:
    command = _Parser(prog="watchdog", description="Kills browsers that hang or use too much memory.")
    command.add_argument("--version", action="version", version=f"%(prog)s (servermonitoring) {__version__}")
    subparsers = command.add_subparsers(required=True, metavar="COMMAND")
    for add in (_add_watch, _add_validate, _add_status, _add_clean):
        add(subparsers)
    return command


def _add_watch(subparsers: Any) -> None:
    watch = subparsers.add_parser("watch", help="scan browsers until stopped, and kill those that exceed a limit")
    _add_config(watch)
    watch.add_argument(
        "--poll-interval", type=_interval, default=_POLL_INTERVAL, metavar="S",
        help="longest time between two scans, in seconds (%(default)g)",
    )  # fmt: skip
    watch.add_argument("--once", action="store_true", help="scan once, kill browsers that exceed a limit, and end")
    watch.add_argument("--dry-run", action="store_true", help="log what would be killed; kill and write nothing")
    watch.set_defaults(run=run_watch)


def _add_validate(subparsers: Any) -> None:
    validate = subparsers.add_parser("validate", help="validate browsers: record that they are alive")
    validate.add_argument("pid", type=int, nargs="+", metavar="PID", help="of a browser's main process")
    validate.set_defaults(run=run_validate)


def _add_status(subparsers: Any) -> None:
    status = subparsers.add_parser("status", help="show the browsers, and when they will be killed")
    _add_config(status)
    status.add_argument("--json", action="store_true", help="print JSON")
    status.set_defaults(run=run_status)


def _add_clean(subparsers: Any) -> None:
    clean = subparsers.add_parser("clean", help="remove the temporary directories that dead browsers left")
    clean.add_argument(
        "--older-than",
        type=_duration,
        default=3600.0,
        metavar="AGE",
        help='minimum age, for example "30m" (1h); 0 for any age',
    )
    clean.add_argument("--dry-run", action="store_true", help="list what would be removed, with its size")
    clean.add_argument("--directory", type=Path, default=Path("/tmp"), help="directory to clean (%(default)s)")  # noqa: S108 - where browsers put them
    clean.set_defaults(run=run_clean)


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", metavar="FILE", help="servermonitoring.toml to read the rules from")


def _duration(text: str) -> float:
    try:
        return values.duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _interval(text: str) -> float:
    interval = _duration(text)
    if not 0 < interval < math.inf:
        raise argparse.ArgumentTypeError("must be more than 0")
    return interval


def main(arguments: Sequence[str] | None = None) -> int:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # first of all; the daemon waits for it in a thread
    from servermonitoring.configuration import ConfigurationError
    from watchdog import messages

    options = parser().parse_args(arguments)
    if options.run is not run_watch:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
        messages.log_plainly()
    try:
        return int(options.run(options))
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        return WRONG_CONFIGURATION
    except state_directory.AlreadyRunningError as error:
        sys.stderr.write(f"{error}\n")
        return ALREADY_RUNNING
