"""Meter of a command: runs it, and writes what it and all its descendants cost.

Orphans of the command become its children (prctl(2), PR_SET_CHILD_SUBREAPER), so that the kernel's sum for ended
children includes every process. What is left when the command ends, or when stdin does, is killed.
Usage: meter.py SECONDS INTERVAL OUTPUT COMMAND... It kills the command after SECONDS, samples its memory every INTERVAL
seconds (0: never) and writes its output to the file OUTPUT; to stdout: wall and CPU seconds, peak of the memory in
bytes, and exit status, as JSON.
"""

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of linux/prctl.h


def main() -> None:
    limit, interval, output, *command = sys.argv[1:]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if ctypes.CDLL(None, use_errno=True).prctl(_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    started = time.monotonic()
    try:
        pid = _spawn(command, output)
        peak = _wait(pid, started + float(limit), float(interval))
        wall, status = time.monotonic() - started, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    finally:
        _end_descendants()
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(json.dumps({"wall": wall, "cpu": usage.ru_utime + usage.ru_stime, "peak": peak, "status": status}))


def _spawn(command: list[str], output: str) -> int:
    files = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    return os.posix_spawnp(command[0], command, os.environ, file_actions=files, setsigdef=[signal.SIGPIPE])


def _wait(pid: int, end: float, interval: float) -> int:
    """Return the peak of the memory in bytes when the command has ended; kill it at the end of its time."""
    peak, events = 0, select.poll()
    descriptor = os.pidfd_open(pid)
    events.register(descriptor, select.POLLIN)
    events.register(0, select.POLLIN)
    while (left := end - time.monotonic()) > 0:
        ready = events.poll(1000 * (min(interval, left) if interval else left))
        if any(number == 0 for number, _ in ready):
            sys.exit("the benchmark has ended")
        if ready:
            return peak
        if interval:
            peak = max(peak, sum(map(memory, _descendants())))
    os.kill(pid, signal.SIGKILL)
    return peak


def memory(pid: int) -> int:
    """Return the proportional set size in bytes: each page counts once, divided among the processes that share it."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def _descendants() -> list[int]:
    parents = dict(_parents())
    found = [os.getpid()]
    for each in found:
        found.extend(pid for pid, parent in parents.items() if parent == each)
    return found[1:]


def _parents() -> Iterator[tuple[int, int]]:
    """Yield each process with its parent, as in proc(5)."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            yield int(path.parent.name), int(path.read_text().rpartition(")")[2].split()[1])


def _end_descendants() -> None:
    """Kill and wait until none is left, whatever they start meanwhile."""
    with contextlib.suppress(ChildProcessError):
        while True:
            for each in _descendants():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(each, signal.SIGKILL)
            os.waitpid(-1, 0)


if __name__ == "__main__":
    main()
