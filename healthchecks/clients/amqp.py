"""Speaks to RabbitMQ, and gives back words instead of pika's exceptions."""

import contextlib
import logging
import math
import secrets
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from healthchecks import ProbeTimeout, Unhealthy, remaining
from healthchecks.clients.amqp_failures import in_words
from healthchecks.clients.progress import Progress, Step

_POLL = 0.02  # seconds between two looks for the message


@dataclass(frozen=True)
class Access:
    """Where to, and as whom."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    vhost: str = "/"
    tls: bool = False
    ca: str = ""


class Broker:
    """An open connection."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.blocked = ""
        # The public way tells only after the call that is blocked has ended, and then the connection is closed.
        connection._impl.add_on_connection_blocked_callback(self._on_blocked)  # noqa: SLF001

    def round_trip(self) -> tuple[bytes, bytes | None]:
        """What was sent, and what came back, through a queue that nobody else sees and that goes with us."""
        channel = self.connection.channel()
        channel.confirm_delivery()
        queue = channel.queue_declare("", exclusive=True, auto_delete=True).method.queue
        sent = secrets.token_hex(8).encode()
        channel.basic_publish("", queue, sent, mandatory=True)
        return sent, self._receive(channel, queue)

    def queue(self, name: str) -> tuple[int, int] | None:
        """Messages waiting and consumers; None where there is no such queue. Never creates one."""
        import pika.exceptions

        try:
            found = self.connection.channel().queue_declare(name, passive=True).method
        except pika.exceptions.ChannelClosedByBroker as error:
            if error.reply_code == 404:  # noqa: PLR2004 - AMQP's NOT_FOUND
                return None
            raise
        return found.message_count, found.consumer_count

    def _receive(self, channel: Any, queue: str) -> bytes | None:
        """A confirmed message may still be on its way into the queue."""
        while remaining() > _POLL:
            method, _, content = channel.basic_get(queue, auto_ack=True)
            if method is not None:
                return bytes(content)
            self.connection.sleep(_POLL)
        return None

    def _on_blocked(self, _connection: Any, frame: Any) -> None:
        self.blocked = str(frame.method.reason)


@contextlib.contextmanager
def session(access: Access) -> Iterator[Broker]:
    """An open connection. Raises Unhealthy, or ProbeTimeout at the timeout."""
    import pika

    from healthchecks.clients.amqp_progress import traced

    _quieten()
    broker = None
    progress = Progress(access.host, access.port)
    progress.at(Step.RESOLVE)
    try:
        with contextlib.closing(pika.BlockingConnection(_parameters(access), traced(progress))) as connection:
            progress.at(Step.LOGGED_IN)
            broker = Broker(connection)
            yield broker
    except Unhealthy:
        raise
    except Exception as error:  # noqa: BLE001 - to rubbish pika answers with a KeyError or worse, too
        if broker and broker.blocked:
            raise Unhealthy(f"publishing is blocked: {broker.blocked} at {progress.peer}") from None
        if "Timeout" in repr(error):  # of pika's own, of the socket, or wrapped in another
            raise ProbeTimeout from None
        raise Unhealthy(in_words(error, access, progress)) from None


def _parameters(access: Access) -> Any:
    import pika

    return pika.ConnectionParameters(
        host=access.host,
        port=access.port,
        virtual_host=access.vhost,
        credentials=pika.PlainCredentials(access.user, access.password),
        ssl_options=pika.SSLOptions(_tls(access.ca), access.host) if access.tls else None,
        socket_timeout=remaining(),
        stack_timeout=remaining(),
        blocked_connection_timeout=remaining() / 2,  # so that there is time to say that it is blocked
        heartbeat=max(2, math.ceil(remaining())),  # ends an abandoned thread, if the server stops in mid-call
        client_properties={"connection_name": "healthchecks"},
    )


def _tls(ca: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca or None)
    except OSError as error:
        raise Unhealthy(f"ca {ca}: {error.strerror or 'holds no certificate in PEM form'}") from None


def _quieten() -> None:
    """Pika logs each failure several times at ERROR, which would reach Sentry beside the check's own words."""
    for name, logger in list(logging.Logger.manager.loggerDict.items()):
        if name.startswith("pika") and isinstance(logger, logging.Logger) and _lower not in logger.filters:
            logger.addFilter(_lower)


def _lower(record: logging.LogRecord) -> bool:
    record.levelno, record.levelname = logging.DEBUG, "DEBUG"
    return True
