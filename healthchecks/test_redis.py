"""Redis: login, memory, clients, replication, and the last save of its data."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from healthchecks import Duration, Percentage, Secret, Target, Unhealthy, metric, probe
from healthchecks.clients import preload
from healthchecks.clients.certificate import load_authorities
from healthchecks.clients.http.options import Authorities
from healthchecks.clients.http.urls import Host
from healthchecks.clients.redis import PORT, RedisAccess, parse_url, session
from servermonitoring.scrubbing import scrub_and_cut
from servermonitoring.values import counted, in_words, part_in_words, percent, percent_limit

_ADDRESS = ("host", "port", "user", "password", "db", "tls")
_NO_EVICTION_LIMIT = 0.9
_MOST_REPLICAS = 1_000
_SAVES = {
    "rdb_last_bgsave_status": "the last save of the data failed (RDB)",
    "aof_last_write_status": "the last write to the log of changes failed (AOF)",
    "aof_last_bgrewrite_status": "the last rewrite of the log of changes failed (AOF)",
}


class Redis(Target):
    host: Host = "127.0.0.1"
    """Name or address of the server."""
    port: int = Field(default=PORT, ge=1, le=65535)
    """Port of the server."""
    user: str = ""
    """Name of the user (ACL); default: the one without a name."""
    password: Secret | None = None
    """Password of the user; a secret."""
    db: int = Field(default=0, ge=0, le=1_000_000)
    """Number of a database that must exist."""
    tls: bool = False
    """Whether to use TLS; the server's certificate must then be valid."""
    ca: Authorities | None = None
    """File of the only authorities to trust, in PEM form; default: those of the system and those of certifi; needs
    TLS."""
    url: Secret | None = None
    """All of the above but `ca` in one: `redis://USER:PASSWORD@HOST:6379/0`, with TLS `rediss://…`; a secret."""
    role: Literal["master", "replica"] | None = None
    """Role that the server must have: `"master"` or `"replica"`."""
    max_memory_used: Percentage | None = None
    """Maximum share of `maxmemory` in use, or without that of the machine's memory; default: 90 % of a `maxmemory`
    without eviction, else not checked."""
    max_clients_used: Percentage = 0.9
    """Maximum share of `maxclients` that are connected."""
    max_replication_lag: Duration | None = Field(default=None, le=366 * 86400)
    """Maximum lag of a master's slowest replica, of which it must have one; of a replica the time since its master was
    heard from. Not checked without the key."""
    min_replicas: int = Field(default=0, ge=0, le=_MOST_REPLICAS)
    """Minimum number of replicas that are online."""

    @field_validator("url")
    @classmethod
    def _readable(cls, url: Secret | None) -> Secret | None:
        if url:
            parse_url(url.reveal())
        return url

    @model_validator(mode="after")
    def _keys_fit(self) -> Self:
        both = [key for key in _ADDRESS if key in self.model_fields_set]
        if self.url and both:
            raise ValueError(f"write either url or {', '.join(both)}")
        if self.user and not self.password:
            raise ValueError("user needs password")
        access = self.access()
        if self.ca and not access.tls:
            raise ValueError("ca has no meaning without TLS")
        if access.tls:
            load_authorities(verify=True, ca=self.ca)
        preload("redis")
        return self

    def access(self) -> RedisAccess:
        if self.url:
            return replace(parse_url(self.url.reveal()), ca=self.ca)
        password = self.password.reveal() if self.password else ""
        return RedisAccess(self.host, self.port, self.user, password, self.db, self.tls, self.ca)


@dataclass(frozen=True)
class RedisState:
    """What INFO says. Memory in bytes, times in seconds."""

    role: str
    """master, replica or sentinel."""
    memory: int
    max_memory: int
    """That of the machine where maxmemory is 0; 0 where neither is known."""
    evicts: bool
    """Whether keys are removed when the memory is full, or there is no limit at which it is."""
    clients: int
    max_clients: int
    """0 where an old server does not say it."""
    commands_per_second: float
    replicas: int
    """Those that are online."""
    lag: float | None
    """Of the last of the replicas, or of this one; None where there is none, or the link is down."""
    broken_link: str
    """Message about the link to the master; empty where it is up."""
    refusal: str
    """Why the server does not do its work now; empty where it does."""
    failed_saves: tuple[str, ...]


@probe
def state(redis: Redis) -> RedisState:
    with session(redis.access()) as client:
        found = client.info()
        refusal = client.refusal()
        try:
            return _state_of(found, refusal)
        except (LookupError, ValueError):
            raise Unhealthy(f"not the statistics of a Redis server at {client.peer}") from None


def test_redis_access(redis: Redis, state: RedisState) -> None:
    _report(redis, state)
    wrong = [*_faults(redis, state)]
    assert not wrong, "; ".join(wrong)


