"""A report changes nothing, whatever it holds and as whomever it asks; and says why."""

import contextlib
import re

import pytest

from healthchecks.clients.postgresql.connection import DatabaseAccess
from healthchecks.clients.postgresql.query import Query, ask
from tests.servers.postgresql import ADMIN, Role
from tests.servers.server import until

ONE_QUERY = "a report is exactly one query that gives rows: "
SEVERAL = ONE_QUERY + "cannot open multi-query plan as cursor"
READS = "a report only reads: "

ATTACKS = {
    "commit": ("select 1; commit; delete from shop.orders", SEVERAL),
    "comments": ("select 1 /* ; */; -- done\n/* /* nested */ */ commit; drop table shop.orders --", SEVERAL),
    "dollars": ("select $a$;$b$ $a$; commit; delete from shop.orders; select $x$;$x$", SEVERAL),
    "escapes": (r"select E'\'; commit; delete from shop.orders; --'; commit; delete from shop.orders; --'", SEVERAL),
    "read-write": (
        "select 1; commit; set session characteristics as transaction read write; create table shop.more ()",
        SEVERAL,
    ),
    "do": ("do $$ begin delete from shop.orders; end $$", ONE_QUERY + "cannot open DO query as cursor"),
    "copy": ("copy (select 1) to program 'touch TOUCHED'", ONE_QUERY + "cannot open COPY query as cursor"),
    "copy-behind": ("select 1; copy shop.orders to program 'touch TOUCHED'", SEVERAL),
    "delete": ("delete from shop.orders", ONE_QUERY + "cannot open DELETE query as cursor"),
    "returning": ("delete from shop.orders returning id", READS + "cannot execute DELETE in a read-only transaction"),
    "with": (
        "with gone as (delete from shop.orders returning id) select * from gone",
        READS + "cannot execute SELECT in a read-only transaction",
    ),
    "function": ("select shop.destroy()", READS + "cannot execute DELETE in a read-only transaction"),
    "committing": ("call shop.commits(0)", READS + "invalid transaction termination"),
    "sequence": ("select nextval('shop.numbers')", READS + "cannot execute nextval() in a read-only transaction"),
    "setting": (
        "select set_config('transaction_read_only', 'off', false), shop.destroy()",
        READS + "transaction read-write mode must be set before any query",
    ),
    "explain": (
        "explain analyze delete from shop.orders",
        READS + "cannot execute DELETE in a read-only transaction",
    ),
    "begin": ("begin", ONE_QUERY + "cannot open BEGIN query as cursor"),
    "cursor": (
        "declare servermonitoring_report cursor with hold for select 1",
        ONE_QUERY + "cannot open DECLARE CURSOR query as cursor",
    ),
    "close": ("close servermonitoring_report; commit; delete from shop.orders", SEVERAL),
    "nothing": ("-- nothing", SEVERAL),
}
FUNCTIONS = [
    "create function shop.destroy() returns int language plpgsql as $$ begin delete from shop.orders; return 1; end $$",
    "create procedure shop.commits(inout a int) language plpgsql as $$ begin commit; delete from shop.orders; end $$",
    """create function shop.cursors() returns int language plpgsql as $$
        declare servermonitoring_report cursor for select 1;
        begin open servermonitoring_report; return 1; end $$""",
]


@pytest.fixture
def as_owner(reports, owned):
    reports.role = owned
    for function in FUNCTIONS:
        reports.postgresql.execute(function, role=owned)
    return reports


def state_of(postgresql):
    """All that an owner could change in its schema."""
    return [
        postgresql.execute("select id from shop.orders order by id"),
        postgresql.execute("select last_value, is_called from shop.numbers"),
        postgresql.execute("select relname from pg_class where relnamespace = 'shop'::regnamespace order by 1"),
        postgresql.execute("select count(*) from pg_largeobject_metadata"),
        postgresql.execute("select rolname, rolconfig from pg_roles order by 1"),
    ]


def test_nothing_changes(as_owner, postgresql, tmp_path):
    """Every attack, all in one run, as an ordinary role that owns what it attacks."""
    before = state_of(postgresql)
    for name, (query, _) in ATTACKS.items():
        as_owner.report(name, query.replace("TOUCHED", str(tmp_path / "touched")))
    as_owner.report("large-object", "select lo_create(0) > 0 as made")
    outcome = as_owner.run()
    assert state_of(postgresql) == before
    assert not (tmp_path / "touched").exists()
    reported = {name: outcome.checks[f"report[{name}]"]["message"] for name in ATTACKS}
    wrong = {name: reported[name] for name, (_, words) in ATTACKS.items() if words not in reported[name]}
    assert wrong == {}
    assert {outcome.checks[f"report[{name}]"]["status"] for name in ATTACKS} == {"error"}


def test_copy_to_a_program_as_superuser(reports, tmp_path):
    """Also one who may run programs on the server runs none."""
    reports.role = ADMIN
    tmp_path.chmod(0o777)
    message = reports.broken("copy", f"select 1; copy (select 1) to program 'touch {tmp_path}/touched'")
    assert message == SEVERAL
    assert not (tmp_path / "touched").exists()


