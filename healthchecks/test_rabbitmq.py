"""Message brokers: sends and receives a message through RabbitMQ, and checks its queues, alarms and nodes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from healthchecks import Secret, Target, Unhealthy, metric, probe
from healthchecks.clients import preload
from healthchecks.clients.certificate import load_authorities
from healthchecks.clients.http.options import Authorities
from healthchecks.clients.http.urls import Host, Url
from healthchecks.clients.rabbitmq import Broker, BrokerAccess, session
from healthchecks.clients.rabbitmq_cluster import Cluster, read_cluster
from servermonitoring.values import counted

_PORT, _TLS_PORT = 5672, 5671
_MOST_QUEUES = 9  # with metrics: a check has 20 at most, and two are of the cluster
_LONGEST_NAME = 80  # characters of a queue's name in that of a metric


class Queue(BaseModel):
    """`[rabbitmq.NAME.queues.QUEUE]`: a queue that must exist."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_messages: int | None = Field(default=None, ge=0, le=1_000_000_000)
    """Maximum number of messages waiting; not checked without the key."""
    min_consumers: int = Field(default=0, ge=0, le=1_000_000)
    """Minimum number of consumers connected."""


class Rabbitmq(Target):
    host: Host = "127.0.0.1"
    """Name or address of the broker."""
    port: int | None = Field(default=None, ge=1, le=65535)
    """Port of the broker; default: 5672, with `tls` 5671."""
    user: str = "guest"
    """Name of the user."""
    password: Secret = Field(default_factory=lambda: Secret("guest", remembered=False))
    """Password of the user; a secret."""
    vhost: str = "/"
    """Virtual host."""
    tls: bool = False
    """Whether to use TLS; the broker's certificate must then be valid."""
    ca: Authorities | None = None
    """File of the only authorities to trust, in PEM form; default: those of the system and those of certifi; needs
    `tls`."""
    queues: dict[str, Queue] = Field(default_factory=dict)
    """Tables `[rabbitmq.NAME.queues.QUEUE]`, each a queue that must exist; never created, never read from."""
    management: Url | None = None
    """URL of the management API, `"http://mq.example.com:15672"`; shows alarms by node and network partitions."""
    min_nodes: int = Field(default=1, ge=1, le=100)
    """Minimum number of nodes that run; needs `management`."""
    max_unacknowledged: int | None = Field(default=None, ge=0, le=1_000_000_000)
    """Maximum number of messages received and not acknowledged by consumers, of all queues that the user sees; needs
    `management`; not checked without the key."""

    @model_validator(mode="after")
    def _trust_fits(self) -> Self:
        is_https = bool(self.management and self.management.lower().startswith("https:"))
        if self.ca and not self.tls and not is_https:
            raise ValueError("ca has no meaning without tls = true")
        given = [key for key in ("min_nodes", "max_unacknowledged") if key in self.model_fields_set]
        if given and not self.management:
            raise ValueError(f"{given[0]} needs management, the URL of the management API")
        preload("pika")
        if self.tls or is_https:
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
    cluster: Cluster | None = None
    """None without `management`."""


@probe
def exchange(rabbitmq: Rabbitmq) -> Exchange:
    cluster = _cluster(rabbitmq)
    with session(rabbitmq.access()) as broker:
        levels = {name: _level(broker, name) for name in rabbitmq.queues}
        return Exchange(*broker.round_trip(), levels, cluster)


def test_rabbitmq_access(rabbitmq: Rabbitmq, exchange: Exchange) -> None:
    _report(rabbitmq.queues, exchange.levels)
    _report_cluster(rabbitmq, exchange.cluster)
    assert exchange.received is not None, "test message confirmed, but not received again"
    assert exchange.received == exchange.sent, "test message received with other content"
    wrong = [words for name, limits in rabbitmq.queues.items() if (words := _wrong(name, limits, exchange))]
    wrong += _wrong_cluster(rabbitmq, exchange.cluster)
    assert not wrong, "; ".join(wrong)


def _cluster(rabbitmq: Rabbitmq) -> Cluster | None:
    """Return what the management API says. Raise Unhealthy for an alarm, with its node: none can publish then."""
    if not rabbitmq.management:
        return None
    cluster = read_cluster(rabbitmq.management, rabbitmq.user, rabbitmq.password.reveal(), rabbitmq.ca)
    if cluster.alarms:
        raise Unhealthy(f"publishing is blocked: {', '.join(cluster.alarms)}")
    return cluster


def _report_cluster(rabbitmq: Rabbitmq, cluster: Cluster | None) -> None:
    if cluster:
        metric("nodes", len(cluster.running), lower_limit=rabbitmq.min_nodes)
        metric("unacknowledged", cluster.unacknowledged, limit=rabbitmq.max_unacknowledged)


def _wrong_cluster(rabbitmq: Rabbitmq, cluster: Cluster | None) -> list[str]:
    if not cluster:
        return []
    wrong = [f"network partition: {each}" for each in cluster.partitions]
    if len(cluster.running) < rabbitmq.min_nodes:
        down = f" ({', '.join(cluster.stopped)} stopped)" if cluster.stopped else ""
        wrong.append(f"{counted(len(cluster.running), 'node')} running{down}, minimum {rabbitmq.min_nodes}")
    most = rabbitmq.max_unacknowledged
    if most is not None and cluster.unacknowledged > most:
        wrong.append(f"{counted(cluster.unacknowledged, 'message')} unacknowledged, maximum {most}")
    return wrong


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
        return f"{counted(level.messages, 'message')} waiting in queue {name}, maximum {limits.max_messages}"
    if level.consumers < limits.min_consumers:
        return f"{counted(level.consumers, 'consumer')} on queue {name}, minimum {limits.min_consumers}"
    return ""
