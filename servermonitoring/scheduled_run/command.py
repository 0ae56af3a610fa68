"""Command line `deploy/scheduled [--user NAME] [--delay SECONDS] [--timeout SECONDS] ARGUMENTS…`: runs pytest.

It exits with 0 and prints nothing if the run finished and recorded its end, also when checks fail: alerts and page show
those. Else it prints the fault, for cron's mail and systemd's journal, and sends an alert directly. Started by root,
as from cron, it first changes to the suite's user.
"""

import argparse
import hashlib
import os
import pwd
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from servermonitoring.files import open_standard
from servermonitoring.scheduled_run.process import Fault, RunEnd, RunProcess

if TYPE_CHECKING:
    from servermonitoring.scheduled_run.settings import DirectAlertSettings

_DESCRIPTION = "Run pytest once; print nothing if the run recorded its end, else print the fault and send an alert."
_DELAY = "begin later by a part of SECONDS that depends on the name of this host, always the same (0)"
_LONGEST_DELAY = 3600.0  # seconds
_INTERRUPTED = 130  # exit status, as of a shell
_LAST_LINE = 500  # characters of it in an alert's message
_OUTPUT = 2000  # characters of it in an alert


def main(arguments: Sequence[str], checkout: str) -> int:
    """Run pytest, report its fault if there is one, and return the exit status."""
    open_standard()
    options = _parse(arguments)
    wait = delay_of(socket.gethostname(), options.delay)
    work = partial(_scheduled, options.arguments, wait, options.timeout, checkout)
    return _run_as(options.user, work) if options.user else work()


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="deploy/scheduled", description=_DESCRIPTION, allow_abbrev=False)
    parser.add_argument("--user", metavar="NAME", help="started by root: the user to run as")
    parser.add_argument("--delay", metavar="SECONDS", type=_delay, default=0.0, help=_DELAY)
    parser.add_argument("--timeout", metavar="SECONDS", type=float, default=540.0, help="for the whole run (540)")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGUMENTS", help="of pytest")
    return parser.parse_args(arguments)


