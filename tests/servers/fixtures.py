"""The servers as fixtures: one of each for a whole run, started when first asked for, working at each test."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import browsers
from tests.servers.bad import BadServers
from tests.servers.browsers import Browser
from tests.servers.bugsink import Bugsink
from tests.servers.celery import CeleryWorker
from tests.servers.kent import Kent
from tests.servers.knot import Knot
from tests.servers.postgresql import PostgreSQL
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import Redis
from tests.servers.smtp import SmtpServer
from tests.servers.systemd import Systemd
from tests.servers.website import Website


@pytest.fixture(scope="session")
def running_website() -> Iterator[Website]:
    with Website() as server:
        yield server


@pytest.fixture
def website(running_website: Website) -> Website:
    """A website; see pages.py for what is on it."""
    running_website.forget()
    return running_website.revive()


@pytest.fixture(scope="session")
def running_bad() -> Iterator[BadServers]:
    with BadServers() as server:
        yield server


@pytest.fixture
def bad(running_bad: BadServers) -> BadServers:
    """Servers that hang, drip, babble; see bad.py for their names."""
    return running_bad.revive()


@pytest.fixture(scope="session")
def running_postgresql() -> Iterator[PostgreSQL]:
    with PostgreSQL() as server:
        yield server


@pytest.fixture
def postgresql(running_postgresql: PostgreSQL) -> PostgreSQL:
    """A PostgreSQL with the roles ADMIN, MONITOR and READER of postgresql.py."""
    server = running_postgresql.revive()
    server.forget()
    return server


@pytest.fixture(scope="session")
def running_rabbitmq() -> Iterator[RabbitMQ]:
    with RabbitMQ() as server:
        yield server


@pytest.fixture
def rabbitmq(running_rabbitmq: RabbitMQ) -> RabbitMQ:
    """A RabbitMQ with the users ADMIN and MONITOR of rabbitmq.py."""
    return running_rabbitmq.revive()


@pytest.fixture(scope="session")
def running_knot() -> Iterator[Knot]:
    with Knot() as server:
        yield server


@pytest.fixture
def knot(running_knot: Knot) -> Knot:
    """A name server with the zone of knot.py."""
    return running_knot.revive()


@pytest.fixture(scope="session")
def running_smtp() -> Iterator[SmtpServer]:
    with SmtpServer() as server:
        yield server


@pytest.fixture
def smtp(running_smtp: SmtpServer) -> SmtpServer:
    """An SMTP server without TLS, which has no message yet."""
    server = running_smtp.revive()
    server.forget()
    return server


@pytest.fixture(scope="session")
def running_redis() -> Iterator[Redis]:
    with Redis() as server:
        yield server


@pytest.fixture
def redis(running_redis: Redis) -> Redis:
    """A Redis with the password of redis.py."""
    return running_redis.revive()


@pytest.fixture
def celery_worker(redis: Redis) -> Iterator[CeleryWorker]:
    """A worker of the queue "mail" on Redis, for one test: others measure what Redis uses."""
    with CeleryWorker(redis.url) as server:
        yield server


@pytest.fixture(scope="session")
def running_bugsink() -> Iterator[Bugsink]:
    with Bugsink() as server:
        yield server


@pytest.fixture
def bugsink(running_bugsink: Bugsink) -> Bugsink:
    """A Bugsink, with a new project of this test's own."""
    return running_bugsink.revive().fresh()


@pytest.fixture(scope="session")
def running_kent() -> Iterator[Kent]:
    with Kent() as server:
        yield server


@pytest.fixture
def kent(running_kent: Kent) -> Kent:
    """A kent, with a new project of this test's own."""
    return running_kent.revive().fresh()


@pytest.fixture(scope="session")
def running_systemd() -> Iterator[Systemd]:
    with Systemd() as systemd:
        yield systemd


@pytest.fixture
def systemd(running_systemd: Systemd, monkeypatch: pytest.MonkeyPatch) -> Systemd:
    """A systemd of its own, whose systemctl is the one on the PATH."""
    monkeypatch.setenv("PATH", running_systemd.path_with_systemctl)
    return running_systemd


@pytest.fixture(scope="session")
def chromium() -> Browser:
    """Chromium and its chromedriver."""
    return browsers.chromium()


@pytest.fixture(scope="session")
def firefox() -> str:
    """The path of Firefox."""
    return browsers.firefox()


@pytest.fixture(scope="session")
def firefox_with_geckodriver() -> Browser:
    """Firefox and the geckodriver that the user installs."""
    return browsers.firefox_with_geckodriver()


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 kB."""
    if os.geteuid() != 0:
        pytest.skip("missing: root (to mount a tiny file system)")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=1777", "tmpfs", disk], check=False)
    if mounted.returncode:
        pytest.skip("missing: mount (to make a tiny file system)")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)
