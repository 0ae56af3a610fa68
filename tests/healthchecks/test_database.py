"""[database.NAME], against a real PostgreSQL and servers that misbehave: the failing cases first."""

import contextlib
import threading
from urllib.parse import quote, quote_plus

import pytest

from healthchecks.clients.connection import Progress
from healthchecks.clients.postgresql.connection import describe_connection_error
from tests.healthchecks.metrics import assert_agrees, metrics_of
from tests.reliability import reliability
from tests.servers.postgresql import ADMIN, MONITOR, READER, Role
from tests.servers.server import HOST, until
from tests.suite import IN_TIME, ProjectSuite, table

CHECK = "database_access[main]"


@pytest.fixture
def run(run_suite, postgresql):
    """Runs the check as a role, on the server that is there; other keys replace these."""

    def run(role=MONITOR, **keys):
        address = {"host": HOST, "port": postgresql.port, "user": role.name, "password": role.password}
        return run_suite(table("database", "main", **address | keys))

    return run


def failure(outcome):
    return outcome.message(CHECK)


def assert_ok(outcome):
    outcome.assert_ok(CHECK)


def test_wrong_password(run, postgresql):
    """The message is the server's own, with the address; no form of the password is anywhere."""
    wrong = Role(MONITOR.name, "wr:ng p@ss/20%")
    outcome = run(wrong)
    assert failure(outcome) == f'password authentication failed for user "monitor" at {HOST}:{postgresql.port}'
    for form in (wrong.password, quote(wrong.password), quote(wrong.password, safe=""), quote_plus(wrong.password)):
        assert form not in outcome.all_written()


def test_unknown_role(run, postgresql):
    """PostgreSQL does not say whether the role or the password was wrong."""
    found = failure(run(Role("nobody", "anything")))
    assert found == f'password authentication failed for user "nobody" at {HOST}:{postgresql.port}'


def test_no_password(run, postgresql):
    outcome = run(password="")
    assert failure(outcome) == f'user "monitor" needs a password at {HOST}:{postgresql.port}'


def test_unknown_database(run, postgresql):
    assert failure(run(database="shop")) == f'no database "shop" at {HOST}:{postgresql.port}'


def test_tls_not_offered(run, postgresql):
    found = failure(run(sslmode="require"))
    assert found == f"the server offers no TLS, required by sslmode, at {HOST}:{postgresql.port}"


def test_down(run, postgresql):
    postgresql.stop()
    assert failure(run()) == f"connection refused at {HOST}:{postgresql.port}"


def test_down_at_several_addresses(run, postgresql):
    """A name with two addresses fails twice and is reported once."""
    postgresql.stop()
    assert failure(run(host="localhost")) == f"connection refused at localhost:{postgresql.port}"


def test_name_that_nobody_knows(run):
    assert failure(run(host="db.invalid")) == "cannot resolve db.invalid"


def test_stopped_before_connecting(run, postgresql):
    postgresql.pause()
    outcome = run(timeout=6)
    assert failure(outcome) == f"connected to {HOST}:{postgresql.port}, no response within 6 s"
    assert outcome.duration < IN_TIME


def test_stopped_in_mid_query(tmp_path, postgresql):
    """A backend that stops while it works is waited for no longer than the timeout."""
    with contextlib.closing(postgresql.connect(ADMIN)) as holder, holder.cursor() as cursor:
        # The check's query waits for this. LOCK would lock what the view reads too, and nobody could log in.
        lock = "alter view pg_catalog.pg_stat_activity reset (security_barrier)"
        cursor.execute(f"begin; set local allow_system_table_mods = on; {lock}")
        suite = ProjectSuite(tmp_path, table("database", "main", dsn=postgresql.url(), timeout=6))
        process = suite.start()
        waiting = "select count(*) from pg_locks where not granted"
        until(lambda: postgresql.execute(waiting)[0][0], 120, what="the check's query")
        postgresql.pause()
        outcome = suite.finish(process)
    assert failure(outcome) == f"logged in to {HOST}:{postgresql.port}, no response within 6 s"


@pytest.mark.parametrize("name", ["hole", "drip_raw"])
def test_no_answer_in_time(run, bad, name):
    outcome = run(port=bad.port(name), timeout=6)
    assert failure(outcome) == f"connected to {HOST}:{bad.port(name)}, no response within 6 s"
    assert outcome.duration < IN_TIME


@pytest.mark.parametrize(
    ("name", "words"), [("garbage", "not a PostgreSQL server"), ("closes", "connection closed without a response")]
)
def test_bad_servers(run, bad, name, words):
    assert failure(run(port=bad.port(name))) == f"{words} at {HOST}:{bad.port(name)}"


def test_no_connection_left(run, postgresql):
    """Superusers keep their reserved ones; the check gets none."""
    with contextlib.ExitStack() as stack:
        for _ in range(_free(postgresql)):
            stack.enter_context(contextlib.closing(postgresql.connect(MONITOR)))
        assert failure(run()) == f"too many connections at {HOST}:{postgresql.port}"
    until(lambda: _free(postgresql) > 30, what="end of the connections")


@reliability(
    "Messages",
    fault="a role's or a database's CONNECTION LIMIT is used up",
    promise="the message says so, and not that the server is full",
)
def test_connection_limit(run, postgresql):
    postgresql.execute(f"alter role {MONITOR.name} connection limit 1")
    try:
        with contextlib.closing(postgresql.connect(MONITOR)):
            found = failure(run())
    finally:
        postgresql.execute(f"alter role {MONITOR.name} connection limit -1")
    assert found == f'role "monitor" has used up its own CONNECTION LIMIT at {HOST}:{postgresql.port}'


