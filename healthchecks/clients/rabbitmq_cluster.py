"""The state of a RabbitMQ cluster by its management API: nodes, alarms, partitions, unacknowledged messages.

Source: https://rawcdn.githack.com/rabbitmq/rabbitmq-server/v3.10.8/deps/rabbitmq_management/priv/www/api/index.html
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from healthchecks import Unhealthy
from healthchecks.clients.http.client import Client, Request
from healthchecks.clients.http.options import WebKeys
from healthchecks.clients.http.urls import redacted

_NODES = "/api/nodes?columns=name,running,mem_alarm,disk_free_alarm,partitions"
_TOTALS = "/api/overview?columns=queue_totals"
_LARGEST = 1_000_000  # bytes of a response: a node has 200
_MOST_NODES, _LONGEST_NAME = 100, 100  # of a message; characters
_ALARMS = {"mem_alarm": "memory", "disk_free_alarm": "disk"}
_OK, _UNAUTHORIZED = 200, 401


@dataclass(frozen=True)
class Cluster:
    """Names of nodes that run; `alarms` and `partitions` are for messages: "disk alarm on rabbit@mq1"."""

    running: tuple[str, ...]
    stopped: tuple[str, ...]
    alarms: tuple[str, ...]
    partitions: tuple[str, ...]
    unacknowledged: int


def read_cluster(url: str, user: str, password: str, ca: Path | None = None) -> Cluster:
    """Return the state of the cluster. Raise Unhealthy, or ProbeTimeout at the timeout."""
    keys = WebKeys(url=url, max_redirects=0, max_body=_LARGEST, ca=ca)
    with Client(keys) as client:
        nodes = _read(client, url.rstrip("/") + _NODES, (user, password))
        totals = _read(client, url.rstrip("/") + _TOTALS, (user, password))
    try:
        return _cluster(nodes, totals)
    except (TypeError, ValueError, KeyError, AttributeError):
        raise Unhealthy(f"response is not that of RabbitMQ's management API at {redacted(url)}") from None


def _read(client: Client, url: str, login: tuple[str, str]) -> Any:
    response = client.send(Request(url, login=login))
    if response.status == _UNAUTHORIZED:
        reason = "wrong password, or without the tag monitoring"
        raise Unhealthy(f'management API refused user "{login[0]}" at {response.location}: {reason}')
    if response.status != _OK:
        raise Unhealthy(f"status {response.status_line} of the management API at {response.location}")
    try:
        return json.loads(response.body)
    except (ValueError, RecursionError):
        raise Unhealthy(f"response is not JSON at {response.location}") from None


def _cluster(nodes: list[Mapping[str, Any]], totals: Mapping[str, Any]) -> Cluster:
    nodes = nodes[:_MOST_NODES]
    alarms = [f"{words} alarm on {_name(node)}" for node in nodes for key, words in _ALARMS.items() if node.get(key)]
    partitions = [f"{_name(node)} does not see {_names(seen)}" for node in nodes if (seen := node.get("partitions"))]
    return Cluster(
        tuple(_name(node) for node in nodes if node.get("running")),
        tuple(_name(node) for node in nodes if not node.get("running")),
        tuple(alarms),
        tuple(partitions),
        int(totals["queue_totals"].get("messages_unacknowledged", 0)),  # absent until the first statistics
    )


def _name(node: Mapping[str, Any]) -> str:
    return str(node["name"])[:_LONGEST_NAME]


def _names(nodes: list[object]) -> str:
    return ", ".join(str(each)[:_LONGEST_NAME] for each in nodes[:_MOST_NODES])
