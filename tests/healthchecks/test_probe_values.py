"""What the probes return reaches their tests by pickle: plain data, unchanged, and bounded whatever the peer sends."""

import inspect
import json
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest

from healthchecks import (
    CheckError,
    Secret,
    Target,
    Unhealthy,
    test_celery,
    test_command,
    test_database,
    test_disk,
    test_dns,
    test_host,
    test_job,
    test_login,
    test_peer,
    test_rabbitmq,
    test_redis,
    test_tcp,
    test_tls,
    test_unit,
    test_website,
)
from healthchecks.clients.command import LARGEST_OUTPUT
from healthchecks.clients.debian import read_required_restart
from healthchecks.clients.postgresql.connection import DatabaseAccess
from healthchecks.clients.rabbitmq import Broker
from healthchecks.plugin.outcome import describe
from healthchecks.plugin.probes.fixture import Probe, probe_of
from healthchecks.sql_reports import items
from healthchecks.sql_reports.report import Report, evaluate
from tests import ROOT
from tests.servers import rabbitmq as brokers
from tests.servers.apt import AptPackages
from tests.servers.chrony import Chrony
from tests.servers.peers import at_once, peer, stay
from tests.servers.postgresql import READER
from tests.servers.server import HOST
from tests.servers.website import PASSWORD, USER

LOGIN = {"user": USER, "password": PASSWORD}


@dataclass(frozen=True)
class Kind:
    """A kind of check, the server that it contacts, and a target that passes before those that fail."""

    probe: Any
    server: str
    targets: Callable[[Any], Sequence[Target]]
    tests: Sequence[Callable[[Any, Any], None]]
    largest: int
    """Bytes of a pickled value here; what bounds it elsewhere is in the tests below."""


def websites(server):
    page = server.url("/")
    return [
        test_website.Website(url=page, contains="html"),
        test_website.Website(url=page, contains="nothing like it"),
        test_website.Website(url=server.url("/status/503")),
        test_website.Website(url=page, headers={"Content-Type": "text/html", "X-None": "x"}),
        test_website.Website(url=server.url("/", tls="expiring"), ca=server.authority),
        test_website.Website(url=server.url("/json"), json={"nothing": 1}),
    ]


def logins(server):
    address = {"url": server.url("/login"), "contains": "Welcome back"}
    return [
        test_login.Login(fields=LOGIN, **address),
        test_login.Login(fields=LOGIN | {"password": "wrong-one"}, **address),
    ]


def peers(server):
    status = {
        "version": 1, "generated": datetime.now(UTC).isoformat(), "host": "web2", "status": "ok",
        "interrupted": False, "without_result": 0, "checks": [], "others": [],
    }  # fmt: skip
    server.answer("/status.json", json.dumps(status))
    url = server.url("/status.json")
    return [test_peer.Peer(url=url), test_peer.Peer(url=url, host="web3"), test_peer.Peer(url=url, max_age=1e-9)]


def databases(server):
    address = {"dsn": Secret(server.url(READER))}
    return [
        test_database.Database(**address, max_transaction_age=1000),
        test_database.Database(**address, max_connections_used=0.0),
        test_database.Database(**address, max_replication_lag=5),
    ]


def brokers_of(server):
    user = brokers.ADMIN
    address = {"host": HOST, "port": server.port, "user": user.name, "password": Secret(user.password)}
    return [test_rabbitmq.Rabbitmq(**address), test_rabbitmq.Rabbitmq(**address, queues={"none": {}})]


def workers(server):
    address = {"broker": Secret(server.broker), "max_task_runtime": 60}
    return [
        test_celery.Celery(**address, queue="mail"),
        test_celery.Celery(**address, queue="mail", min_workers=2, timeout=3),
        test_celery.Celery(**address, queue="nobody's", timeout=3),
    ]


def ports(server):
    address = {"host": HOST, "port": server.port("garbage")}
    return [test_tcp.Tcp(**address, greeting="\0\1GARBAGE"), test_tcp.Tcp(**address, greeting="220")]


def certificates(server):
    ports = {name: server.tls_ports[name] for name in ("good", "expiring", "expired", "other_host")}
    return [test_tls.Tls(host=HOST, port=port, ca=server.authority) for port in ports.values()]


def stores(server):
    address = {"url": Secret(server.url)}
    return [
        test_redis.Redis(**address, role="master"),
        test_redis.Redis(**address, role="replica", min_replicas=2, max_replication_lag=1),
        test_redis.Redis(**address, max_memory_used="0%"),
    ]


