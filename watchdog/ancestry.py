"""Who forked whom while a browser is killed, as the kernel tells root (proc connector, netlink).

A process that ends right after a fork leaves a child that nothing in /proc connects with the browser. Without
root, or in a container, nothing is told; then only parents that live and sessions lead to the browser.
"""

import contextlib
import socket
import struct

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
