"""Databases: login, a query, connections in use, replication lag and long transactions of PostgreSQL."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from healthchecks import Duration, Percentage, Secret, Target, Unhealthy, metric, probe
from healthchecks.clients import preload
from healthchecks.clients.http.options import certificates
from healthchecks.clients.http.urls import Host
from healthchecks.clients.postgresql.connection import DatabaseAccess, parse, session
from servermonitoring.configuration import relative_to_file
from servermonitoring.values import in_words, percent, percent_limit

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a class, whatever its name

_ADDRESS = ("host", "port", "user", "password", "database", "sslmode", "sslrootcert")


class Database(Target):
    host: Host = "127.0.0.1"
    """Name or address of the server, or the directory of its Unix socket."""
    port: int = Field(default=5432, ge=1, le=65535)
    """Port of the server."""
    user: str = ""
    """Role; default: the name of the user that runs the checks."""
    password: Secret | None = None
    """Password of the role; a secret."""
    database: str = "postgres"
    """Database to connect to."""
    sslmode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] = "prefer"
    """Whether TLS is required, and how far the server's certificate is verified, in libpq's words: `"disable"`,
    `"allow"`, `"prefer"`, `"require"`, `"verify-ca"`, `"verify-full"`."""
    sslrootcert: str = ""
    """File of the authority that `verify-ca` and `verify-full` trust, in PEM form; `"system"` for those of the
    system."""
    dsn: Secret | None = None
    """All of the above in one: `postgresql://USER:PASSWORD@HOST/DATABASE`, or `host=… user=…`; a secret."""
    max_connections_used: Percentage = 0.9
    """Maximum share of connections in use, of those not reserved for superusers."""
    max_replication_lag: Duration | None = Field(default=None, le=366 * 86400)
    """Maximum lag of a standby, of which a primary must have one; on a standby its own. Needs pg_monitor; not checked
    without the key."""
    max_transaction_age: Duration | None = Field(default=None, le=366 * 86400)
    """Maximum age of an open transaction. Needs pg_monitor; not checked without the key."""

    @field_validator("sslrootcert")
    @classmethod
    def _holds_authorities(cls, name: str, info: ValidationInfo) -> str:
        if name in {"", "system"}:  # libpq's word for the authorities of the system
            return name
        return str(certificates(relative_to_file(info.context, name)))

    @field_validator("dsn")
    @classmethod
    def _readable(cls, dsn: Secret | None) -> Secret | None:
        parse(dsn.reveal() if dsn else "")
        return dsn

    @model_validator(mode="after")
    def _one_address(self) -> Self:
        both = [key for key in _ADDRESS if key in self.model_fields_set]
        if self.dsn and both:
            raise ValueError(f"write either dsn or {', '.join(both)}")
        preload("psycopg2")
        return self

    def access(self) -> DatabaseAccess:
        if self.dsn:
            return DatabaseAccess(self.dsn.reveal())
        options = {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "password": self.password.reveal() if self.password else "",
            "dbname": self.database,
            "sslmode": self.sslmode,
            "sslrootcert": self.sslrootcert,
        }
        return DatabaseAccess(options={key: value for key, value in options.items() if value})


@dataclass(frozen=True)
class Statistics:
    """Some are visible to any role that may connect, more to one with pg_monitor.

    Times in seconds. Of others' transactions and of replication, only what the role sees.
    """

    role: str
    sees_all: bool
    connections: int
    most_connections: int
    """Those that superusers have for themselves are not counted."""
    oldest_transaction: float
    oldest_by: str
    lags: Mapping[str, float]
    """By standby; of a standby itself under "this standby"."""
    size: int | None
    """Bytes of this database; None where it has too many files to add them up."""


@probe
def statistics(database: Database) -> Statistics:
    access = database.access()
    with session(access) as cursor:
        cursor.execute("select 1")
        try:
            return _read_statistics(cursor)
        except (LookupError, TypeError, ValueError):
            raise Unhealthy(f"not the statistics of a PostgreSQL server at {access.progress.peer}") from None


def test_database_access(database: Database, statistics: Statistics) -> None:
    share = statistics.connections / statistics.most_connections
    _report(database, statistics, share)
    assert share <= database.max_connections_used, (
        f"{statistics.connections} of {statistics.most_connections} connections used ({percent(share)}), "
        f"maximum {percent_limit(database.max_connections_used)}"
    )
    if database.max_transaction_age is not None:
        assert statistics.sees_all, _unseen("max_transaction_age", statistics)
        assert statistics.oldest_transaction <= database.max_transaction_age, (
            f"transaction of {statistics.oldest_by} open for {in_words(statistics.oldest_transaction)}, "
            f"maximum {in_words(database.max_transaction_age)}"
        )
    if database.max_replication_lag is not None:
        assert statistics.sees_all, _unseen("max_replication_lag", statistics)
        assert statistics.lags, "no standby is connected"
        standby, lag = max(statistics.lags.items(), key=lambda each: each[1])
        assert lag <= database.max_replication_lag, (
            f"{standby} is {in_words(lag)} behind, maximum {in_words(database.max_replication_lag)}"
        )


def _report(database: Database, statistics: Statistics, share: float) -> None:
    """Report what the role sees: without rights, nothing of transactions of others and of standbys."""
    metric("connections used", share, "ratio", limit=database.max_connections_used)
    if statistics.sees_all:
        oldest = statistics.oldest_transaction
        metric("oldest transaction", oldest, "seconds", limit=database.max_transaction_age)
    if statistics.sees_all and statistics.lags:
        lag = max(statistics.lags.values())
        metric("replication lag", lag, "seconds", limit=database.max_replication_lag)
    if statistics.size is not None:
        metric("database size", statistics.size, "bytes")


def _unseen(key: str, statistics: Statistics) -> str:
    return f'{key} cannot be checked: the role "{statistics.role}" needs pg_monitor'


# The size takes 2.5 µs for each file of the database: that of very many is left out. reltuples is what the last vacuum
# has counted: the number of tables and indexes.
# A role without rights sees that there are connections, but not of which type they are.
_CONNECTIONS = """
select current_user, pg_has_role('pg_read_all_stats', 'usage'), pg_is_in_recovery(), count(*),
       current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
       - coalesce(current_setting('reserved_connections', true), '0')::int,
       (select case when reltuples <= 20000 then pg_database_size(current_database()) end
        from pg_class where oid = 'pg_class'::regclass)
