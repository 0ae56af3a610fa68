"""Celery's messages through RabbitMQ: a private queue for the replies, which ends with the connection."""

import contextlib
from collections.abc import Iterator
from typing import Any

from healthchecks import remaining
from healthchecks.clients.celery.message import (
    CONTENT_TYPE,
    CONTROL_EXCHANGE,
    ENCODING,
    CeleryMessage,
    Replies,
    ReplyRoute,
    make_command,
    make_task,
)
from healthchecks.clients.celery.round_trip import QueueState, Transport
from healthchecks.clients.rabbitmq import Broker, BrokerAccess, session

_EXCHANGE = "amq.direct"  # which every virtual host has
_NOT_FOUND = 404


class RabbitmqTransport(Transport):
    """An open channel with a consumer of its reply queue."""

    def __init__(self, broker: Broker, queue: str) -> None:
        super().__init__(queue)
        self._broker = broker
        self._channel = broker.connection.channel()
        self._replies = self._channel.queue_declare("", exclusive=True, auto_delete=True).method.queue
        self._channel.queue_bind(self._replies, _EXCHANGE, self._replies)
        self._received: list[tuple[bytes, object]] = []
        self._channel.basic_consume(self._replies, self._on_message, auto_ack=True)

    def state(self) -> QueueState | None:
        found = self._broker.queue(self.queue)
        return QueueState(*found) if found else None

    def ask_workers(self, id_: str) -> int | None:
        import pika.exceptions

        channel = self._broker.connection.channel()
        try:
            channel.exchange_declare(CONTROL_EXCHANGE, passive=True)
        except pika.exceptions.ChannelClosedByBroker as error:
            if error.reply_code == _NOT_FOUND:  # the first worker creates it
                return 0
            raise
        self._publish(channel, CONTROL_EXCHANGE, "", make_command(id_, self._replies))
        return None

    def send_task(self, id_: str) -> None:
        """Send it so that RabbitMQ drops it after the timeout, where it has come to the head of the queue."""
        task = make_task(id_, ReplyRoute(_EXCHANGE, self._replies))
        self._publish(self._channel, "", self.queue, task, expiration=str(int(remaining() * 1000)))

    def receive(self, replies: Replies, seconds: float) -> None:
        if not self._received:
            self._broker.connection.process_data_events(time_limit=seconds)
        received, self._received = self._received, []
        for body, ticket in received:
            replies.add(body, ticket)

    def withdraw_task(self) -> bool | None:
        return None  # it ends by itself, see send_task()

    def clean_up(self) -> None:
        pass  # the reply queue ends with the connection

    def _publish(self, channel: Any, exchange: str, key: str, message: CeleryMessage, **options: str) -> None:
        import pika

        properties = pika.BasicProperties(
            content_type=CONTENT_TYPE,
            content_encoding=ENCODING,
            correlation_id=message.id,
            delivery_mode=1,  # not kept on disk
            headers=message.headers,
            **options,
        )
        channel.basic_publish(exchange, key, message.body, properties)

    def _on_message(self, _channel: Any, _method: Any, properties: Any, body: bytes) -> None:
        self._received.append((body, (properties.headers or {}).get("ticket")))


@contextlib.contextmanager
def rabbitmq_transport(access: BrokerAccess, queue: str) -> Iterator[Transport]:
    """Yield the transport. Raise Unhealthy, or ProbeTimeout at the timeout."""
    with session(access) as broker:
        yield RabbitmqTransport(broker, queue)
