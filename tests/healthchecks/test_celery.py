"""[celery.NAME], with real workers on a real RabbitMQ and a real Redis, and servers that misbehave."""

import re
import signal

import psutil
import pytest

from healthchecks.clients.celery import broker_address
from healthchecks.clients.celery.message import Replies
from healthchecks.clients.celery.redis import redis_transport
from healthchecks.clients.rabbitmq import BrokerAccess
from healthchecks.clients.redis import RedisAccess
from tests.healthchecks.metrics import metrics_of
from tests.reliability import reliability
from tests.servers.celery import CeleryWorker
from tests.servers.peers import at_once, peer, says, stay
from tests.servers.rabbitmq import ADMIN, MONITOR
from tests.servers.server import HOST, free_port, until
from tests.suite import IN_TIME, table

CHECK = "celery_tasks[shop]"
FIVE = {"retries": 4, "timeout": 6}
"""Keys of five failing probes in one run."""


class Case:
    """A broker: its URL for the check and for the workers, and what is in it."""

    def __init__(self, server):
        self.server, self.is_redis = server, hasattr(server, "client")
        self.url = server.url if self.is_redis else server.url(ADMIN)

    def waiting(self, queue):
        return self.server.client().llen(queue) if self.is_redis else self.server.waiting(queue)

    def is_asked_by(self, worker):
        """Whether a request of a worker for a task waits in Redis: it would take the next one, cancelled or not."""
        if not self.is_redis:
            return False
        ports = {each.laddr.port for each in psutil.Process(worker.pid).net_connections()}
        asking = [each["addr"] for each in self.server.client().client_list() if "b" in each["flags"]]
        return any(int(address.rpartition(":")[2]) in ports for address in asking)

    def names(self):
        """All that could be left behind: keys, or queues."""
        if self.is_redis:
            return {key.decode() for key in self.server.client().scan_iter()}
        return self.server.names("queue") | self.server.names("exchange")


@pytest.fixture(scope="module", params=["redis", "rabbitmq"])
def case(request):
    return Case(request.getfixturevalue(f"running_{request.param}"))


@pytest.fixture(scope="module")
def worker(case):
    """On Redis it pickles and stores results; on RabbitMQ it can store none."""
    options = {"backend": case.url, "serializer": "pickle"} if case.is_redis else {}
    with CeleryWorker(case.url, **options) as server:
        yield server


@pytest.fixture
def run(run_suite):
    def run(url, **keys):
        return run_suite(table("celery", "shop", broker=url, **{"queue": "mail", "timeout": 60} | keys))

    return run


def failure(outcome):
    return outcome.message(CHECK)


@pytest.mark.usefixtures("worker")
def test_round_trip(case, run):
    """The application knows nothing of the check; what it sent is gone."""
    before = case.names()
    outcome = run(case.url)
    outcome.assert_ok(CHECK)
    metrics = metrics_of(outcome, CHECK)
    assert [*metrics][:3] == ["round trip", "tasks waiting", "workers"]
    assert 0 < metrics["round trip"]["value"] < 60
    assert metrics["workers"] == {"value": 1, "unit": "none", "limit": None, "lower_limit": 1}
    assert case.names() == before
    assert case.waiting("mail") == 0


@pytest.mark.usefixtures("worker")
def test_runtime_of_tasks(case, run):
    """Nothing is unpickled: of a worker that pickles it is unknown what it runs, and said so."""
    outcome = run(case.url, max_task_runtime="1h")
    if case.is_redis:
        assert failure(outcome).startswith("runtime of tasks unknown: 1 worker did not reply in JSON; set task_serial")
        assert "longest task" not in metrics_of(outcome, CHECK)
    else:
        longest = metrics_of(outcome, CHECK)["longest task"]
        assert longest == {"value": 0, "unit": "seconds", "limit": 3600, "lower_limit": None}


@pytest.mark.usefixtures("worker")
def test_too_few_workers(case, run):
    assert failure(run(case.url, min_workers=2, timeout=20)) == "1 worker replied, minimum 2"


def test_task_process_that_stands_still(case, worker, run):
    """A worker replies whatever its tasks do. All five test tasks are gone afterwards."""
    process = worker.task_process()
    process.send_signal(signal.SIGSTOP)
    try:
        found = failure(run(case.url, **FIVE))
        assert found.startswith("test task ")
        assert found.endswith("; 1 worker replied")
        until(lambda: case.waiting("mail") == 0, 60, what="an empty queue")
    finally:
        process.send_signal(signal.SIGCONT)


