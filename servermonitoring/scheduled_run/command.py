"""`deploy/scheduled [--user NAME] [--timeout SECONDS] ARGUMENTS…`: one run of `pytest ARGUMENTS…`, scheduled.

Status 0 and no word if the run finished and recorded its end, whatever its checks say: that is for alerts and page.
Else it prints why, for cron's mail and systemd's journal, and sends an alert by the shortest way.
"""

import argparse
import os
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from servermonitoring.files import open_standard
from servermonitoring.scheduled_run.process import Ending, Fault, Process
from servermonitoring.scheduled_run.user import run_as

if TYPE_CHECKING:
    from servermonitoring.scheduled_run.settings import Settings

_DESCRIPTION = "One run of pytest, watched: silent if it finished and recorded its end, else an alert and why."
_LAST_LINE = 500  # characters of it in an alert's message
_OUTPUT = 2000  # characters of it in an alert


def main(arguments: Sequence[str], checkout: str) -> int:
    """Run pytest, report what went wrong, and return the exit status."""
    open_standard()
    options = _parse(arguments)
    work = partial(_scheduled, options.arguments, options.timeout, checkout)
    return run_as(options.user, work) if options.user else work()


def _scheduled(words: Sequence[str], timeout: float, checkout: str) -> int:
    directory = Path(checkout).resolve()
    command = [str(directory / ".venv/bin/pytest"), *words]
    ending = _run(command, timeout, directory)
    fault = Fault.of(ending, timeout)
    if fault:
        _print(f"{ending.output.rstrip()}\n\n{fault.text}\ncommand: {' '.join(command)}".lstrip())
    if not ending.stopped:  # whoever ends it from outside knows
        _alert(fault, ending, " ".join(command))
    return fault.status if fault else 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="deploy/scheduled", description=_DESCRIPTION, allow_abbrev=False)
    parser.add_argument("--user", metavar="NAME", help="started by root: the user to run as")
    parser.add_argument("--timeout", metavar="SECONDS", type=float, default=540.0, help="for the whole run (540)")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGUMENTS", help="of pytest")
    return parser.parse_args(arguments)


def _run(command: Sequence[str], timeout: float, directory: Path) -> Ending:
    try:
        os.chdir(directory)
        return Process(command, timeout).wait()
    except OSError as error:
        return Ending(error=f"{error.filename or command[0]}: {error.strerror or error}")


def _alert(fault: Fault | None, ending: Ending, command: str) -> None:
    """Alert what was not alerted lately, or forget what was. What is needed for it is loaded only now."""
    from servermonitoring.scheduled_run.alert import Repetition
    from servermonitoring.scheduled_run.settings import Settings
    from servermonitoring.values import in_words

    settings = Settings()
    repetition = Repetition(command, settings.state_directory)
    now = time.time()
    if fault is None:
        repetition.forget()
    elif fault.is_alerted:
        _print("alert: left to the run, which came to its end")
    elif (age := repetition.age(fault.kind, now)) is not None:
        _print(f"alert: sent {in_words(age)} ago")
    elif _send(fault, ending, settings):
        repetition.remember(fault.kind, now)


def _send(fault: Fault, ending: Ending, settings: "Settings") -> bool:
    """Whether anybody has taken it."""
    from servermonitoring.scheduled_run.alert import Alert, send
    from servermonitoring.scrubbing import scrub

    output = scrub(ending.output)
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    last = f": {lines[-1][:_LAST_LINE]}" if lines and not ending.completion else ""
    tried = send(Alert(scrub(fault.text) + last, output[-_OUTPUT:]), settings)
    for receiver, wrong in tried:
        _print(f"alert: not sent to {receiver}: {scrub(wrong)}" if wrong else f"alert: sent to {receiver}")
    if not tried:
        _print("alert: none is sent, for there is no [sentry] dsn and no [alerts] webhook")
    return any(not wrong for _, wrong in tried)


def _print(text: str) -> None:
    """To standard output, which may be closed or full."""
    try:
        os.write(1, f"{text}\n".encode(errors="backslashreplace"))
    except OSError:
        return
