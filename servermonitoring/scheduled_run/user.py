"""Change to the suite's user, for a job that cron starts as root.

Debian's cron keeps a job's output in a file in /tmp before it mails it. On a disk that is full for all but root, only
root can write there: so one process keeps root's rights and only forwards what the other writes.
"""

import os
import pwd
import signal
import sys
from collections.abc import Callable


def run_as(name: str, work: Callable[[], int]) -> int:
    """Do the work in a process with the user's rights, write its output with ours, and return its exit status.

    Raise PermissionError if this process cannot become that user, OSError if no process can be started.
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
