"""Celery without its library: a test task and a question to all workers, through RabbitMQ or Redis.

Here is the address of the broker, from the URL that the application has as its `broker_url`.
"""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from healthchecks.clients.http.urls import host_name
from healthchecks.clients.rabbitmq import BrokerAccess
from healthchecks.clients.redis import RedisAccess

_AMQP = {"amqp": 5672, "pyamqp": 5672, "amqps": 5671}  # scheme and default port
_REDIS = {"redis": 6379, "rediss": 6379}
_FORM = "write amqp://HOST/VHOST or redis://HOST:PORT/DATABASE, with USER, colon, PASSWORD and @ before HOST"


def broker_address(url: str, ca: Path | None = None) -> BrokerAccess | RedisAccess:
    """Return where to log in, and with what. Raise ValueError, without repeating a password, for any other URL."""
    if ";" in url:
        raise ValueError("is a list of brokers: make a target of each")
    try:
        parts = urlsplit(url)
        port = parts.port
        host = host_name(parts.hostname or "")
    except ValueError:  # its text may hold the password, where that has characters that must be encoded
        raise ValueError(f"is not the URL of a broker (special characters must be percent-encoded): {_FORM}") from None
    if parts.scheme not in _AMQP | _REDIS or not host or parts.fragment:
        raise ValueError(f"is not the URL of a broker: {_FORM}")
    if parts.query:
        raise ValueError("has options after the ?: leave them out; of a server with TLS write amqps:// or rediss://")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    path = unquote(parts.path[1:])
    if parts.scheme in _REDIS:
        if not (path or "0").isdecimal():
            raise ValueError(f"has no number of a database after the host: {_FORM}")
        port = port or _REDIS[parts.scheme]
        return RedisAccess(host, port, user, password, int(path or "0"), parts.scheme == "rediss", ca)
    port = port or _AMQP[parts.scheme]
    return BrokerAccess(host, port, user or "guest", password or "guest", path or "/", parts.scheme == "amqps", ca)
