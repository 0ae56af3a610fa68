"""Membership of processes in browsers: by parents, sessions, and the kernel's reports of forks."""

import contextlib
import socket
import struct

from watchdog import processes
from watchdog.browser import Browser
from watchdog.process_table import ProcessTable
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


class Membership:
    """The processes of all browsers. A process that was once a descendant of a browser stays its member."""

    def __init__(self) -> None:
        self.forks = ForkListener()
        self._of: dict[int, tuple[int, Browser]] = {}  # pid → (start, browser)
        self._sessions: dict[int, tuple[int, Browser]] = {}  # begun by members: pid of the leader → (start, browser)
        self._empty: set[int] = set()  # sessions without a process at the last scan: a child may have been forked

    def __contains__(self, process: Process) -> bool:
        return self._of.get(process.pid, (None,))[0] == process.start

    def forget(self, browser: Browser) -> None:
        for known in (self._of, self._sessions):
            for pid in [pid for pid, each in known.items() if each[1] is browser]:
                del known[pid]

    def adopt(self, process: Process) -> bool:
        """Make a descendant of a browser its member; return whether it is one."""
        own = self._of.get(process.pid)
        if own is not None and own[0] == process.start:
            own[1].members[process.pid] = process
            return True
        if own is not None:
            self._leave(process.pid)
        browser = self._child_of(process) or self._in_session_of(process) or self._forked_by(process)
        if browser is not None:
            self.join(browser, process)
        return browser is not None

    def join(self, browser: Browser, process: Process) -> None:
        browser.members[process.pid] = process
        self._of[process.pid] = process.start, browser

    def drop_dead(self, table: ProcessTable) -> None:
        """Drop dead members, except of browsers that are being killed: those may have had children."""
        for pid in [pid for pid, (_, browser) in self._of.items() if pid not in table.known and not browser.is_dying]:
            self._leave(pid)
        if self._sessions:
            members = [browser.members[pid] for pid, (_, browser) in self._of.items() if pid in browser.members]
            empty = self._sessions.keys() - {member.session for member in members}
            for session in empty & self._empty:
                del self._sessions[session]
            self._empty = empty

    def is_dying(self, process: Process) -> bool:
        start, browser = self._of.get(process.pid, (0, None))
        return browser is not None and browser.is_dying and start == process.start

    def _child_of(self, process: Process) -> Browser | None:
        start, browser = self._of.get(process.parent, (0, None))
        is_known = browser is not None and start <= process.start and processes.alive(process.parent, start)
        return browser if is_known else None

    def _in_session_of(self, process: Process) -> Browser | None:
        """Return the browser that began its session: its parent may have ended before it was seen."""
        began = self._of.get(process.session) or self._sessions.get(process.session)
        if began is None or began[0] > process.start:
            return None
        leader = processes.find(process.session)
        if leader is not None and leader.start != began[0]:
            return None
        self._sessions[process.session] = began
        return began[1]

    def _forked_by(self, process: Process) -> Browser | None:
        """Return the browser that is being killed and forked it, or a parent that was never seen."""
        for pid in self.forks.ancestors(process.pid):
            start, browser = self._of.get(pid, (0, None))
            if browser is not None and browser.is_dying and start <= process.start:
                return browser
        return None

    def _leave(self, pid: int) -> None:
        _, browser = self._of.pop(pid)
        browser.remove_member(pid)
