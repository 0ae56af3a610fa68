"""Databases: login, a query, connections in use, replication lag and long transactions of PostgreSQL."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from healthchecks import Duration, Percentage, Secret, Target, probe
from healthchecks.clients.http.options import certificates
from healthchecks.clients.http.urls import Host
from healthchecks.clients.postgresql.connection import DatabaseAccess, parse, session
from healthchecks.clients.postgresql.statistics import Statistics, read_statistics
from servermonitoring.values import in_words, percent, percent_limit

_ADDRESS = ("host", "port", "user", "password", "database", "sslmode", "sslrootcert")


class Database(Target):
    host: Host = "127.0.0.1"
    """Host name or address, or the directory of its Unix socket."""
    port: int = Field(default=5432, ge=1, le=65535)
    user: str = ""
    """Role; by default the name of the user that runs the checks."""
    password: Secret | None = None
    """Its password."""
    database: str = "postgres"
    """Database to connect to."""
    sslmode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] = "prefer"
    """Whether TLS is required, and how far the server's certificate is verified."""
    sslrootcert: str = ""
    """PEM file of the authority that verify-ca and verify-full trust."""
    dsn: Secret | None = None
    """All of the above in one: postgresql://USER:PASSWORD@HOST/DATABASE, or key=value pairs."""
    max_connections_used: Percentage = 0.9
    """Maximum share of connections in use, of those not reserved for superusers."""
    max_replication_lag: Duration | None = Field(default=None, le=366 * 86400)
    """Maximum lag of a standby; a primary must have one. Needs the role pg_monitor."""
    max_transaction_age: Duration | None = Field(default=None, le=366 * 86400)
    """Maximum age of an open transaction. Needs the role pg_monitor."""

    @field_validator("sslrootcert")
    @classmethod
    def _holds_authorities(cls, name: str) -> str:
        if name not in {"", "system"}:  # libpq's word for the authorities of the system
            certificates(Path(name))
        return name

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


@probe
def statistics(database: Database) -> Statistics:
    with session(database.access()) as cursor:
        cursor.execute("select 1")
        return read_statistics(cursor)


def test_database_access(database: Database, statistics: Statistics) -> None:
    share = statistics.connections / statistics.most_connections
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


def _unseen(key: str, statistics: Statistics) -> str:
    return f'{key} cannot be checked: the role "{statistics.role}" needs pg_monitor'