def test_a_cursor_named_like_ours(as_owner):
    """A function that opens one harms itself only. Of a role that can write the summary warns, by what it may do."""
    as_owner.report("other", "select 7 as number")
    as_owner.report("cursors", "select shop.cursors()")
    outcome = as_owner.run()
    assert 'cursor "servermonitoring_report" already in use' in outcome.checks["report[cursors]"]["message"]
    assert as_owner.cells("other") == [["7"]]
    assert '[database.main]: the role "owner" may write into shop.orders; reports should ask as' in outcome.output


@pytest.mark.parametrize(
    ("rights", "words"),
    [
        ("", ""),
        ("in role pg_monitor, pg_read_all_data", ""),
        ("superuser", "is a superuser"),
        ("createrole", "may create roles"),
        ("in role pg_execute_server_program", "may run programs on the server"),
        ("in role pg_write_server_files", "may write files on the server"),
        ("in role pg_write_all_data", "may write into shop.orders"),
    ],
)
@pytest.mark.usefixtures("owned")
def test_what_a_role_may_do_besides_reading(postgresql, rights, words):
    """The warning names the right; there is none for a role that can only read."""
    role = Role("asking", "asks")
    postgresql.execute(f"create role {role.name} login password '{role.password}' {rights}")
    try:
        answer = ask(DatabaseAccess(postgresql.dsn(role)), Query("select 1"))
    finally:
        postgresql.execute(f"drop role {role.name}")
    assert (answer.asked_by, answer.rights) == ("asking", words)


def test_lock_that_is_never_released(reports, owned):
    """Reported as what it is before the timeout; the other reports are unharmed."""
    with contextlib.closing(reports.postgresql.connect(owned)) as holder, holder.cursor() as cursor:
        cursor.execute("begin; lock table shop.orders")
        reports.role = owned
        reports.report("locked", "select * from shop.orders", timeout="8s")
        reports.report("other", "select 1 as number")
        outcome = reports.run()
    assert outcome.message("report[locked]") == "a lock that it needs was not released within 4 s"
    assert outcome.checks["report[other]"]["status"] == "ok"


def test_query_that_takes_too_long(reports):
    """It fails at its timeout; its session on the server ends, too."""
    reports.report("long", "select count(*) from generate_series(1, 1000000000000)", timeout="6s")
    reports.report("other", "select 1 as number")
    outcome = reports.run()
    assert re.fullmatch(r"logged in to \S+:\d+, no response within 6 s", outcome.message("report[long]"))
    assert outcome.checks["report[other]"]["status"] == "ok"
    left = "select count(*) from pg_stat_activity where application_name like 'healthchecks%'"
    until(lambda: reports.postgresql.execute(left) == [(0,)], 120, what="end of the session")


def test_cell_of_100_megabytes(reports):
    """Its beginning arrives; the whole would not fit into the memory that this run may have."""
    reports.report("cell", "select repeat('x', 100000000) as long, repeat('y', 100000000)::bytea as bytes")
    outcome = reports.run("-ptests.healthchecks.sql_reports.little_memory")
    outcome.assert_ok("report[cell]")
    assert reports.cells("cell") == [
        ["x" * 1000 + "… (100 MB in all)", "\\x" + "79" * 499 + "… (200 MB in all)"],
    ]


def test_server_stopped_midway_and_away(reports, postgresql, owned):
    """Each report fails at its timeout; the page says so, and still shows the last table with its age."""
    reports.role = owned
    reports.report("orders", "select count(*) as orders from shop.orders", timeout="8s")
    reports.run().assert_ok("report[orders]")
    with contextlib.closing(postgresql.connect(ADMIN)) as holder, holder.cursor() as cursor:
        cursor.execute("begin; lock table shop.orders")
        process = reports.start()
        waiting = "select count(*) from pg_locks where not granted"
        until(lambda: postgresql.execute(waiting) == [(1,)], 120, what="the report's query")
        postgresql.pause()
        outcome = reports.finish(process)
    assert re.fullmatch(r"logged in to \S+:\d+, no response within 8 s", outcome.message("report[orders]"))
    assert "no response within 8 s" in reports.section("orders").text_content()
    postgresql.stop()
    assert reports.run().message("report[orders]") == f"connection refused at 127.0.0.1:{postgresql.port}"
    assert reports.cells("orders") == [["3"]]
    assert "The last run has no result: the table is of" in reports.section("orders").text_content()
    postgresql.start()


@pytest.mark.usefixtures("owned")
def test_side_by_side(reports):
    """Several reports at once, and each has its own answer, however much another asks for."""
    reports.report("rows", "select generate_series(1, 100000000) as number", limit="3")
    reports.report("long", "select repeat('z', 1000) as a from generate_series(1, 10000)", limit="10000")
    reports.report("orders", "select * from shop.orders")
    for number in range(8):
        reports.report(f"n{number}", f"select pg_sleep(0.2), {number} as number")
    outcome = reports.run()
    assert [reports.cells(f"n{number}")[0][1] for number in range(8)] == [str(number) for number in range(8)]
    assert reports.cells("rows") == [["1"], ["2"], ["3"]], "only what is shown is made: the query streams"
    assert "The first 3 rows, there are more" in reports.section("rows").text_content()
    assert 290 < len(reports.cells("long")) < 310, "cut where a page could not show it any more"
    assert outcome.message("report[orders]") == 'the role "reader" lacks a right: permission denied for schema shop'
    assert "should ask as" not in outcome.output, "a role that can only read is not warned of"