def _delay(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= _LONGEST_DELAY:
        raise argparse.ArgumentTypeError(f"{text} is no delay: write seconds from 0 to {_LONGEST_DELAY:g}")
    return seconds


def delay_of(host: str, longest: float) -> float:
    """Return for how many seconds this host waits, from 0 to `longest`: always the same, another one for each host.

    So hosts that one crontab starts in the same second do not meet at Sentry or at a shared database, and the time
    from one run to the next stays the same.
    """
    digest = hashlib.sha256(host.encode(errors="replace")).digest()
    return longest * int.from_bytes(digest[:4], "big") / 2**32


def _run_as(name: str, work: Callable[[], int]) -> int:
    """Do the work in a process with the user's rights, write its output with ours, and return its exit status.

    Debian's cron keeps a job's output in a file in /tmp before it mails it. On a disk that is full for all but root,
    only root can write there: so one process keeps root's rights and only forwards what the other writes.

    Raise PermissionError if this process cannot become that user, OSError if no process can be started.
    """
    user = _user(name)
    if os.geteuid() == user.pw_uid:
        return work()
    if os.geteuid() != 0:
        raise PermissionError(f"only root can become user {name}")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _work_as(user, work, writing)
    os.close(writing)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _frame: os.kill(child, received))
    _pass_on(reading)
    return abs(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def _user(name: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        raise PermissionError(f"there is no user {name}") from None


def _work_as(user: pwd.struct_passwd, work: Callable[[], int], output: int) -> None:
    """Do the work as the user and end the process."""
    status = 1
    try:
        for number in (1, 2):
            os.dup2(output, number)
        os.close(output)
        os.initgroups(user.pw_name, user.pw_gid)
        os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
        os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)
        os.environ |= {"HOME": user.pw_dir, "USER": user.pw_name, "LOGNAME": user.pw_name}
        status = work()
    except BaseException:  # noqa: BLE001 - no caller is left
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
    finally:
        os._exit(status)


def _pass_on(reading: int) -> None:
    """Forward to standard output, which may be closed or full, until the other process has ended."""
    while data := os.read(reading, 65536):
        try:
            while data:
                data = data[os.write(1, data) :]
        except OSError:
            continue


def _scheduled(words: Sequence[str], wait: float, timeout: float, checkout: str) -> int:
    try:
        time.sleep(wait)
    except KeyboardInterrupt:
        return _INTERRUPTED
    directory = Path(checkout).resolve()
    command = [str(directory / ".venv/bin/pytest"), *words]
    end = _run(command, timeout, directory)
    fault = Fault.of(end, timeout)
    if fault:
        _print(f"{end.output.rstrip()}\n\n{fault.text}\ncommand: {' '.join(command)}".lstrip())
    if not end.stopped:  # the person who stops it knows
        _alert(fault, end, " ".join(command))
        if fault and not end.completion and (key := _heartbeat_key(words)):
            _ping(fault, key)
    return fault.status if fault else 0


def _run(command: Sequence[str], timeout: float, directory: Path) -> RunEnd:
    try:
        os.chdir(directory)
        return RunProcess(command, timeout).wait()
    except OSError as error:
        return RunEnd(error=f"{error.filename or command[0]}: {error.strerror or error}")


def _alert(fault: Fault | None, end: RunEnd, command: str) -> None:
    """Alert a fault unless it was alerted lately; without one, remove the record of alerts."""
    from servermonitoring.scheduled_run.sent_alerts import SentAlerts
    from servermonitoring.scheduled_run.settings import DirectAlertSettings
    from servermonitoring.values import in_words

    settings = DirectAlertSettings()
    sent_alerts = SentAlerts(command, settings.state_directory)
    now = time.time()
    if fault is None:
        if (since := sent_alerts.forget(now)) is not None:
            _send_recovery(since, now, settings)
    elif fault.is_alerted:
        _print("alert: sent by the run itself")
    elif (age := sent_alerts.age(fault.kind, now)) is not None:
        _print(f"alert: sent {in_words(age)} ago")
    elif _send(fault, end, settings):
        sent_alerts.remember(fault.kind, now)


def _send_recovery(since: float, now: float, settings: "DirectAlertSettings") -> None:
    """Send that the command works again; print only what went wrong, as this is no fault."""
    from servermonitoring.scheduled_run.alert import FaultAlert, send
    from servermonitoring.scrubbing import scrub

    for channel, error in send(FaultAlert.of_recovery(since, now), settings):
        if error:
            _print(f"recovery: not sent to {channel}: {scrub(error)}")


def _send(fault: Fault, end: RunEnd, settings: "DirectAlertSettings") -> bool:
    """Send the alert and return whether a channel took it."""
    from servermonitoring.scheduled_run.alert import FaultAlert, send
    from servermonitoring.scrubbing import scrub

    output = scrub(end.output)
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    last = f": {lines[-1][:_LAST_LINE]}" if lines and not end.completion else ""
    tried = send(FaultAlert(scrub(fault.text) + last, output[-_OUTPUT:]), settings)
    for channel, error in tried:
        _print(f"alert: not sent to {channel}: {scrub(error)}" if error else f"alert: sent to {channel}")
    if not tried:
        _print("alert: not sent: no [sentry] dsn, [alerts] webhook or [alerts] notify in the configuration takes it")
    return any(not error for _, error in tried)


_PARTS = (  # runs that have no heartbeat
    "-k", "-m", "--lf", "--deselect", "-x", "--monitoring-no-alerts", "--monitoring-param",
)  # fmt: skip


def _heartbeat_key(words: Sequence[str]) -> str:
    """Return the key of `[heartbeat]` for `pytest WORDS`: of all checks or of all reports; "" for a part of them."""
    if any(each.startswith(_PARTS) or "::" in each for each in words):
        return ""
    names = {Path(each).name for each in words}
    return "url" if "healthchecks" in names else "reports_url" if "reports" in names else ""


def _ping(fault: Fault, key: str) -> None:
    """Report the failure to the service of `[heartbeat]`: a run that recorded its end has done so itself."""
    from servermonitoring.scheduled_run.alert import ping_failure
    from servermonitoring.scheduled_run.settings import DirectAlertSettings
    from servermonitoring.scrubbing import scrub

    error = ping_failure(scrub(fault.text), DirectAlertSettings(), key)
    if error is not None:
        _print(f"heartbeat: failure not sent: {scrub(error)}" if error else "heartbeat: failure sent")


def _print(text: str) -> None:
    """Write to standard output, which may be closed or full."""
    try:
        os.write(1, f"{text}\n".encode(errors="backslashreplace"))
    except OSError:
        return
