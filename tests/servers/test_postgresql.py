"""The PostgreSQL of the tests is a real one, and breaks on request."""

import contextlib
import threading

import psutil
import psycopg2
import pytest

from tests.servers.postgresql import ADMIN, MONITOR, READER, PostgreSQL, Role
from tests.servers.server import is_free


def test_wrong_password_is_refused(postgresql):
    """Also from this machine: no trust, no peer."""
    with pytest.raises(psycopg2.OperationalError, match='password authentication failed for user "monitor"'):
        psycopg2.connect(postgresql.dsn(Role("monitor", "wrong")))


def test_monitor_may_only_read(postgresql):
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        postgresql.execute("create table public.mine (id int)", role=MONITOR)


@pytest.mark.parametrize("form", ["url", "dsn"])
@pytest.mark.parametrize("role", [ADMIN, MONITOR, READER], ids=lambda role: role.name)
def test_each_role_logs_in_by_url_and_by_dsn(postgresql, form, role):
    with contextlib.closing(psycopg2.connect(getattr(postgresql, form)(role))) as connection:
        assert connection.info.user == role.name


def test_reader_sees_the_queries_of_others_and_monitor_does_not(postgresql):
    query = "select query from pg_stat_activity where application_name = 'other'"
    with contextlib.closing(postgresql.connect(application_name="other")) as other:
        other.cursor().execute("select 42")
        assert postgresql.execute(query, role=READER) == [("select 42",)]
        assert postgresql.execute(query, role=MONITOR) == [("<insufficient privilege>",)]


def test_paused_it_hangs_a_connect_until_resumed(postgresql):
    """Not even libpq's own time limit has a word: the kernel accepts, the server sleeps."""
    connected = threading.Event()

    def connect():
        postgresql.connect(connect_timeout=60).close()
        connected.set()

    postgresql.pause()
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    assert not connected.wait(0.5)
    postgresql.resume()
    assert connected.wait(60)


def test_paused_it_stands_still_in_mid_query(postgresql):
    """The backends are stopped too, not the main process alone."""
    with contextlib.closing(postgresql.connect()) as connection:
        backend = psutil.Process(connection.info.backend_pid)
        postgresql.pause()
        assert backend.status() == psutil.STATUS_STOPPED
        postgresql.resume()
        connection.cursor().execute("select 1")


def test_stopped_it_leaves_nothing_and_keeps_its_data():
    with PostgreSQL() as postgresql:
        postgresql.execute("create table kept as select 42 as answer")
        family = postgresql.family()
        assert len(family) > 1
        postgresql.pause()
        postgresql.stop()
        assert not any(each.is_running() for each in family)
        assert is_free(postgresql.port)
        with pytest.raises(psycopg2.OperationalError, match="refused"):
            postgresql.connect()
        postgresql.start()
        assert postgresql.execute("select answer from kept") == [(42,)]
    assert not postgresql.directory.exists()
