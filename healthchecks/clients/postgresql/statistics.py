"""Statistics of a PostgreSQL server: some for any role that may connect, more for one with pg_monitor."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a class, whatever its name


@dataclass(frozen=True)
class Statistics:
    """Times in seconds. Of others' transactions and of replication, only what the role sees."""

    role: str
    sees_all: bool
    connections: int
    most_connections: int
    """Those that superusers have for themselves are not counted."""
    oldest_transaction: float
    oldest_by: str
    lags: Mapping[str, float]
    """By standby; of a standby itself under "this standby"."""


# A role without rights sees that there are connections, but not of which type they are.
_CONNECTIONS = """
select current_user, pg_has_role('pg_read_all_stats', 'usage'), pg_is_in_recovery(), count(*),
       current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
       - coalesce(current_setting('reserved_connections', true), '0')::int
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


def read_statistics(cursor: "Cursor") -> Statistics:
    role, sees_all, standby, used, most = _rows(cursor, _CONNECTIONS)[0]
    oldest = _rows(cursor, _OLDEST_TRANSACTION)
    seconds, user = oldest[0] if oldest else (0.0, "")
    lags = {"this standby": _rows(cursor, _OWN_LAG)[0][0]} if standby else dict(_rows(cursor, _LAG_OF_STANDBYS))
    return Statistics(role, sees_all, used, most, seconds, f'user "{user}"', lags)


def _rows(cursor: "Cursor", query: str) -> list[tuple[Any, ...]]:
    cursor.execute(query)
    return cursor.fetchall()
