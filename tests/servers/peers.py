"""Peers of a test's own: what is done with each connection is a function of its socket."""

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from tests.servers.server import HOST

Act = Callable[[socket.socket], None]
OLD_VERSIONS = (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1)


@contextlib.contextmanager
def peer(act: Act) -> Iterator[int]:
    """The port of a server that does this with each connection, and closes it."""
    with socket.create_server((HOST, 0)) as listener:
        threading.Thread(target=_serve, args=(listener, act), daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)  # lets the thread that accepts go on


@contextlib.contextmanager
def datagram_peer(act: Callable[[bytes], Iterable[bytes]], port: int = 0) -> Iterator[int]:
    """The port of a server that sends these datagrams for each one that it receives."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
        connection.bind((HOST, port))
        threading.Thread(target=_reply, args=(connection, act), daemon=True).start()
        yield connection.getsockname()[1]
        with contextlib.suppress(OSError):  # it was never connected, and wakes up all the same
            connection.shutdown(socket.SHUT_RDWR)


def _reply(connection: socket.socket, act: Callable[[bytes], Iterable[bytes]]) -> None:
    with contextlib.suppress(OSError):  # the test is over
        while True:
            data, client = connection.recvfrom(65536)
            if not data:
                return
            for each in act(data):
                connection.sendto(each, client)


def says(*parts: bytes, end: Act | None = None) -> Act:
    """Reads a request, sends these parts, and ends."""

    def act(connection: socket.socket) -> None:
        connection.recv(65536)
        for part in parts:
            connection.sendall(part)
        (end or leave)(connection)

    return act


def at_once(*parts: bytes, end: Act | None = None) -> Act:
    """The same without having read anything."""

    def act(connection: socket.socket) -> None:
        for part in parts:
            connection.sendall(part)
        (end or leave)(connection)

    return act


def in_turn(*parts: bytes, end: Act | None = None) -> Act:
    """Sends the first part at once, and each of the others after a request."""

    def act(connection: socket.socket) -> None:
        for number, part in enumerate(parts):
            if number:
                connection.recv(65536)
            connection.sendall(part)
        (end or leave)(connection)

    return act


def floods(part: bytes) -> Act:
    """Sends this part without end, and reads nothing."""

    def act(connection: socket.socket) -> None:
        while True:
            connection.sendall(part)

    return act


def leave(_connection: socket.socket) -> None:
    """End by closing."""


def reset(connection: socket.socket) -> None:
    """End by RST instead of FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def stay(connection: socket.socket) -> None:
    """Say nothing more until the client goes."""
    with contextlib.suppress(OSError):
        while connection.recv(65536):
            pass


def over_tls(certificate: Path, act: Act, newest: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED) -> Act:
    """The same, once TLS is agreed on; `newest` is the newest version that it speaks."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    if newest in OLD_VERSIONS:
        context.set_ciphers("ALL:@SECLEVEL=0")  # or OpenSSL speaks none of them
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.maximum_version = newest
    context.load_cert_chain(certificate)

    def secured(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as agreed:
            act(agreed)

    return secured


def _serve(listener: socket.socket, act: Act) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:  # the test is over
            return
        threading.Thread(target=_handle, args=(connection, act), daemon=True).start()


def _handle(connection: socket.socket, act: Act) -> None:
    with connection, contextlib.suppress(OSError):
        connection.settimeout(120)
        act(connection)
