"""[database.NAME] max_replication_lag, on a real primary with a real standby."""

import subprocess
from collections.abc import Iterator

import pytest

from tests.healthchecks.metrics import assert_agrees, metrics_of
from tests.servers.postgresql import ADMIN, READER, USER, PostgreSQL, _places
from tests.servers.server import HOST, as_user, give_to, program, until
from tests.suite import table

CHECK = "database_access[main]"


class Standby(PostgreSQL):
    """Follows a primary, as a copy of it."""

    def __init__(self, primary: PostgreSQL) -> None:
        self.primary = primary
        super().__init__()

    def _make_database(self) -> None:
        give_to(USER, self.directory)
        copy = [program("pg_basebackup", *_places()), "-D", str(self.data), "-R", "-c", "fast", "--no-sync"]
        command = [*as_user(USER, "KILL"), *copy, "-d", self.primary.dsn(ADMIN)]
        subprocess.run(command, cwd=self.directory, check=True, capture_output=True)

    def _make_roles(self) -> None:
        """They are the primary's."""


@pytest.fixture
def standby(postgresql: PostgreSQL) -> Iterator[Standby]:
    with Standby(postgresql) as server:
        until(lambda: postgresql.execute("select 1 from pg_stat_replication where state = 'streaming'"), what="standby")
        yield server


def check(run_suite, server, limit):
    keys = {"host": HOST, "port": server.port, "user": READER.name, "password": READER.password}
    return run_suite(table("database", "main", **keys, max_replication_lag=limit))


def test_standby_that_replays_nothing(run_suite, postgresql, standby):
    """It is measured on the standby itself; an idle primary is no lag once all is replayed again."""
    standby.execute("select pg_wal_replay_pause()")
    until(lambda: standby.execute("select pg_get_wal_replay_pause_state()") == [("paused",)], what="pause")
    postgresql.execute("create table if not exists news (id int)")
    behind = "select pg_last_wal_receive_lsn() > pg_last_wal_replay_lsn()"
    until(lambda: standby.execute(behind)[0][0], what="news that wait")
    outcome = check(run_suite, standby, "1ms")
    assert outcome.status == 1
    assert outcome.message(CHECK).startswith("this standby is ")
    assert metrics_of(outcome, CHECK)["replication lag"]["limit"] == 0.001
    assert_agrees(outcome, CHECK, "replication lag")
    standby.execute("select pg_wal_replay_resume()")
    until(lambda: not standby.execute(behind)[0][0], what="replay")
    outcome = check(run_suite, standby, "1ms")
    assert outcome.status == 0, outcome.output
    assert_agrees(outcome, CHECK, "replication lag")


def test_standby_without_its_primary(run_suite, postgresql, standby):
    """All that came is replayed, but nothing comes any more: it falls behind."""
    postgresql.stop()
    gone = "select not exists (select from pg_stat_wal_receiver)"
    until(lambda: standby.execute(gone)[0][0], what="end of the receiver")
    outcome = check(run_suite, standby, "1ms")
    assert outcome.status == 1
    assert outcome.message(CHECK).startswith("this standby is ")


def test_primary(run_suite, postgresql, standby):
    """A primary passes with its standby, and not without."""
    outcome = check(run_suite, postgresql, "1m")
    assert outcome.status == 0
    assert 0 <= metrics_of(outcome, CHECK)["replication lag"]["value"] <= 60
    standby.stop()
    until(lambda: not postgresql.execute("select 1 from pg_stat_replication"), what="end of the standby")
    assert check(run_suite, postgresql, "1m").message(CHECK) == "no standby is connected"