def test_worker_that_stands_still(case, worker, run):
    """As on a server that has no workers any more."""
    worker.pause()
    try:
        found = failure(run(case.url, **FIVE))
        until(lambda: case.waiting("mail") == 0, 60, what="an empty queue")
    finally:
        worker.resume()
    assert "test task not " in found
    assert found.endswith("; no worker replied, minimum 1")


@pytest.mark.usefixtures("worker")
def test_hanging_task(case, run):
    """The worker of another queue does not help."""
    with CeleryWorker(case.url, "slow") as slow:
        slow.block(0.6)
        found = failure(run(case.url, queue="slow", max_task_runtime=0.5, timeout=14))
    assert found.startswith("test task ")
    assert "; 2 workers replied; task shop.hang has run for " in found
    assert found.endswith(f" on {slow.name}, maximum 0.5 s")


@reliability(
    "Checks",
    fault="a Celery worker replies to ping, and consumes nothing",
    promise="the check fails, and leaves no task in the queue",
)
@pytest.mark.usefixtures("worker")
def test_worker_that_consumes_nothing(case, run):
    """What `celery inspect ping` takes for good (celery#4079, #7251), and a worker of another queue."""
    with CeleryWorker(case.url, "slow") as slow:
        slow.cancel_consumer()
        until(lambda: not case.is_asked_by(slow), what="the end of its last request")
        found = failure(run(case.url, queue="slow", timeout=14))
        waiting = case.waiting("slow")
    if case.is_redis:
        expected = r"test task not taken within 1\d(\.\d)? s, 0 tasks waiting in queue slow; 2 workers replied"
    else:
        expected = r"no worker consumes queue slow, 0 tasks waiting; 2 workers replied"
    assert re.fullmatch(expected, found), found
    assert waiting == 0


def test_task_of_a_run_that_was_killed(redis, run):
    """The next run removes it: however many are killed, there is one at most."""
    address = broker_address(redis.url)
    for number in range(3):
        with redis_transport(address, "killed") as transport:
            transport.send_task(str(number))
        assert redis.client().llen("killed") == 1
    found = failure(run(redis.url, queue="killed", min_workers=0, timeout=8))
    assert found.startswith("test task not taken within ")
    assert not redis.client().exists("killed")


@reliability(
    "Messages",
    fault="a worker is missing, and the last wait for its reply through Redis is shorter than 5 ms",
    promise="it ends, and the check says how many workers replied",
)
def test_wait_that_is_almost_over(redis):
    """BRPOP with a timeout of 0 waits for ever."""
    with redis_transport(broker_address(redis.url), "mail") as transport:
        for seconds in (0.004, 0.0):
            transport.receive(Replies(), seconds)


FLOOD = b"+OK\r\n$2000000000\r\n" + b"x" * 1_000_000


def floods(connection):
    """What no reply of a Redis is, for as long as somebody reads it."""
    connection.recv(65536)
    while True:
        connection.sendall(FLOOD)


