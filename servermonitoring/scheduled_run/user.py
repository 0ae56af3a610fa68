"""The suite's own user, for a job that cron starts as root.

Debian's cron lets a job write into a file in /tmp, which it mails later. Where the disk is full for all but root only
root can still write there: so one process keeps root's rights, and does nothing but pass on what the other writes.
"""

import os
import pwd
import signal
import sys
from collections.abc import Callable


def run_as(name: str, work: Callable[[], int]) -> int:
    """Return the exit status of this work, done by a process with this user's rights; write what it wrote with ours.

    Raise PermissionError where this process cannot become that user, OSError where there can be no other one.
    """
    user = _find(name)
    if os.geteuid() == user.pw_uid:
        return work()
    if os.geteuid() != 0:
        raise PermissionError(f"only root can become user {name}")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _work(user, work, writing)
    os.close(writing)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _frame: os.kill(child, received))
    _pass_on(reading)
    return abs(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def _find(name: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        raise PermissionError(f"there is no user {name}") from None


def _work(user: pwd.struct_passwd, work: Callable[[], int], output: int) -> None:
    """Never return."""
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
    except BaseException:  # noqa: BLE001 - there is nobody above
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
    finally:
        os._exit(status)


def _pass_on(reading: int) -> None:
    """Until the other process has ended; to standard output, which may be closed or full."""
    while data := os.read(reading, 65536):
        try:
            while data:
                data = data[os.write(1, data) :]
        except OSError:
            continue
