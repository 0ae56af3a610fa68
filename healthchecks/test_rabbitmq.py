"""Message brokers: sends and receives a message through RabbitMQ, and checks length and consumers of queues."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from healthchecks import Secret, Target, metric, probe
from healthchecks.clients.certificate import load_authorities
from healthchecks.clients.http.options import Authorities
from healthchecks.clients.http.urls import Host
from healthchecks.clients.preload import preload
from healthchecks.clients.rabbitmq import Broker, BrokerAccess, session

_PORT, _TLS_PORT = 5672, 5671
_MOST_QUEUES = 10  # with metrics: a check has 20 at most
_LONGEST_NAME = 80  # characters of a queue's name in that of a metric


class Queue(BaseModel):
    """`[rabbitmq.NAME.queues.QUEUE]`: a queue that must exist."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_messages: int | None = Field(default=None, ge=0, le=1_000_000_000)
    """Maximum number of messages waiting."""
    min_consumers: int = Field(default=0, ge=0, le=1_000_000)
    """Minimum number of consumers connected."""


class Rabbitmq(Target):
    host: Host = "127.0.0.1"
    """Host name or address."""
    port: int | None = Field(default=None, ge=1, le=65535)
    """Default: 5672, with tls 5671."""
    user: str = "guest"
    """Name of the user."""
    password: Secret = Field(default_factory=lambda: Secret("guest", remembered=False))
    """Its password."""
    vhost: str = "/"
    """Virtual host."""
    tls: bool = False
    """Whether to use TLS; the server's certificate must then be valid."""
    ca: Authorities | None = None
    """File of the only authorities to trust, instead of those of the system and the public ones; with tls only."""
    queues: dict[str, Queue] = Field(default_factory=dict)
    """Queues that must exist, with their limits; never created, never read from."""

    @model_validator(mode="after")
    def _trust_fits(self) -> Self:
        if self.ca and not self.tls:
            raise ValueError("ca has no meaning without tls = true")
        preload("pika")
        if self.tls:
            load_authorities(verify=True, ca=self.ca)
        return self

    def access(self) -> BrokerAccess:
        port = self.port or (_TLS_PORT if self.tls else _PORT)
        return BrokerAccess(self.host, port, self.user, self.password.reveal(), self.vhost, self.tls, self.ca)


@dataclass(frozen=True)
class Level:
    """Messages waiting in a queue, and its consumers."""

    messages: int
    consumers: int


@dataclass(frozen=True)
class Exchange:
    """`received` is None where the message did not arrive; the level of a missing queue is None."""

    sent: bytes
    received: bytes | None
    levels: Mapping[str, Level | None]


@probe
def exchange(rabbitmq: Rabbitmq) -> Exchange:
    with session(rabbitmq.access()) as broker:
        levels = {name: _level(broker, name) for name in rabbitmq.queues}
        return Exchange(*broker.round_trip(), levels)


def test_rabbitmq_access(rabbitmq: Rabbitmq, exchange: Exchange) -> None:
    _report(rabbitmq.queues, exchange.levels)
    assert exchange.received is not None, "test message confirmed, but not received again"
    assert exchange.received == exchange.sent, "test message received with other content"
    wrong = [words for name, limits in rabbitmq.queues.items() if (words := _wrong(name, limits, exchange))]
    assert not wrong, "; ".join(wrong)


def _level(broker: Broker, name: str) -> Level | None:
    found = broker.queue(name)
    return Level(*found) if found else None


def _report(queues: Mapping[str, Queue], levels: Mapping[str, Level | None]) -> None:
    """Report messages and consumers of each queue; of many, of the first one in the table and the fullest others."""
    found = {name: level for name in queues if (level := levels[name])}
    fullest = sorted([*found][1:], key=lambda name: -found[name].messages)[: _MOST_QUEUES - 1]
    for name, level in found.items():
        if name in fullest or name == next(iter(found)):
            metric(f"messages {_shown(name)}", level.messages, limit=queues[name].max_messages)
            metric(f"consumers {_shown(name)}", level.consumers, lower_limit=queues[name].min_consumers or None)


def _shown(queue: str) -> str:
    """Return the name as part of a metric's: printable, of a long one the beginning and the end."""
    name = "".join(letter if letter.isprintable() else "\ufffd" for letter in queue)
    half = _LONGEST_NAME // 2
    return name if len(name) <= _LONGEST_NAME else f"{name[:half]}…{name[-half:]}"


def _wrong(name: str, limits: Queue, exchange: Exchange) -> str:
    level = exchange.levels[name]
    if level is None:
        return f"queue {name} does not exist"
    if limits.max_messages is not None and level.messages > limits.max_messages:
        return f"{_counted(level.messages, 'message')} waiting in queue {name}, maximum {limits.max_messages}"
    if level.consumers < limits.min_consumers:
        return f"{_counted(level.consumers, 'consumer')} on queue {name}, minimum {limits.min_consumers}"
    return ""


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' if count != 1 else ''}"