@pytest.mark.parametrize("role", [MONITOR, READER], ids=["no rights", "pg_monitor"])
def test_most_connections_used(run, postgresql, role):
    """Every role sees how many there are."""
    with contextlib.ExitStack() as stack:
        for _ in range(9):
            stack.enter_context(contextlib.closing(postgresql.connect(ADMIN)))
        assert failure(run(role, max_connections_used="20%")) == "10 of 37 connections used (27.0 %), maximum 20 %"
        assert_ok(run(role, max_connections_used="50%"))


def test_old_transaction(run, postgresql):
    """A transaction that somebody else left open."""
    with contextlib.closing(postgresql.connect(ADMIN)) as connection, connection.cursor() as cursor:
        cursor.execute("begin")
        assert_ok(run(READER, max_transaction_age="1h"))
        found = failure(run(READER, max_transaction_age="10ms"))
    assert found.startswith('transaction of user "admin" open for ')
    assert found.endswith(", maximum 0.01 s")


def test_metrics(run, postgresql):
    """With the limits that are asserted; of a transaction that somebody else left open, with the right to see it."""
    with contextlib.closing(postgresql.connect(ADMIN)) as connection, connection.cursor() as cursor:
        cursor.execute("begin")
        for keys in ({"max_transaction_age": "10ms"}, {"max_transaction_age": "1h", "max_connections_used": "50%"}):
            outcome = run(READER, **keys)
            found = metrics_of(outcome, CHECK)
            assert [*found] == ["connections used", "oldest transaction", "database size"]
            assert {each["unit"] for each in found.values()} == {"ratio", "seconds", "bytes"}
            assert_agrees(outcome, CHECK, "oldest transaction")
        assert found["connections used"]["value"] >= 2 / 37
        assert found["connections used"]["limit"] == 0.5
        assert 1_000_000 < found["database size"]["value"] < 1_000_000_000
        outcome = run(READER, max_connections_used="1%")
    assert metrics_of(outcome, CHECK)["oldest transaction"]["limit"] is None
    assert_agrees(outcome, CHECK, "connections used")


def test_metrics_of_a_role_without_rights(run):
    """It does not see the transactions of others: nothing is reported of them, instead of the wrong number."""
    assert [*metrics_of(run(), CHECK)] == ["connections used", "database size"]


def test_size_of_very_many_files(run, postgresql):
    """It would take longer than all the rest of the probe."""
    change = (
        "begin; set local allow_system_table_mods = on; update pg_class set reltuples = {} where relname = 'pg_class'"
    )
    ((before,),) = postgresql.execute("select reltuples from pg_class where relname = 'pg_class'")
    postgresql.execute(f"{change.format(20001)}; commit")
    try:
        assert [*metrics_of(run(), CHECK)] == ["connections used"]
    finally:
        postgresql.execute(f"{change.format(before)}; commit")
    assert [*metrics_of(run(), CHECK)] == ["connections used", "database size"]


@pytest.mark.parametrize("key", ["max_transaction_age", "max_replication_lag"])
def test_role_without_rights(run, key):
    """What it may not see is a failure only where it was asked for; the message names the right."""
    assert failure(run(**{key: "1h"})) == f'{key} cannot be checked: the role "monitor" needs pg_monitor'


def test_no_standby(run):
    """A primary whose standby is gone has no lag, and no standby either."""
    assert failure(run(READER, max_replication_lag="1m")) == "no standby is connected"


def test_ok(run):
    """With a password that holds everything that URLs dislike."""
    assert_ok(run())


def test_words_of_a_server_in_another_language():
    """What is not known is the server's own, in one line."""
    text = 'connection to server at "db", port 1 failed: FATAL:  Datenbank »shop« existiert nicht\n\tHint\n'
    assert (
        describe_connection_error(Exception(text), Progress("db", 1), "monitor")
        == "Datenbank »shop« existiert nicht at db:1"
    )


def test_server_that_responds_is_named_before_one_that_does_not():
    text = (
        'connection to server at "db" (::1), port 1 failed: FATAL:  the database system is starting up\n'
        'connection to server at "db" (127.0.0.1), port 1 failed: Connection refused\n\tIs the server running?\n'
    )
    assert (
        describe_connection_error(Exception(text), Progress("db", 1), "monitor") == "the server is starting up at db:1"
    )


def test_others_of_the_process_wait_as_long_as_it_takes(postgresql):
    """The wait callback is of the whole process: only threads of probes have a timeout."""
    from healthchecks.clients.postgresql.connection import DatabaseAccess, session

    with session(DatabaseAccess(postgresql.dsn())) as cursor:
        cursor.execute("select 1")
    done = threading.Event()

    def work():
        with contextlib.closing(postgresql.connect(MONITOR)) as connection, connection.cursor() as cursor:
            cursor.execute("select pg_sleep(0.1)")
            done.set()

    threading.Thread(target=work).start()
    assert done.wait(60)


def _free(postgresql):
    used = "select count(*) from pg_stat_activity where datid is not null and backend_type = 'client backend'"
    return 37 - postgresql.execute(used)[0][0] + 1  # the one that asks
