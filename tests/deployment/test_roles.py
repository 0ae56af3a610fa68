"""The users of database and broker that the deployment makes: enough for the checks, and for nothing else."""

import contextlib
import subprocess

import pika
import psycopg2
import pytest

from tests import ROOT
from tests.reliability import reliability
from tests.servers.postgresql import Role
from tests.servers.rabbitmq import User
from tests.suite import table

DEPLOY = ROOT / "deploy"
REPORTS = ROOT / "reports/postgresql"
PASSWORD = "of the deployment's test"


@pytest.fixture
def role(postgresql):
    """Made by the file as it is, under a name that the tests' server does not have."""
    sql = (DEPLOY / "postgresql.sql").read_text().replace("monitor", "deployed")
    postgresql.execute("; ".join(line for line in sql.splitlines() if not line.startswith("--")))
    postgresql.execute("alter role deployed password %s", PASSWORD)
    yield Role("deployed", PASSWORD)
    postgresql.execute("drop role deployed")


def test_the_role_is_enough_for_the_check(role, postgresql, run_suite):
    run_suite(table("database", "main", dsn=postgresql.url(role))).assert_ok("database_access[main]")


@pytest.mark.parametrize(
    "sql",
    ["create table public.mine (n int)", "create database mine", "create role mine",
     "select rolpassword from pg_authid", "copy (select 1) to program 'true'", "select pg_read_file('/etc/passwd')"],
)  # fmt: skip
def test_the_role_may_do_nothing_else(role, postgresql, sql):
    refused = psycopg2.errors.InsufficientPrivilege, psycopg2.errors.ReadOnlySqlTransaction
    with contextlib.closing(postgresql.connect(role)) as connection, pytest.raises(refused):
        connection.cursor().execute(sql)


def test_a_query_of_the_role_ends_by_itself(role, postgresql):
    assert postgresql.execute("show statement_timeout", role=role) == [("30s",)]


def test_the_role_takes_no_more_than_its_connections(role, postgresql):
    """A check that went wild cannot take the database's last ones."""
    connections = [postgresql.connect(role) for _ in range(5)]
    with pytest.raises(psycopg2.OperationalError, match="too many connections"):
        postgresql.connect(role)
    for each in connections:
        each.close()


@pytest.fixture
def reporting(role, postgresql):
    """The same role, with what the reports need, in a database with sequences of two owners."""
    postgresql.execute("create sequence public.numbers")
    postgresql.execute((DEPLOY / "postgresql-reports.sql").read_text().replace("monitor;", "deployed;").replace(
        "TO monitor'", "TO deployed'"))  # fmt: skip
    postgresql.execute("create sequence public.more_numbers")
    yield role
    postgresql.execute("drop sequence public.numbers, public.more_numbers")
    postgresql.execute(f"drop owned by {role.name}")


@reliability(
    "Configuration",
    fault="the reports that ship are run as the role that ships, which may have five connections",
    promise="they ask so few at a time, and have the rights, that all pass",
)
def test_the_role_is_enough_for_the_reports(reporting, postgresql, run_suite):
    toml = table("database", "main", dsn=postgresql.url(reporting))
    with contextlib.closing(postgresql.connect(reporting)), contextlib.closing(postgresql.connect(reporting)):
        outcome = run_suite(toml, str(REPORTS))  # while two checks run
    assert outcome.status == 0, outcome.output
    assert len(outcome.checks) == len(list(REPORTS.glob("*.sql")))


@pytest.fixture
def user(rabbitmq, tmp_path):
    """Made by the script as it is, with the tests' own rabbitmqctl."""
    control = tmp_path / "rabbitmqctl"
    calls = tmp_path / "calls"
    control.write_text(f'#!/bin/sh\necho "$@" >> {calls}\n[ "$2" != add_user ] || cat > {tmp_path}/password\n')
    control.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    subprocess.run([DEPLOY / "rabbitmq-user", "deployed"], input=PASSWORD, text=True, env=environment, check=True)
    for call in calls.read_text().splitlines():
        words = call.split()[1:]  # behind --quiet, which .ctl() says itself
        rabbitmq.ctl(*words, *([(tmp_path / "password").read_text()] if words[0] == "add_user" else []))
    yield User("deployed", PASSWORD, "")
    rabbitmq.ctl("delete_user", "deployed")


def test_the_user_is_enough_for_the_check_and_may_do_nothing_else(user, rabbitmq, run_suite):
    login = {"host": "127.0.0.1", "port": rabbitmq.port, "user": user.name, "password": user.password}
    with rabbitmq.queue("celery", messages=1) as queue:
        toml = table("rabbitmq", "main", **login, queues={queue: {"max_messages": 5}})
        run_suite(toml).assert_ok("rabbitmq_access[main]")
        for forbidden in (
            lambda channel: channel.basic_get(queue),
            lambda channel: channel.queue_declare("mine"),
            lambda channel: channel.queue_purge(queue),
            lambda channel: channel.queue_delete(queue),
            lambda channel: channel.exchange_declare("mine"),
        ):
            connection = rabbitmq.connect(user)
            with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="ACCESS_REFUSED"):
                forbidden(connection.channel())
            connection.close()
        assert rabbitmq.waiting(queue) == 1
