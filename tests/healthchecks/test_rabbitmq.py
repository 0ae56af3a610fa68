"""[rabbitmq.NAME], against a real RabbitMQ and servers that misbehave: the failing cases first."""

import contextlib
import re
from urllib.parse import quote, quote_plus

import pytest
import requests

from healthchecks import Unhealthy
from healthchecks.clients.rabbitmq_cluster import _cluster, read_cluster
from healthchecks.test_rabbitmq import Level, Queue, Rabbitmq, _report, _wrong_cluster
from tests.healthchecks.metrics import assert_agrees, metrics_of
from tests.reliability import reliability
from tests.servers import certificates
from tests.servers.peers import over_tls, peer, says
from tests.servers.rabbitmq import MONITOR
from tests.servers.server import HOST, free_port, until
from tests.suite import IN_TIME, ProjectSuite, table

CHECK = "rabbitmq_access[main]"


@pytest.fixture
def run(run_suite, rabbitmq):
    """Runs the check as the monitoring user, on the server that is there; other keys replace these."""

    def run(**keys):
        address = {"host": HOST, "port": rabbitmq.port, "user": MONITOR.name, "password": MONITOR.password}
        return run_suite(table("rabbitmq", "main", **address | keys))

    return run


def failure(outcome):
    return outcome.message(CHECK)


def assert_ok(outcome):
    outcome.assert_ok(CHECK)


def test_wrong_password(run, rabbitmq):
    """The password is nowhere, in no form."""
    wrong = "wr:ng p@ss/20%"
    outcome = run(password=wrong)
    assert failure(outcome) == f'login refused for user "monitor" at {HOST}:{rabbitmq.port}'
    for form in (wrong, quote(wrong), quote(wrong, safe=""), quote_plus(wrong)):
        assert form not in outcome.all_written()


def test_no_vhost(run, rabbitmq):
    assert failure(run(vhost="shop")) == f'no virtual host "shop" at {HOST}:{rabbitmq.port}'


def test_down(run):
    """Of a port that nobody listens on the kernel says the same; to start the server again takes 6 s."""
    port = free_port()
    assert failure(run(port=port)) == f"connection refused at {HOST}:{port}"


def test_name_that_nobody_knows(run):
    assert failure(run(host="mq.invalid")) == "cannot resolve mq.invalid"


def test_stopped(run, rabbitmq):
    rabbitmq.pause()
    outcome = run(timeout=6)
    assert failure(outcome) == f"connected to {HOST}:{rabbitmq.port}, no response within 6 s"
    assert outcome.duration < IN_TIME


@pytest.mark.parametrize("name", ["hole", "drip_amqp", "drip_raw"])
def test_no_answer_in_time(run, bad, name):
    outcome = run(port=bad.port(name), timeout=6)
    assert failure(outcome) == f"connected to {HOST}:{bad.port(name)}, no response within 6 s"
    assert outcome.duration < IN_TIME


@pytest.mark.parametrize("name", ["garbage", "closes"])
def test_bad_servers(run, bad, name):
    """Both look alike to pika: it waits for the rest of what garbage says is a frame."""
    assert failure(run(port=bad.port(name))) == f"connection closed without a response at {HOST}:{bad.port(name)}"


def test_no_tls_spoken(run, bad):
    port = bad.port("garbage")
    assert failure(run(port=port, tls=True)) == f"no TLS at {HOST}:{port}"


