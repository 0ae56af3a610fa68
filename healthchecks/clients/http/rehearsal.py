"""A request to a server of our own: the first request of a process takes longer, and that is not its peer's time."""

import contextlib
import socket
import threading

from healthchecks.clients.http.client import Client, Request
from healthchecks.clients.http.options import WebKeys

_RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
_PATIENCE = 1.0  # seconds


def rehearse_request() -> None:
    """Send a request, receive the response; whatever goes wrong is no fault of a target, and raises nothing."""
    with contextlib.suppress(Exception), socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(_PATIENCE)
        threading.Thread(target=_respond, args=(server,), name="healthchecks-rehearsal", daemon=True).start()
        keys = WebKeys(url=f"http://127.0.0.1:{server.getsockname()[1]}/")
        with Client(keys) as client:
            client.send(Request(keys.url))


def _respond(server: socket.socket) -> None:
    with contextlib.suppress(OSError), server.accept()[0] as connection:
        connection.settimeout(_PATIENCE)
        connection.recv(65536)
        connection.sendall(_RESPONSE)
