"""Arguments of the `watchdog` command. `watchdog watch` loads this in its reader only, as argparse costs 0.7 MB."""

import argparse
import math
from functools import partial
from pathlib import Path
from typing import Any

from servermonitoring import __version__, values

_POLL_INTERVAL = 30.0  # seconds
_WIDTH = 100  # letters


class _Parser(argparse.ArgumentParser):
    """Prints help of a fixed width: to find the terminal's, argparse imports modules of 0.7 MB for archives."""

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=partial(argparse.HelpFormatter, width=_WIDTH), **options)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line; `command` of its result is the name of the subcommand."""
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
    watch.set_defaults(command="watch")


def _add_validate(subparsers: Any) -> None:
    validate = subparsers.add_parser("validate", help="validate browsers: record that they are alive")
    validate.add_argument("pid", type=int, nargs="+", metavar="PID", help="of a browser's main process")
    validate.set_defaults(command="validate")


def _add_status(subparsers: Any) -> None:
    status = subparsers.add_parser("status", help="show the browsers, and when they will be killed")
    _add_config(status)
    status.add_argument("--json", action="store_true", help="print JSON")
    status.set_defaults(command="status")


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
    clean.set_defaults(command="clean")


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