@pytest.fixture
def authority(tmp_path_factory):
    return certificates.make(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def tls_port(authority):
    """A port that ends the connection once TLS is agreed on: further than this only a trusted one comes."""
    with peer(over_tls(authority.good, says())) as port:
        yield port


def test_authority_that_nobody_knows(run, tls_port):
    words = f"certificate is not trusted (unable to get local issuer certificate) at {HOST}:{tls_port}"
    assert failure(run(port=tls_port, tls=True)) == words


@reliability(
    "Messages",
    fault="the certificate of a message broker is from an authority that only this system knows",
    promise="it is trusted, as by the checks of websites and by alerts",
)
def test_authority_of_the_system(run, authority, tls_port, monkeypatch):
    """As one that update-ca-certificates installed; what fails comes after TLS."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.authority))
    closed = f"connection closed without a response at {HOST}:{tls_port}"
    assert failure(run(port=tls_port, tls=True)) == closed


def test_authority_of_a_file(run, authority, tls_port):
    closed = f"connection closed without a response at {HOST}:{tls_port}"
    assert failure(run(port=tls_port, tls=True, ca=authority.authority)) == closed


def test_memory_alarm(run, rabbitmq):
    """Connecting works as ever; publishing does not."""
    with rabbitmq.alarm():
        found = failure(run(timeout=8))
    assert found == f"publishing is blocked: low on memory at {HOST}:{rabbitmq.port}"


def test_no_queue(run, rabbitmq):
    """Looked at, and not made by looking."""
    for _ in range(2):
        assert failure(run(queues={"celery": {}})) == "queue celery does not exist"
    assert "celery" not in rabbitmq.names("queue")


def test_too_many_messages(run, rabbitmq):
    """Reported with its values; and nothing was taken out of the queue."""
    with rabbitmq.queue("celery", messages=5):
        assert failure(run(queues={"celery": {"max_messages": 4}})) == "5 messages waiting in queue celery, maximum 4"
        assert_ok(run(queues={"celery": {"max_messages": 5}}))
        assert rabbitmq.waiting("celery") == 5


def test_too_few_consumers(run, rabbitmq):
    with rabbitmq.queue("celery", consumers=1):
        found = failure(run(queues={"celery": {"min_consumers": 2}}))
        assert found == "1 consumer on queue celery, minimum 2"
        assert_ok(run(queues={"celery": {"min_consumers": 1}}))


def test_all_bad_queues_are_named(run, rabbitmq):
    with rabbitmq.queue("mail", messages=1):
        found = failure(run(queues={"celery": {}, "mail": {"max_messages": 0}}))
    assert found == "queue celery does not exist; 1 message waiting in queue mail, maximum 0"


def test_metrics(run, rabbitmq):
    """Messages and consumers of each queue with their limits; one that does not exist has none."""
    with rabbitmq.queue("celery", messages=2), rabbitmq.queue("mail", consumers=1):
        queues = {"celery": {"max_messages": 2}, "mail": {"min_consumers": 2}, "missing": {"max_messages": 1}}
        outcome = run(queues=queues)
        assert metrics_of(outcome, CHECK) == {
            "messages celery": {"value": 2, "unit": "none", "limit": 2, "lower_limit": None},
            "consumers celery": {"value": 0, "unit": "none", "limit": None, "lower_limit": None},
            "messages mail": {"value": 0, "unit": "none", "limit": None, "lower_limit": None},
            "consumers mail": {"value": 1, "unit": "none", "limit": None, "lower_limit": 2},
        }
        assert_agrees(outcome, CHECK, "consumers mail")
        assert_agrees(run(queues={"celery": {"max_messages": 1}}), CHECK, "messages celery")
        outcome = run(queues={"celery": {"max_messages": 2}, "mail": {"min_consumers": 1}})
        assert_agrees(outcome, CHECK, "messages celery")
        assert_agrees(outcome, CHECK, "consumers mail")


def names_of(monkeypatch, levels):
    """Return the names of the metrics of these queues."""
    names = []
    monkeypatch.setattr("healthchecks.test_rabbitmq.metric", lambda name, *_, **__: names.append(name))
    _report({name: Queue() for name in levels}, levels)
    return names


def test_metrics_of_many_queues(monkeypatch):
    """At most 18: of the first one, which is charted, and of the eight fullest of the others."""
    names = names_of(monkeypatch, {f"q{number}": Level(number, 1) for number in range(30)})
    assert names[:3] == ["messages q0", "consumers q0", "messages q22"]
    assert names[-1] == "consumers q29"
    assert len(names) == 18


def test_metrics_of_odd_names(monkeypatch):
    """A queue may have a name that a metric cannot have; long ones stay different."""
    long = "x" * 254
    names = names_of(monkeypatch, {"a\nb": Level(1, 1), f"{long}1": Level(1, 1), f"{long}2": Level(1, 1)})
    assert names[0] == "messages a\ufffdb"
    assert len(set(names)) == 6
    assert all(name.isprintable() and len(name) <= 100 for name in names)


def test_user_without_rights(run, rabbitmq):
    rabbitmq.permit(MONITOR, "^$", "^$", "^$")
    try:
        found = failure(run())
    finally:
        rabbitmq.permit(MONITOR, MONITOR.configure, ".*", ".*")
    assert found.startswith(f'user "monitor" lacks a permission at {HOST}:{rabbitmq.port}: access to queue ')


def test_least_rights(run, rabbitmq):
    """Those of docs/checks-backends.md are enough, also for checks of queues."""
    rabbitmq.permit(MONITOR, r"^amq\.gen.*", r"^amq\.default$", r"^amq\.gen.*")
    try:
        with rabbitmq.queue("celery"):
            assert_ok(run(queues={"celery": {"max_messages": 10}}))
    finally:
        rabbitmq.permit(MONITOR, MONITOR.configure, ".*", ".*")


def test_ok(run, rabbitmq):
    """The round trip leaves no queue behind."""
    outcome = run()
    assert_ok(outcome)
    assert rabbitmq.names("queue") == set()


@pytest.fixture
def api(rabbitmq):
    """The management API, once it has the node's statistics."""
    ask = {"auth": (MONITOR.name, MONITOR.password), "timeout": 60}

    def answer():
        with contextlib.suppress(requests.RequestException):
            nodes = requests.get(f"{rabbitmq.management}/api/nodes", **ask)
            return nodes.ok and "disk_free_alarm" in nodes.json()[0] and nodes.json()

    until(answer, what="statistics of the management API")
    return answer


def test_disk_alarm(run, rabbitmq, api):
    """Named with its node, as the API knows it."""
    rabbitmq.set_disk_limit("1000000GB")
    try:
        until(lambda: api()[0]["disk_free_alarm"], what="a disk alarm")
        assert failure(run(management=rabbitmq.management)) == f"publishing is blocked: disk alarm on {rabbitmq.node}"
    finally:
        rabbitmq.set_disk_limit("1MB")
        until(lambda: not api()[0]["disk_free_alarm"], what="the end of the alarm")


def test_unacknowledged(run, rabbitmq, api):
    """A consumer that has one and does not acknowledge it; and a node that is not there."""
    totals = f"{rabbitmq.management}/api/overview"
    login = (MONITOR.name, MONITOR.password)
    with rabbitmq.queue("celery", messages=1, consumers=1):
        until(
            lambda: requests.get(totals, auth=login, timeout=60).json()["queue_totals"].get("messages_unacknowledged")
        )
        outcome = run(management=rabbitmq.management, max_unacknowledged=0, min_nodes=2)
    assert failure(outcome) == "1 node running, minimum 2; 1 message unacknowledged, maximum 0"
    assert_agrees(outcome, CHECK, "unacknowledged")
    assert_agrees(outcome, CHECK, "nodes")
    assert api


@pytest.mark.usefixtures("api")
def test_management_refuses(run, rabbitmq):
    rabbitmq.tag(MONITOR)
    try:
        found = failure(run(management=rabbitmq.management))
    finally:
        rabbitmq.tag(MONITOR, "monitoring")
    assert found.startswith('management API refused user "monitor" at http://')
    assert found.endswith("/api/nodes: wrong password, or without the tag monitoring")


CASES = {
    "[" * 100_000: "response is not JSON at ",
    "no JSON": "response is not JSON at ",
    '{"nodes": 1}': "response is not that of RabbitMQ's management API at ",
    '[{"running": true}]': "response is not that of RabbitMQ's management API at ",
    "[7]": "response is not that of RabbitMQ's management API at ",
    "x" * 2_000_000: "body is larger than 1 MB",
}


def test_other_api(website):
    """What is no management API fails by a message, whatever it answers."""
    for body, reason in CASES.items():
        website.answer("/api/nodes", body)
        website.answer("/api/overview", body)
        with pytest.raises(Unhealthy, match=re.escape(reason)):
            read_cluster(website.url("/"), "user", "password")


def test_partition():
    """As the API of a cluster reports it: no second node is started for this."""
    nodes = [{"name": "a@mq", "running": True, "partitions": ["b@mq"]}, {"name": "b@mq", "running": False}]
    cluster = _cluster(nodes, {"queue_totals": {}})
    target = Rabbitmq(management="http://mq:15672", min_nodes=2)
    found = _wrong_cluster(target, cluster)
    assert found == ["network partition: a@mq does not see b@mq", "1 node running (b@mq stopped), minimum 2"]


def test_limits_without_management():
    with pytest.raises(ValueError, match="max_unacknowledged needs management"):
        Rabbitmq(max_unacknowledged=1)


OWN = """
from pathlib import Path
from healthchecks import probe
from healthchecks.clients.rabbitmq import session
from healthchecks.test_rabbitmq import Rabbitmq

@probe
def exchange(rabbitmq: Rabbitmq):
    with session(rabbitmq.access()) as broker:
        Path("FOLDER/connected").touch()
        while not Path("FOLDER/stopped").exists():
            broker.connection.sleep(0.02)
        return broker.round_trip()

def test_rabbitmq_access(rabbitmq: Rabbitmq, exchange):
    assert exchange
"""


def test_stopped_after_connecting(tmp_path, rabbitmq):
    """A server that stops in mid-talk is waited for no longer than the timeout, and the exit is not blocked."""
    own = tmp_path / "test_own.py"
    own.write_text(OWN.replace("FOLDER", str(tmp_path)))
    keys = {"host": HOST, "port": rabbitmq.port, "user": MONITOR.name, "password": MONITOR.password, "timeout": 6}
    suite = ProjectSuite(tmp_path, table("rabbitmq", "main", **keys))
    process = suite.start(str(own))
    until((tmp_path / "connected").exists, 120, what="connection")
    rabbitmq.pause()
    (tmp_path / "stopped").touch()
    outcome = suite.finish(process)
    assert failure(outcome) == f"logged in to {HOST}:{rabbitmq.port}, no response within 6 s"
    assert outcome.duration < IN_TIME
