"""The reports that ship run on every database: an empty one, one with data, and for every role."""

import contextlib
import re
import threading

import psycopg2
import pytest

from tests import ROOT
from tests.servers.postgresql import MONITOR, READER, Role
from tests.servers.server import until
from tests.suite import table

SHIPPED = ROOT / "reports" / "postgresql"
NAMES = sorted(path.stem for path in SHIPPED.glob("*.sql"))
DOCUMENTATION = (ROOT / "docs" / "reports.md").read_text()
STATEMENTS = re.findall(r"(?s)(.+?);\s*", re.findall(r"(?s)```sql\n(create role .*?)```", DOCUMENTATION)[0])
LOCK = "lock table pgbench_tellers in share row exclusive mode"
BLOCKED = "update pgbench_tellers set tbalance = 1"
NEED_PG_MONITOR = {"blocked-queries", "connections", "longest-transactions", "replication"}


def statuses(outcome):
    return {name: outcome.checks[f"report[postgresql/{name}]"]["status"] for name in NAMES}


def test_on_an_empty_database(reports, postgresql):
    """All pass as a role that may read, and show what they can."""
    postgresql.execute("create database empty")
    try:
        toml = table("database", "empty", dsn=postgresql.url(READER, "empty"))
        outcome = reports.run(str(SHIPPED), toml=toml)
    finally:
        postgresql.execute("drop database empty")
    assert outcome.status == 0, outcome.output
    assert set(statuses(outcome).values()) == {"ok"}
    assert reports.cells("postgresql/largest-tables") == []
    assert reports.cells("postgresql/replication")[0][0] == "no standby and no slot"
    assert int(reports.cells("postgresql/size")[0][0]) > 1_000_000


def test_without_rights(reports):
    """A role that may only connect learns from the reports which right is missing."""
    reports.role = MONITOR
    outcome = reports.run(str(SHIPPED))
    failing = {name for name, status in statuses(outcome).items() if status != "ok"}
    assert failing == NEED_PG_MONITOR
    for name in failing:
        found = outcome.message(f"report[postgresql/{name}]")
        assert found == 'the role "monitor" may not see this: grant pg_monitor to monitor'


@pytest.fixture
def faulty(postgresql, pgbench, owned):
    """Data, and all that the reports look for: a lock, an old transaction, dead rows, a sequence near its end."""
    assert pgbench
    postgresql.execute("create index unused on pgbench_accounts (abalance)")
    postgresql.execute("update pgbench_accounts set abalance = 1 where aid <= 50000")
    postgresql.execute("create sequence small as smallint")
    postgresql.execute("grant select on small to public")
    postgresql.execute("select setval('small', 30000)")
    postgresql.execute("create table shop.partitioned (id int) partition by range (id)", role=owned)
    with contextlib.ExitStack() as stack:
        holder, waiter = (stack.enter_context(contextlib.closing(postgresql.connect())) for _ in range(2))
        holder.cursor().execute("begin; " + LOCK)
        thread = threading.Thread(target=waiter.cursor().execute, args=(BLOCKED,))
        thread.start()
        waits = "select wait_event_type from pg_stat_activity where pid = %s"
        until(lambda: postgresql.execute(waits, waiter.get_backend_pid()) == [("Lock",)], what="the blocked query")
        yield
        holder.cursor().execute("rollback")
        thread.join()
    postgresql.execute("drop sequence small")


@pytest.mark.usefixtures("faulty")
def test_on_a_faulty_database(reports):
    """Each shows what it is there for."""
    outcome = reports.run(str(SHIPPED), "--monitoring-param=longest=0 s")
    reports.page_name = "database-once"
    found = {name: reports.cells(f"postgresql/{name}") for name in NAMES}
    assert found["largest-tables"][0][0] == "public.pgbench_accounts"
    assert found["unused-indexes"][0][0] == "public.unused"
    assert found["dead-rows"][0][0] == "public.pgbench_accounts"
    assert found["blocked-queries"][0][2:4] == ["admin", BLOCKED]
    assert found["blocked-queries"][0][7] == f"begin; {LOCK}"
    assert f"begin; {LOCK}" in [row[6] for row in found["longest-transactions"]]
    assert ["public.small", "91.6", "30000"] in [row[:3] for row in found["sequences"]]
    assert {row[0]: row[1] for row in found["connections"]} == {"idle in transaction": "1", "active": "1"}
    cells = [cell for rows in found.values() for row in rows for cell in row]
    assert [cell for cell in cells if re.search(r":\d\d\.\d", cell)] == [], "a time has parts of a second"
    failing = {name for name, status in statuses(outcome).items() if status != "ok"}
    assert failing == {"blocked-queries", "longest-transactions", "sequences"}


def test_sequences_that_the_role_may_not_see(reports, owned):
    """Are listed with the right that is missing; with it they are seen."""
    reports.role = READER
    outcome = reports.run(str(SHIPPED / "sequences.sql"))
    assert outcome.message("report[postgresql/sequences]").startswith("1 row (shop.numbers)")
    assert reports.cells("postgresql/sequences")[0][5] == "grant select on sequence shop.numbers to reader"
    reports.role = owned
    reports.run(str(SHIPPED / "sequences.sql")).assert_ok("report[postgresql/sequences]")


def test_as_a_reader_of_everything(reports, postgresql, pgbench):
    """The role that docs/reports.md makes: all reports pass, it can write nothing, and nobody is warned of it."""
    role = Role("reports", "PASSWORD")
    for statement in STATEMENTS:
        postgresql.execute(statement)
    try:
        reports.role = role
        reports.report("accounts", f"select count(*) from {pgbench}")
        outcome = reports.run(str(SHIPPED), str(reports.folder / "reports"))
        assert outcome.status == 0, outcome.output
        assert "should ask as" not in outcome.output
        with pytest.raises(psycopg2.Error, match="permission denied for table"):
            postgresql.execute(f"set transaction read write; delete from {pgbench}", role=role)
    finally:
        postgresql.execute("drop role reports")