def names(server):
    address = {"query": "www.example.test", "servers": server.address}
    missing = {"query": "none.example.test", "servers": server.address}
    return [
        test_dns.Dns(**address, expect=["192.0.2.1", "192.0.2.2"]),
        test_dns.Dns(**address, expect="192.0.2.9"),
        test_dns.Dns(**address, contains="192.0.2.9"),
        test_dns.Dns(**missing),
    ]


def reports(server):
    made = [Report(title="t", expect=expect) for expect in ("value > 6", "rows == 0", "value == 6")]
    made.append(Report(title="t", chart="bar x"))
    for each in made:
        each.called("t").asking("select 7 as n, 'x' as x, null as y", {}).connect(
            DatabaseAccess(server.url(READER)), {}
        )
    return made


def disks(folder):
    easy = {"path": folder, "max_used": "100%", "max_inodes_used": "100%"}
    return [test_disk.Disk(**easy), test_disk.Disk(**easy, mounted=True)]


def hosts(_folder):
    easy = {"max_swap_used": "100%", "max_load_per_core": 10_000}
    return [test_host.Host(min_memory_available="0%", **easy), test_host.Host(min_memory_available="100%", **easy)]


def jobs(folder):
    for name in ("ok", "fail"):
        (folder / name).write_text(f"{datetime.now(UTC).isoformat()} {name} {'x' * 100_000}\n")
    (folder / "1.dump").write_text("x")
    passing = [{"log": folder / "ok"}]
    failing = [{"log": folder / "fail"}, {"files": f"{folder}/*.dump", "min_size": 10}]
    return [test_job.Job(**keys, max_age=3600) for keys in (*passing, *failing)]


def commands(_folder):
    """The output of each is as long as may be, with more numbers than a check may have."""
    numbers = " ".join(f"{'x' * 50}{number}=1;2;3" for number in range(100))
    texts = [f"echo 'words|{numbers}'; head -c 50000 /dev/zero | tr '\\0' x; exit {status}" for status in (0, 1, 2, 3)]
    return [test_command.Command(command=("sh", "-c", text)) for text in texts]


def units(_systemd):
    return [test_unit.Unit(unit="basic.target", state=state) for state in ("active", "inactive")]


def failed_units(systemd):
    systemd.write({"one-broken.service": "[Service]\nExecStart=/bin/false\n"})
    systemd.run("systemctl reset-failed; systemctl start one-broken")
    systemd.until("systemctl is-failed one-broken")
    return [test_host.Host(max_failed_units=number) for number in (1, 0)]


@pytest.fixture
def chrony(tmp_path, monkeypatch):
    """A chronyd whose clock is behind by five seconds."""
    with Chrony(tmp_path, ahead=5) as running:
        monkeypatch.setenv("PATH", running.path_with_chronyc)
        yield


def clocks(_chrony):
    return [test_host.Host(max_clock_offset=seconds) for seconds in (100, 1)]


@pytest.fixture
def apt(tmp_path, monkeypatch):
    """A machine with one security update."""
    packages = AptPackages(tmp_path)
    packages.add("openssl", "1.0", new="1.1", label="Debian-Security")
    monkeypatch.setenv("PATH", packages.update())


def updates(_apt):
    return [test_host.Host(max_security_updates=number) for number in (1, 0)]


@pytest.fixture
def no_restart(tmp_path, monkeypatch):
    """A machine that needs none."""
    monkeypatch.setattr(test_host, "read_required_restart", lambda: read_required_restart(tmp_path / "none"))


def restarts(_no_restart):
    return [test_host.Host(reboot_required=False)]


