"""Which process belongs to which browser: by parents, sessions, and what the kernel reports of forks."""

import contextlib
import socket
import struct

from watchdog import processes
from watchdog.browser import Family
from watchdog.process_table import Table
from watchdog.processes import Process

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
_MOST_KNOWN = 100_000  # forks; more are not remembered
_LONGEST_LINE = 1000  # generations


class Ancestry:
    """The forks of the machine between `listen` and `close`."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._parents: dict[int, int] = {}  # pid → pid

    def listen(self) -> None:
        if self._socket is not None:
            return
        with contextlib.suppress(OSError):
            self._socket = _listening()

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = None
        self._parents.clear()

    def update(self) -> None:
        """Take in what was forked; what overflowed meanwhile is lost."""
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
                self._take(message)

    def line(self, pid: int) -> list[int]:
        """The pids of its parent, of that one's parent … as far as they were forked in this time, and one more."""
        line: list[int] = []
        while (parent := self._parents.get(pid)) is not None and len(line) < _LONGEST_LINE:
            line.append(parent)
            pid = parent
        return line

    def _take(self, message: bytes) -> None:
        if len(message) < _AT + _EVENT.size or len(self._parents) >= _MOST_KNOWN:
            return
        what, _, _, parent, thread, child = _EVENT.unpack_from(message, _AT)
        if what == _FORK and thread == child:
            self._parents[child] = parent


def _listening() -> socket.socket:
    """Raises OSError where the kernel does not tell this user."""
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


class Membership:
    """The processes of all browsers. Who was once seen below one stays its member."""

    def __init__(self) -> None:
        self.ancestry = Ancestry()
        self._of: dict[int, tuple[int, Family]] = {}  # pid → (start, family)
        self._sessions: dict[int, tuple[int, Family]] = {}  # that families have begun; by pid of who did, as above
        self._empty: set[int] = set()  # of them, in which nobody was seen the last time: a child may have been forked

    def __contains__(self, process: Process) -> bool:
        return self._of.get(process.pid, (None,))[0] == process.start

    def forget(self, family: Family) -> None:
        for known in (self._of, self._sessions):
            for pid in [pid for pid, each in known.items() if each[1] is family]:
                del known[pid]

    def adopt(self, process: Process) -> bool:
        """Whether it is below a browser, or one of its processes already."""
        mine = self._of.get(process.pid)
        if mine is not None and mine[0] == process.start:
            mine[1].members[process.pid] = process
            return True
        if mine is not None:
            self._leave(process.pid)
        family = self._child_of(process) or self._in_session_of(process) or self._forked_by(process)
        if family is not None:
            self.join(family, process)
        return family is not None

    def join(self, family: Family, process: Process) -> None:
        family.members[process.pid] = process
        self._of[process.pid] = process.start, family

    def drop_the_dead(self, table: Table) -> None:
        """Only those that are being killed keep their dead, who may have had children."""
        for pid in [pid for pid, (_, family) in self._of.items() if pid not in table.known and not family.dying]:
            self._leave(pid)
        if self._sessions:
            lived_in = {family.members[pid].session for pid, (_, family) in self._of.items() if pid in family.members}
            empty = self._sessions.keys() - lived_in
            for session in empty & self._empty:
                del self._sessions[session]
            self._empty = empty

    def is_dying(self, process: Process) -> bool:
        start, family = self._of.get(process.pid, (0, None))
        return family is not None and family.dying and start == process.start

    def _child_of(self, process: Process) -> Family | None:
        start, family = self._of.get(process.parent, (0, None))
        known = family is not None and start <= process.start and processes.alive(process.parent, start)
        return family if known else None

    def _in_session_of(self, process: Process) -> Family | None:
        """The family that began its session: its parent may have ended before it was seen."""
        began = self._of.get(process.session) or self._sessions.get(process.session)
        if began is None or began[0] > process.start:
            return None
        leader = processes.look(process.session)
        if leader is not None and leader.start != began[0]:
            return None
        self._sessions[process.session] = began
        return began[1]

    def _forked_by(self, process: Process) -> Family | None:
        """The family that is being killed, and forked it, or a parent that was never seen."""
        for pid in self.ancestry.line(process.pid):
            start, family = self._of.get(pid, (0, None))
            if family is not None and family.dying and start <= process.start:
                return family
        return None

    def _leave(self, pid: int) -> None:
        _, family = self._of.pop(pid)
        family.lose(pid)
