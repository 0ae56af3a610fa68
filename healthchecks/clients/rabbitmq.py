"""A RabbitMQ client for monitoring: one connection, with messages instead of pika's exceptions."""

import contextlib
import logging
import math
import os
import re
import secrets
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from healthchecks import ProbeTimeout, Unhealthy, on_timeout, remaining
from healthchecks.clients.certificate import context
from healthchecks.clients.connection import (
    ConnectionStep,
    Progress,
    describe_failed_connection,
    is_closed_by_peer,
    shut_down,
)

if TYPE_CHECKING:
    from pika.adapters.select_connection import SelectConnection

_REPLY = re.compile(r"\((\d{3})\) (['\"])(?P<text>.*?)\2")
_ACCESS_REFUSED, _NOT_ALLOWED = 403, 530
_ERRNO = re.compile(r"(?:Error\(|\[Errno )(\d{1,3})[,\]]")


def describe_error(error: Exception, access: "BrokerAccess", progress: Progress) -> str:
    """Return what failed, and where."""
    text = repr(error).replace("\\", "")
    if reply := _REPLY.search(text):
        return _reply_words(int(reply[1]), reply["text"], access, progress.peer)
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate is not trusted ({error.verify_message}) at {progress.peer}"
    if is_closed_by_peer(error) or re.search("StreamLost|EOF|Connection reset|Broken pipe", text):
        return progress.closed_message
    if isinstance(error, ssl.SSLError):
        return f"no TLS at {progress.peer}"
    unknown = "connection lost" if progress.step is ConnectionStep.LOGGED_IN else "not an AMQP server"
    return _of_system(error, text, progress) or f"{unknown} at {progress.peer}"


def _of_system(error: Exception, text: str, progress: Progress) -> str:
    """Return a message for an error of the system, which pika wraps in several ways."""
    if isinstance(error, socket.gaierror):
        return describe_failed_connection(error, progress)
    number = _ERRNO.search(text)
    return describe_failed_connection(OSError(int(number[1]), os.strerror(int(number[1]))), progress) if number else ""


def _reply_words(code: int, text: str, access: "BrokerAccess", where: str) -> str:
    """Return a message for the server's reply; `text` is like "NOT_FOUND - no queue 'celery'"."""
    reason = text.partition(" - ")[2] or text
    if code == _ACCESS_REFUSED and "ogin was refused" in reason:
        return f'login refused for user "{access.user}" at {where}'
    if code == _NOT_ALLOWED and "not found" in reason:
        return f'no virtual host "{access.vhost}" at {where}'
    if code == _NOT_ALLOWED:
        return f'user "{access.user}" may not use virtual host "{access.vhost}" at {where}'
    if code == _ACCESS_REFUSED:
        return f'user "{access.user}" lacks a permission at {where}: {reason}'
    return f"{reason} at {where}"


def traced(progress: Progress) -> "type[SelectConnection]":
    """Return the connection class for pika.BlockingConnection that keeps the progress."""
    from pika.adapters.select_connection import SelectConnection
    from pika.adapters.utils.selector_ioloop_adapter import SelectorIOServicesAdapter

    class Services(SelectorIOServicesAdapter):  # type: ignore[misc]  # pika has no types
        def connect_socket(self, sock: Any, *args: Any, **keys: Any) -> Any:
            progress.at(ConnectionStep.CONNECT)
            on_timeout(partial(shut_down, sock))
            return super().connect_socket(sock, *args, **keys)

        def create_streaming_connection(self, *args: Any, **keys: Any) -> Any:
            progress.at(ConnectionStep.TLS if keys.get("ssl_context") else ConnectionStep.RESPONSE)
            return super().create_streaming_connection(*args, **keys)

    class Connection(SelectConnection):  # type: ignore[misc]
        @classmethod
        def create_connection(
            cls, connection_configs: Any, on_done: Callable[..., None], custom_ioloop: Any = None, workflow: Any = None
        ) -> Any:
            services = Services(custom_ioloop)

            def begin(parameters: Any) -> "Connection":
                progress.at(ConnectionStep.RESPONSE)
                return cls(parameters, custom_ioloop=services, internal_connection_workflow=False)

            return cls._start_connection_workflow(
                connection_configs=connection_configs,
                connection_factory=begin,
                nbio=services,
                workflow=workflow,
                on_done=on_done,
            )

    return Connection


