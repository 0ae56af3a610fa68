"""The servers as fixtures: one of each for a whole run, started when first asked for, well at each test."""

from collections.abc import Iterator

import pytest

from tests.servers import browsers
from tests.servers.bad import BadServers
from tests.servers.browsers import Browser
from tests.servers.bugsink import Bugsink
from tests.servers.kent import Kent
from tests.servers.postgresql import PostgreSQL
from tests.servers.rabbitmq import RabbitMQ
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
    return running_postgresql.revive()


@pytest.fixture(scope="session")
def running_rabbitmq() -> Iterator[RabbitMQ]:
    with RabbitMQ() as server:
        yield server


@pytest.fixture
def rabbitmq(running_rabbitmq: RabbitMQ) -> RabbitMQ:
    """A RabbitMQ with the users ADMIN and MONITOR of rabbitmq.py."""
    return running_rabbitmq.revive()


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