KINDS = {
    "website": Kind(test_website.response, "website", websites, [test_website.test_website_access], 10_000),
    "login": Kind(test_login.arrival, "website", logins, [test_login.test_website_login], 10_000),
    "peer": Kind(test_peer.state, "website", peers, [test_peer.test_peer_fresh], 1_000),
    "database": Kind(test_database.statistics, "postgresql", databases, [test_database.test_database_access], 1_000),
    "rabbitmq": Kind(test_rabbitmq.exchange, "rabbitmq", brokers_of, [test_rabbitmq.test_rabbitmq_access], 1_000),
    "celery": Kind(test_celery.round_trip, "celery_worker", workers, [test_celery.test_celery_tasks], 1_000),
    "tcp": Kind(test_tcp.greeting, "bad", ports, [test_tcp.test_tcp_access], 1_000),
    "tls": Kind(test_tls.security, "website", certificates, [test_tls.test_tls_certificate], 1_000),
    "dns": Kind(test_dns.replies, "knot", names, [test_dns.test_dns_records], 1_000),
    "redis": Kind(test_redis.state, "redis", stores, [test_redis.test_redis_access], 1_000),
    "report": Kind(items.PROBE, "postgresql", reports, [evaluate], 1_000),
    "disk": Kind(test_disk.usage, "tmp_path", disks, [test_disk.test_disk_space], 1_000),
    "host": Kind(
        test_host.vitals, "tmp_path", hosts,
        [test_host.test_host_memory, test_host.test_host_swap, test_host.test_host_load], 1_000,
    ),
    "command": Kind(
        test_command.plugin_result, "tmp_path", commands, [test_command.test_command_status], LARGEST_OUTPUT + 5_000,
    ),
    "failed units": Kind(test_host.failed_units, "systemd", failed_units, [test_host.test_host_units], 1_000),
    "clock": Kind(test_host.clock, "chrony", clocks, [test_host.test_host_clock], 1_000),
    "updates": Kind(test_host.updates, "apt", updates, [test_host.test_host_updates], 1_000),
    "restart": Kind(test_host.required_by, "no_restart", restarts, [test_host.test_host_restart], 1_000),
    "unit": Kind(test_unit.states, "systemd", units, [test_unit.test_unit_state], 1_000),
    "job": Kind(test_job.newest, "tmp_path", jobs, [test_job.test_job_status], 1_000),
}  # fmt: skip


def probe_behind(fixture: Any) -> Probe:
    if isinstance(fixture, Probe):
        return fixture
    found = probe_of(fixture._get_wrapped_function())
    assert found
    return found


def outcome(test: Callable[[Any, Any], None], target: Target, value: Any) -> str:
    try:
        test(target, value)
    except (AssertionError, Unhealthy, CheckError) as error:
        return f"{type(error).__name__}: {describe(error)}"
    return "passed"


def outcomes(kind: Kind, target: Target, value: Any) -> list[str]:
    return [outcome(test, target, value) for test in kind.tests]


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_the_copy_has_the_same_outcome(kind, request):
    """For a target that passes, and for others that fail, each by another assertion."""
    targets = kind.targets(request.getfixturevalue(kind.server))
    found = []
    for target in targets:
        value = probe_behind(kind.probe).function(target)
        pickled = pickle.dumps(value, 5)
        copy = pickle.loads(pickled)
        assert copy == value
        assert len(pickled) <= kind.largest
        found.append(outcomes(kind, target, copy))
        assert outcomes(kind, target, value) == found[-1]
    passed = [set(each) == {"passed"} for each in found]
    assert passed == [True, *[False] * (len(targets) - 1)], found


def test_every_probe_is_tested_here():
    """A probe that returns nothing has nothing to bring."""
    names = [path.stem for path in sorted((ROOT / "healthchecks").glob("test_*.py"))]
    found = [each for name in names for each in vars(import_module(f"healthchecks.{name}")).values()]
    probes = [probe_behind(each) for each in found if probe_of(each)]
    returning = {each.function for each in probes if inspect.get_annotations(each.function)["return"] is not None}
    assert len(probes) > len(returning) > 0
    assert returning == {probe_behind(kind.probe).function for kind in KINDS.values()} - {items.PROBE.function}


def pickled_size(value: Any) -> int:
    return len(pickle.dumps(value, 5))


def test_body_is_taken_once(website):
    """Its text, which a test has decoded, may be longer than the body itself."""
    website.answer("/large", "\xff" * 100_000, headers={"Content-Type": "text/html; charset=ascii"})
    target = test_website.Website(url=website.url("/large"))
    response = probe_behind(test_website.response).function(target)
    size = pickled_size(response)
    assert len(response.body) < size < len(response.body) + 2_000
    assert response.text
    assert pickled_size(response) == size
    assert pickle.loads(pickle.dumps(response, 5)).text == response.text


def test_greeting_is_cut():
    with peer(at_once(b"x" * 70_000, end=stay)) as port:
        greeting = probe_behind(test_tcp.greeting).function(test_tcp.Tcp(host=HOST, port=port, greeting="x" * 1_000))
    assert 1_000 <= pickled_size(greeting) < 9_000


class Flooding:
    """A channel of a broker that gives a message of 10 MB; RabbitMQ gives the one that was sent."""

    def basic_get(self, _queue, auto_ack):
        assert auto_ack
        return object(), None, b"x" * 10_000_000


def test_message_is_cut():
    connection = SimpleNamespace(_impl=SimpleNamespace(add_on_connection_blocked_callback=print))
    received = Broker(connection)._receive(Flooding(), "queue")
    assert received
    assert pickled_size(test_rabbitmq.Exchange(b"sent", received, {})) < 2_000
