"""[database.NAME] dsn, in both of its forms."""

from urllib.parse import quote

import pytest

from tests.servers.postgresql import MONITOR, Role
from tests.servers.server import HOST
from tests.suite import table

CHECK = "database_access[main]"


@pytest.mark.parametrize("form", ["url", "dsn"])
def test_dsn(run_suite, postgresql, form):
    outcome = run_suite(table("database", "main", dsn=getattr(postgresql, form)()))
    assert outcome.status == 0, outcome.output


@pytest.mark.parametrize("form", ["url", "dsn"])
def test_wrong_password_in_dsn(run_suite, postgresql, form):
    wrong = Role(MONITOR.name, "wr:ng p@ss/20%")
    outcome = run_suite(table("database", "main", dsn=getattr(postgresql, form)(wrong)))
    assert outcome.status == 1, outcome.output
    assert outcome.message(CHECK) == f'password authentication failed for user "monitor" at {HOST}:{postgresql.port}'
    assert not any(part in outcome.all_written() for part in (wrong.password, quote(wrong.password, safe="")))


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"dsn": "postgresql://monitor:s3cret word@host:port/x"}, "is not a URL"),
        ({"dsn": "host=127.0.0.1 s3cret"}, "is not a URL"),
        ({"dsn": "host=127.0.0.1", "port": 5432}, "write either dsn or port"),
    ],
)
def test_wrong_configuration(run_suite, keys, words):
    """Reported before anything is contacted, and without the DSN."""
    outcome = run_suite(table("database", "main", **keys))
    assert outcome.status == 4
    assert words in outcome.output
    assert "s3cret" not in outcome.output