_POLL = 0.02  # seconds between two polls for the message
_LONGEST_MESSAGE = 1_000  # bytes that are kept: the one that was sent has 16


@dataclass(frozen=True)
class BrokerAccess:
    """Address, user and virtual host of a broker."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    vhost: str = "/"
    tls: bool = False
    ca: Path | None = None


class Broker:
    """An open connection."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.blocked = ""
        # The public callback comes only after the blocked call has ended, when the connection is closed.
        connection._impl.add_on_connection_blocked_callback(self._on_blocked)  # noqa: SLF001

    def round_trip(self) -> tuple[bytes, bytes | None]:
        """Return the message sent and the one received, through a private queue that ends with the connection."""
        channel = self.connection.channel()
        channel.confirm_delivery()
        queue = channel.queue_declare("", exclusive=True, auto_delete=True).method.queue
        sent = secrets.token_hex(8).encode()
        channel.basic_publish("", queue, sent, mandatory=True)
        return sent, self._receive(channel, queue)

    def queue(self, name: str) -> tuple[int, int] | None:
        """Return messages waiting and consumers; None where the queue does not exist. It is never created."""
        import pika.exceptions

        try:
            found = self.connection.channel().queue_declare(name, passive=True).method
        except pika.exceptions.ChannelClosedByBroker as error:
            if error.reply_code == 404:  # noqa: PLR2004 - AMQP's NOT_FOUND
                return None
            raise
        return found.message_count, found.consumer_count

    def _receive(self, channel: Any, queue: str) -> bytes | None:
        """Poll for the message: a confirmed one may not be in the queue yet."""
        while remaining() > _POLL:
            method, _, content = channel.basic_get(queue, auto_ack=True)
            if method is not None:
                return bytes(content[:_LONGEST_MESSAGE])
            self.connection.sleep(_POLL)
        return None

    def _on_blocked(self, _connection: Any, frame: Any) -> None:
        self.blocked = str(frame.method.reason)


@contextlib.contextmanager
def session(access: BrokerAccess) -> Iterator[Broker]:
    """Yield an open connection. Raise Unhealthy, or ProbeTimeout at the timeout."""
    import pika

    _quieten()
    broker = None
    progress = Progress(access.host, access.port)
    progress.at(ConnectionStep.RESOLVE)
    try:
        with contextlib.closing(pika.BlockingConnection(_parameters(access), traced(progress))) as connection:
            progress.at(ConnectionStep.LOGGED_IN)
            broker = Broker(connection)
            yield broker
    except Unhealthy:
        raise
    except Exception as error:  # noqa: BLE001 - for invalid frames pika raises KeyError or others
        if broker and broker.blocked:
            raise Unhealthy(f"publishing is blocked: {broker.blocked} at {progress.peer}") from None
        if "Timeout" in repr(error):  # of pika's own, of the socket, or wrapped in another
            raise ProbeTimeout from None
        raise Unhealthy(describe_error(error, access, progress)) from None


def _parameters(access: BrokerAccess) -> Any:
    import pika

    return pika.ConnectionParameters(
        host=access.host,
        port=access.port,
        virtual_host=access.vhost,
        credentials=pika.PlainCredentials(access.user, access.password),
        ssl_options=pika.SSLOptions(_tls(access.ca), access.host) if access.tls else None,
        socket_timeout=remaining(),
        stack_timeout=remaining(),
        blocked_connection_timeout=remaining() / 2,  # leaves time to report that it is blocked
        heartbeat=max(2, math.ceil(remaining())),  # ends an abandoned thread, if the server stops in mid-call
        client_properties={"connection_name": "healthchecks"},
    )


def _tls(ca: Path | None) -> ssl.SSLContext:
    try:
        return context(verify=True, ca=ca)
    except OSError as error:
        raise Unhealthy(f"ca {ca}: {error.strerror or 'contains no certificate in PEM form'}") from None


def _quieten() -> None:
    """Lower pika's records to DEBUG: it logs each failure several times at ERROR, which would go to Sentry as well."""
    for name, logger in list(logging.Logger.manager.loggerDict.items()):
        if name.startswith("pika") and isinstance(logger, logging.Logger) and _lower not in logger.filters:
            logger.addFilter(_lower)


def _lower(record: logging.LogRecord) -> bool:
    record.levelno, record.levelname = logging.DEBUG, "DEBUG"
    return True