from pg_stat_activity where datid is not null and coalesce(backend_type, 'client backend') = 'client backend'
"""
_OLDEST_TRANSACTION = """
select extract(epoch from clock_timestamp() - xact_start)::float, usename
from pg_stat_activity
where backend_type = 'client backend' and xact_start is not null and pid <> pg_backend_pid()
order by xact_start limit 1
"""
# Null once all is replayed and nothing more comes: then there is no lag.
_LAG_OF_STANDBYS = """
select coalesce(nullif(application_name, ''), client_addr::text, pid::text),
       coalesce(extract(epoch from max(replay_lag)), 0)::float
from pg_stat_replication group by 1
"""
# An idle primary sends nothing to replay: what has come and is replayed is no lag, while it is being received.
_OWN_LAG = """
select case when exists (select from pg_stat_wal_receiver)
                 and pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() then 0
            else extract(epoch from clock_timestamp()
                 - coalesce(pg_last_xact_replay_timestamp(), pg_postmaster_start_time())) end::float
"""


_MOST_ROWS = 1_000  # of which there is one for each standby
_LARGEST_COUNT = 2**63 - 1  # PostgreSQL's bigint
_LONGEST_NAME = 200  # characters; PostgreSQL's own names have at most 63 bytes


def _read_statistics(cursor: "Cursor") -> Statistics:
    """Return plain values, few and small whatever a server sends. Raise LookupError, TypeError or ValueError."""
    role, sees_all, standby, used, most, size = _rows(cursor, _CONNECTIONS)[0]
    oldest = _rows(cursor, _OLDEST_TRANSACTION)
    seconds, user = oldest[0] if oldest else (0.0, "")
    lags = [("this standby", _rows(cursor, _OWN_LAG)[0][0])] if standby else _rows(cursor, _LAG_OF_STANDBYS)
    return Statistics(
        role=_name(role),
        sees_all=bool(sees_all),
        connections=_count(used),
        most_connections=_count(most),
        oldest_transaction=_seconds(seconds),
        oldest_by=f'user "{_name(user)}"',
        lags={_name(standby): _seconds(lag) for standby, lag in lags},
        size=None if size is None else _count(size),
    )


def _rows(cursor: "Cursor", query: str) -> list[tuple[Any, ...]]:
    cursor.execute(query)
    return cursor.fetchmany(_MOST_ROWS)


def _count(value: Any) -> int:
    if not 0 <= int(value) <= _LARGEST_COUNT:
        raise ValueError(f"{value!r:.50} is no count")
    return int(value)


def _seconds(value: Any) -> float:
    if not math.isfinite(float(value)):
        raise ValueError(f"{value!r:.50} is no time")
    return float(value)


def _name(value: object) -> str:
    return str(value)[:_LONGEST_NAME]
