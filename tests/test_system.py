"""One target of each kind on real servers: all ok; then each server fails in turn, and only its own checks do."""

import json

import pytest

from tests.servers.pages import PASSWORD, USER
from tests.servers.postgresql import MONITOR as ROLE
from tests.servers.rabbitmq import ADMIN
from tests.servers.server import until
from tests.suite import table

ALL = "healthchecks"


def configuration(website, postgresql, rabbitmq, queue, folder):
    broker = {"host": "127.0.0.1", "port": rabbitmq.port, "user": ADMIN.name, "password": ADMIN.password}
    return "\n".join((
        table("website", "home", url=website.url("/"), contains="Welcome", timeout=8),
        table("website", "secure", url=website.url("/", tls="good"), ca=website.authority, timeout=8),
        table("login", "members", url=website.url("/login"), fields={"user": USER, "password": PASSWORD},
              then=website.url("/members"), contains="Welcome back", timeout=8),
        table("database", "main", dsn=postgresql.url(ROLE), timeout=8),
        table("rabbitmq", "main", **broker, queues={queue: {"max_messages": 5}}, timeout=8),
        table("tcp", "port", host="127.0.0.1", port=website.port, timeout=8),
        table("disk", "work", path=folder, max_used="100%", max_inodes_used="100%"),
        table("job", "nightly", log=folder / "job.log", max_age="1h"),
        "[host]\nmin_memory_available = 0.0\nmax_load_per_core = 1000.0\nmax_swap_used = '100%'\n",
    ))  # fmt: skip


@pytest.fixture
def everything(website, postgresql, rabbitmq, run_suite, tmp_path):
    """`run()` returns what is not ok, by label: its message."""
    (tmp_path / "job.log").write_text("2000-01-01T00:00:00Z fail\nnow ok\n")
    with rabbitmq.queue("celery") as queue:
        toml = configuration(website, postgresql, rabbitmq, queue, tmp_path)

        def run(*changes):
            text = toml
            for old, new in changes:
                assert old in text
                text = text.replace(old, new)
            files = f"--junitxml={tmp_path}/junit.xml", f"--log-file={tmp_path}/run.log", "--log-file-level=DEBUG"
            outcome = run_suite(text, ALL, *files)
            assert outcome.checks, outcome.output
            bad = {
                name: each["message"] for name, each in outcome.checks.items() if each["status"] in ("failed", "error")
            }
            assert outcome.status == (1 if bad else 0), outcome.output
            assert "Traceback" not in outcome.output
            return bad, outcome

        yield run


def test_all_ok(everything):
    """Every kind is OK against a real server, and the watchdog's is skipped until one was started."""
    bad, outcome = everything()
    assert bad == {}
    kinds = {name.split("[")[0] for name, each in outcome.checks.items() if each["status"] == "ok"}
    assert kinds == {
        "website_access", "website_login", "database_access", "rabbitmq_access", "tcp_access", "disk_space",
        "job_status", "host_memory", "host_swap", "host_load",
    }  # fmt: skip


def test_database_stops(everything, postgresql):
    """A stopped PostgreSQL fails its own check only, within its timeout; so does a killed one."""
    postgresql.pause()
    bad, _ = everything()
    assert list(bad) == ["database_access[main]"]
    assert bad["database_access[main]"] == f"connected to 127.0.0.1:{postgresql.port}, no response within 8 s"
    postgresql.stop()
    bad, _ = everything()
    assert bad == {"database_access[main]": f"connection refused at 127.0.0.1:{postgresql.port}"}


def test_broker_stops(everything, rabbitmq):
    """A stopped RabbitMQ fails its own check only."""
    rabbitmq.pause()
    bad, _ = everything()
    rabbitmq.resume()
    assert list(bad) == ["rabbitmq_access[main]"]


def test_website_stops(everything, website):
    """A stopped website fails what is asked of it; the port itself still accepts."""
    website.pause()
    bad, _ = everything()
    website.resume()
    assert set(bad) == {"website_access[home]", "website_access[secure]", "website_login[members]"}


def test_wrong_passwords(everything, postgresql):
    """A wrong password is reported in the server's words, with role and address, for each kind of its own."""
    words = everything((json.dumps(PASSWORD), '"mistaken"'))[0]
    assert list(words) == ["website_login[members]"]
    from urllib.parse import quote

    bad, _ = everything((quote(ROLE.password, safe=""), "mistaken"))
    where = f"127.0.0.1:{postgresql.port}"
    assert bad == {"database_access[main]": f'password authentication failed for user "{ROLE.name}" at {where}'}


def test_full_queue_and_wrong_text(everything, rabbitmq, website):
    """More messages than the limit, another text, an expired certificate: each its own check."""
    channel = rabbitmq.connect().channel()
    for _ in range(6):
        channel.basic_publish("", "celery", b"waits")
    until(lambda: rabbitmq.waiting("celery") == 6, what="six messages")
    channel.connection.close()
    assert everything()[0] == {"rabbitmq_access[main]": "6 messages waiting in queue celery, maximum 5"}
    website.answer("/", "Oops")
    assert set(everything(('max_messages" = 5', 'max_messages" = 50'))[0]) == {"website_access[home]"}
    website.forget()
    port = str(website.tls_ports["expired"])
    bad, _ = everything((str(website.tls_ports["good"]), port), ('max_messages" = 5', 'max_messages" = 50'))
    assert list(bad) == ["website_access[secure]"]
    assert "certificate has expired" in bad["website_access[secure]"]


def test_no_secret_is_written(everything, website, postgresql, rabbitmq):
    """With every target failing, no secret is in terminal, page, junit, log, history or status.json."""
    from urllib.parse import quote

    for server in (website, postgresql, rabbitmq):
        server.pause()
    bad, outcome = everything()
    for server in (website, postgresql, rabbitmq):
        server.resume()
    assert len(bad) >= 5
    assert {"junit.xml", "run.log"} <= {path.name for path in outcome.folder.iterdir()}
    written = outcome.all_written()
    for secret in (PASSWORD, ROLE.password, ADMIN.password):
        assert secret not in written
        assert quote(secret, safe="") not in written