def test_bad_brokers(run_suite, redis, rabbitmq, bad):
    """Each has its own message, and no password is in any; one run for all of them."""
    http, wrong = says(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "wr%2Fng"
    with peer(floods) as flood, peer(http) as web, peer(at_once(b"+OK\r\n" * 9, end=stay)) as agrees:
        down = free_port()
        ports = {name: bad.port(name) for name in ("hole", "drip_raw", "closes", "garbage")}
        urls = {name: f"redis://:{wrong}@{HOST}:{port}/0" for name, port in ports.items()} | {
            "flood": f"redis://:p@{HOST}:{flood}/0",
            "web": f"redis://:p@{HOST}:{web}/0",
            "agrees": f"redis://:p@{HOST}:{agrees}/0",
            "down": f"redis://{HOST}:{down}",
            "password": f"redis://:{wrong}@{HOST}:{redis.port}/0",
            "none": f"redis://{HOST}:{redis.port}/0",
            "database": f"{redis.url[:-1]}99",
            "tls": f"rediss://:p@{HOST}:{redis.port}/0",
            "login": f"amqp://monitor:{wrong}@{HOST}:{rabbitmq.port}/",
            "vhost": f"{rabbitmq.url(MONITOR)[:-3]}shop",
            "silent": f"amqp://monitor:{wrong}@{HOST}:{ports['hole']}/",
        }
        outcome = run_suite("".join(table("celery", name, broker=url, timeout=8) for name, url in urls.items()))
    there = f"{HOST}:{redis.port}"
    assert {name: outcome.message(f"celery_tasks[{name}]") for name in urls} == {
        "hole": f"connected to {HOST}:{ports['hole']}, no response within 8 s",
        "drip_raw": f"connected to {HOST}:{ports['drip_raw']}, no response within 8 s",
        "closes": f"connection closed without a response at {HOST}:{ports['closes']}",
        "garbage": f"not a Redis server at {HOST}:{ports['garbage']}: '\\x00\\x01GARBAGE \ufffd\ufffd!!'",
        "flood": f"more than 50 MB of responses at {HOST}:{flood}",
        "web": f"not a Redis server at {HOST}:{web}: 'HTTP/1.1 400 Bad Request'",
        "agrees": f"not a Redis server at {HOST}:{agrees}: '+OK'",
        "down": f"connection refused at {HOST}:{down}",
        "password": f'login refused for user "default" at {there}',
        "none": f"a password is required at {there}",
        "database": f"there is no database 99 at {there}",
        "tls": f"connected to {there}, TLS handshake incomplete within 8 s",
        "login": f'login refused for user "monitor" at {HOST}:{rabbitmq.port}',
        "vhost": f'no virtual host "shop" at {HOST}:{rabbitmq.port}',
        "silent": f"connected to {HOST}:{ports['hole']}, no response within 8 s",
    }
    assert outcome.duration < IN_TIME
    for form in (wrong, "wr/ng"):
        assert form not in outcome.all_written()


def test_queue_that_does_not_exist(run, rabbitmq):
    """It is not created; where no worker was ever started, there is nobody to ask."""
    found = failure(run(rabbitmq.url(ADMIN), queue="none", timeout=8))
    assert found.startswith("queue none does not exist: no worker has consumed it yet; ")
    assert "none" not in rabbitmq.names("queue")


def test_queue_that_is_too_long(run, redis):
    """No task is added to those that wait already."""
    redis.client().lpush("full", *"abc")
    keys = {"queue": "full", "max_queue_length": 2, "min_workers": 0, "timeout": 8}
    assert failure(run(redis.url, **keys)) == "3 tasks waiting in queue full, maximum 2; no test task was sent"
    assert redis.client().llen("full") == 3
    redis.client().delete("full")


def test_least_rights(run, rabbitmq):
    """Those of docs/checks-backends.md; without the right to its exchange the workers cannot be asked."""
    rights = [r"^amq\.gen.*", r"^(amq\.(default|gen.*)|celery\.pidbox)$", r"^amq\.(direct|gen.*)$"]
    rabbitmq.permit(MONITOR, *rights)
    try:
        with CeleryWorker(rabbitmq.url(ADMIN)):
            run(rabbitmq.url(MONITOR)).assert_ok(CHECK)
    finally:
        rabbitmq.permit(MONITOR, MONITOR.configure, ".*", ".*")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("sqs://", "is not the URL of a broker: write amqp://"),
        ("amqp://u:p@h:port/", "is not the URL of a broker (special characters must be percent-encoded): "),
        ("amqp://u:s#cret@h/", "is not the URL of a broker"),
        ("redis://h/shop", "has no number of a database after the host: "),
        ("redis://h/0;redis://i/0", "is a list of brokers: make a target of each"),
        ("redis://h/0?ssl_cert_reqs=none", "has options after the ?: leave them out"),
    ],
)
def test_wrong_url(url, reason):
    with pytest.raises(ValueError, match=re.escape(reason)) as caught:
        broker_address(url)
    assert "cret" not in str(caught.value)


def test_url():
    assert broker_address("amqp://h") == BrokerAccess("h", 5672, "guest", "guest")
    assert broker_address("pyamqp://u:p%2F@h:99//") == BrokerAccess("h", 99, "u", "p/", "/")
    assert broker_address("amqps://u:p@h/shop") == BrokerAccess("h", 5671, "u", "p", "shop", tls=True)
    assert broker_address("redis://h") == RedisAccess("h", 6379)
    assert broker_address("rediss://:p@h:99/3") == RedisAccess("h", 99, "", "p", 3, tls=True)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 1_000_000,
        b'{"worker": [{"time_start": 1, "name": ["' + b"x" * 3_000_000 + b'"]}]}',
        b'{"worker": [{"time_start": 1e999}, {"time_start": "soon"}, {"time_start": true}, 7, null]}',
        b'{"worker": {"error": "no such command"}, "other": null}',
        b"\x80\x04K\x01.",
        b"7",
    ],
)
def test_odd_replies(body):
    """A reply counts whatever is in it; no task is known by one of these."""
    replies = Replies()
    replies.add(body, replies.id)
    assert (replies.workers, replies.longest) == (1, None)
    replies.add(body, "another")
    assert (replies.workers, replies.is_task_done) == (1, False)