def _faults(redis: Redis, state: RedisState) -> Iterator[str]:
    """Yield a message for everything that is wrong."""
    if state.refusal:
        yield state.refusal
    if redis.role and state.role != redis.role:
        yield f"role is {state.role}, expected {redis.role}"
    yield from state.failed_saves
    yield from _replication_faults(redis, state)
    limit = _memory_limit(redis, state)
    if limit is not None and state.max_memory and state.memory > limit * state.max_memory:
        yield (
            f"{part_in_words(state.memory, state.max_memory)} of memory used "
            f"({percent(state.memory / state.max_memory)}), maximum {percent_limit(limit)}"
        )
    if state.clients > redis.max_clients_used * state.max_clients > 0:
        yield (
            f"{state.clients} of {state.max_clients} clients connected "
            f"({percent(state.clients / state.max_clients)}), maximum {percent_limit(redis.max_clients_used)}"
        )


def _replication_faults(redis: Redis, state: RedisState) -> Iterator[str]:
    if state.broken_link:
        yield state.broken_link
    if state.replicas < redis.min_replicas:
        yield f"{counted(state.replicas, 'replica')} online, minimum {redis.min_replicas}"
    if redis.max_replication_lag is None or state.broken_link:
        return
    if state.lag is None:
        yield "no replica is online, and max_replication_lag is given"
    elif state.lag > redis.max_replication_lag:
        yield f"replication is {in_words(state.lag)} behind, maximum {in_words(redis.max_replication_lag)}"


def _memory_limit(redis: Redis, state: RedisState) -> float | None:
    """Return the limit; a cache, which evicts keys when it is full, has none unless it is given."""
    if redis.max_memory_used is not None:
        return redis.max_memory_used
    return None if state.evicts else _NO_EVICTION_LIMIT


def _report(redis: Redis, state: RedisState) -> None:
    if state.max_memory:
        limit = _memory_limit(redis, state)
        metric("memory used", state.memory / state.max_memory, "ratio", limit=limit)
    metric("memory", state.memory, "bytes")
    if state.max_clients:
        metric("clients used", state.clients / state.max_clients, "ratio", limit=redis.max_clients_used)
    metric("commands per second", state.commands_per_second)
    metric("replicas", state.replicas, lower_limit=redis.min_replicas or None)
    if state.lag is not None:
        metric("replication lag", state.lag, "seconds", limit=redis.max_replication_lag)


def _state_of(info: Mapping[str, str], refusal: str) -> RedisState:
    """Return the state; keys as https://redis.io/docs/latest/commands/info/ has them. Raise LookupError, ValueError."""
    most = _count(info.get("maxmemory", "0"))
    lags = [*_lags_of_replicas(info)]
    is_replica = info["role"] == "slave"
    link = _describe_broken_link(info) if is_replica else ""
    own_lag = float(_count(info["master_last_io_seconds_ago"])) if is_replica and not link else None
    return RedisState(
        role="replica" if is_replica else scrub_and_cut(info["role"], 50),
        memory=_count(info["used_memory"]),
        max_memory=most or _count(info.get("total_system_memory", "0")),
        evicts=not most or info.get("maxmemory_policy", "noeviction") != "noeviction",
        clients=_count(info["connected_clients"]),
        max_clients=_count(info.get("maxclients", "0")),
        commands_per_second=_number(info["instantaneous_ops_per_sec"]),
        replicas=len(lags),
        lag=own_lag if is_replica else max(lags, default=None),
        broken_link=link,
        refusal=refusal or ("" if info.get("loading", "0") == "0" else "the server is still loading its data"),
        failed_saves=tuple(words for key, words in _SAVES.items() if info.get(key, "ok") != "ok"),
    )


def _lags_of_replicas(info: Mapping[str, str]) -> Iterator[float]:
    """Yield seconds since each online replica has confirmed: slave0:ip=10.0.0.2,port=6379,state=online,lag=0."""
    for number in range(min(_count(info.get("connected_slaves", "0")), _MOST_REPLICAS)):
        words = dict(part.partition("=")[::2] for part in info.get(f"slave{number}", "").split(","))
        if words.get("state") == "online":
            yield _number(words.get("lag", "0"))


def _describe_broken_link(info: Mapping[str, str]) -> str:
    """Return a message about the link of a replica to its master; empty where it is up."""
    if info["master_link_status"] == "up":
        return ""
    master = scrub_and_cut(f"{info.get('master_host', '')}:{info.get('master_port', '')}", 200)
    if info.get("master_sync_in_progress", "0") != "0":
        return f"the replica is still copying the data of its master {master}"
    seconds = _number(info.get("master_link_down_since_seconds", "-1"))
    since = f" since {in_words(seconds)}" if seconds > 0 else ""
    return f"the link of the replica to its master {master} is down{since}"


def _count(text: str) -> int:
    return int(_number(text))


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number) or abs(number) > 2**63:
        raise ValueError("no number of Redis")
    return number
