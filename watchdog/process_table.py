"""The processes of the machine and their forks, kept up to date at little cost.

Only new pids are read, and the order in which the kernel assigns pids shows which are new. A pid may be reused, and a
process may become another program (exec keeps pid and start): so young processes are read again at each scan, and the
names of all others in turn. While a browser is killed, the kernel reports every fork to root.
"""

import contextlib
import socket
import struct
from collections import deque
from collections.abc import Iterable

from watchdog import processes
from watchdog.processes import Process

YOUNG = 10.0  # seconds during which a process is likely to exec
_ROUND = 60.0  # seconds in which every process is read again
_MOST = 200  # of them in one scan, so that a scan stays short
_LIST_EVERY = 30.0  # seconds between two lists of /proc
_FEW = 500  # pids that are cheaper to try than to list /proc
_RETRY_FOR = 0.5  # seconds for which a pid is tried: a fork assigns it before its process is visible


class ProcessTable:
    """All processes; `refresh` returns those that are new or changed."""

    def __init__(self) -> None:
        self.known: dict[int, Process] = {}
        self._young: dict[int, Process] = {}
        self._changes: list[Process] = []  # not returned yet
        self._newest = deque([(0.0, 0)] * 2)  # when, and the newest pid then
        self._listed_at = self._refreshed_at = float("-inf")
        self._turn: list[int] = []  # pids still to be checked again in this round

    def refresh(self, now: float) -> list[Process]:
        """Return processes that are new, or have another program or name. Raise OSError without /proc."""
        newest = self._newest.copy()
        try:
            again = [*self._still_young(now), *self._new(now)]
            self._read([*again, *filter(self._is_renamed, self._next_in_turn(now))])
        except OSError:
            self._newest, self._listed_at = newest, float("-inf")  # the next refresh reads the same, and lists all
            raise
        self._refreshed_at = now
        changed, self._changes = self._changes, []
        return changed

    def _new(self, now: float) -> list[int]:
        """Return pids that may be new. They are assigned in order, so /proc is listed only now and then."""
        newest, (_, first), (_, read) = processes.newest_pid(), self._newest[0], self._newest[-1]
        none = self._is_settled(newest)
        self._newest.append((now, newest))
        while len(self._newest) > 2 and self._newest[1][0] <= now - _RETRY_FOR:  # noqa: PLR2004 - the last two stay
            self._newest.popleft()
        if (none or 0 <= newest - first <= _FEW) and now - self._listed_at <= _LIST_EVERY:
            tried = range(first + 1, newest + 1)
            new = [pid for pid in tried if pid not in self.known and processes.is_process(pid)]
            return [*new, *(pid for pid in tried if pid in self.known and _is_between(pid, read, newest))]
        self._listed_at = now
        there = processes.pids()
        for pid in self.known.keys() - there:
            del self.known[pid]
        return sorted(pid for pid in there if pid not in self.known or _is_between(pid, read, newest))

    def _is_settled(self, newest: int) -> bool:
        """Return whether no assigned pid is left to be tried."""
        return all(each == newest for _, each in self._newest)

    def is_stale(self, now: float) -> bool:
        """Return whether a refresh may find something new; costs almost nothing."""
        settled = self._is_settled(processes.newest_pid()) and self._listed_at > float("-inf")
        return not settled or bool(self._still_young(now))

    def _still_young(self, now: float) -> list[int]:
        self._young = {pid: each for pid, each in self._young.items() if now - each.started_at < YOUNG}
        return list(self._young)

    def _read(self, pids: Iterable[int]) -> None:
        for pid in pids:
            process, before = processes.find(pid), self.known.get(pid)
            if process is None:
                self.known.pop(pid, None)
                self._young.pop(pid, None)
            elif before is None or _other(process, before):
                self.known[pid] = self._young[pid] = process
                self._changes.append(process)

    def _is_renamed(self, pid: int) -> bool:
        """Return whether a known process has another name or is gone; a name costs half as much as all of it."""
        before = self.known.get(pid)
        return before is not None and processes.name(pid) != before.name

    def _next_in_turn(self, now: float) -> list[int]:
        if not self._turn:
            self._turn = list(self.known)
        share = (now - self._refreshed_at) / _ROUND
        count = min(_MOST, len(self._turn), int(len(self.known) * min(1.0, share)) + 1)
        turn, self._turn = self._turn[-count:], self._turn[:-count]
        return turn


def _other(process: Process, before: Process) -> bool:
    """Return whether it is another process, or has changed its program or its session."""
    return (*process[:2], process.name, process.session) != (*before[:2], before.name, before.session)


def _is_between(pid: int, read: int, newest: int) -> bool:
    """Return whether the pid was assigned after the one read last; it may be another process. Pids wrap around."""
    return read < pid <= newest if read <= newest else pid > read or pid <= newest


_CONNECTOR = 11  # NETLINK_CONNECTOR
_PROCESSES = 1  # CN_IDX_PROC, CN_VAL_PROC
_LISTEN = 1  # PROC_CN_MCAST_LISTEN
_DONE = 3  # NLMSG_DONE
_FORK = 1  # PROC_EVENT_FORK
_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr: length, type, flags, sequence, port
_MESSAGE = struct.Struct("=IIIIHH")  # struct cn_msg: index, value, sequence, acknowledgement, length, flags
_EVENT = struct.Struct("=II8x4I")  # what, processor, time; parent's thread and pid, child's thread and pid
_AT = _HEADER.size + _MESSAGE.size
_SO_RCVBUFFORCE = 33  # Python has no name for it
_BUFFER = 4_000_000  # bytes; some thousand events
_MOST_READ = 20_000  # events at once
_MOST_KNOWN = 100_000  # forks; later ones are ignored
_LONGEST_LINE = 1000  # generations


class ForkListener:
    """Receives the forks of the machine between `listen` and `close`."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._parents: dict[int, int] = {}  # pid → pid

    def listen(self) -> None:
        if self._socket is not None:
            return
        with contextlib.suppress(OSError):
            self._socket = _connect()

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = None
        self._parents.clear()

    def update(self) -> None:
        """Read the events that have arrived; events that overflowed the buffer are lost."""
        if self._socket is None:
            return
        for _ in range(_MOST_READ):
            try:
                message, (port, _) = self._socket.recvfrom(1024)
            except BlockingIOError:
                return
            except OSError:
                continue  # ENOBUFS: some were lost
            if port == 0:  # from the kernel
                self._add(message)

    def ancestors(self, pid: int) -> list[int]:
        """Return the pids of its parent, grandparent … as far as their forks were received."""
        line: list[int] = []
        while (parent := self._parents.get(pid)) is not None and len(line) < _LONGEST_LINE:
            line.append(parent)
            pid = parent
        return line

    def _add(self, message: bytes) -> None:
        if len(message) < _AT + _EVENT.size or len(self._parents) >= _MOST_KNOWN:
            return
        what, _, _, parent, thread, child = _EVENT.unpack_from(message, _AT)
        if what == _FORK and thread == child:
            self._parents[child] = parent


def _connect() -> socket.socket:
    """Return a socket that receives forks. Raise OSError where the kernel does not allow it to this user."""
    connector = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, _CONNECTOR)
    try:
        connector.bind((0, _PROCESSES))
        with contextlib.suppress(OSError):
            connector.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        wish = struct.pack("=I", _LISTEN)
        body = _MESSAGE.pack(_PROCESSES, _PROCESSES, 0, 0, len(wish), 0) + wish
        connector.send(_HEADER.pack(_HEADER.size + len(body), _DONE, 0, 0, 0) + body)
    except BaseException:
        connector.close()
        raise
    return connector
