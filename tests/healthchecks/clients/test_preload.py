"""Clients are loaded when a target is read: not without one, and not in the time of a probe."""

import json
import subprocess
import sys

import pytest

from healthchecks.clients import preload
from tests.servers import postgresql as postgresql_server
from tests.servers import rabbitmq as rabbitmq_server
from tests.servers.browsers import TIMEOUT
from tests.servers.server import HOST
from tests.servers.website import BOOKMARKLET, BOOKMARKLET_TEXT, PASSWORD, USER

SCRIPT = """
import contextlib, functools, importlib, json, sys

import healthchecks.plugin.probes.fixture

healthchecks.plugin.probes.fixture.probe = lambda function=None, **_: function or (lambda each: each)
kind, probe, keys = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
module = importlib.import_module(f"healthchecks.test_{kind}")
from healthchecks.clients import certificate
from healthchecks.plugin.probes.job import ProbeJob

target = getattr(module, kind.title()).model_validate(keys)
modules, contexts = set(sys.modules), certificate._context.cache_info().misses
job = ProbeJob(probe, functools.partial(getattr(module, probe), target), target.timeout)
job.begin(float("inf"))
job.run()
job.result()
late = set(sys.modules) - modules
print(json.dumps([sorted(late), contexts, certificate._context.cache_info().misses - contexts]))
"""
CLIENTS = {"dns", "lxml", "pika", "psycopg2", "redis", "selenium"}


def first_probe(kind, probe, **keys):
    """What the first probe of a process loads: modules, contexts of TLS made before it, and in it."""
    command = [sys.executable, "-c", SCRIPT, kind, probe, json.dumps(keys)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_website(website):
    assert first_probe("website", "response", url=website.url("/")) == [[], 0, 0]


def test_website_of_tls(website):
    keys = {"url": website.url(tls="good"), "ca": str(website.authority)}
    assert first_probe("website", "response", **keys) == [[], 1, 0]


def test_website_that_leads_to_tls(website):
    website.answer("/away", status=301, headers={"Location": website.url(tls="self_signed")})
    keys = {"url": website.url("/away"), "final_url": website.url(tls="self_signed"), "verify": False}
    assert first_probe("website", "response", **keys) == [[], 1, 0]


def test_login(website):
    keys = {"url": website.url("/login"), "fields": {"user": USER, "password": PASSWORD}, "contains": "Welcome"}
    assert first_probe("login", "arrival", **keys) == [[], 0, 0]


def test_tcp(website):
    _, _, port = website.url("").rpartition(":")
    assert first_probe("tcp", "greeting", host=HOST, port=int(port)) == [[], 0, 0]


def test_database(postgresql):
    role = postgresql_server.MONITOR
    keys = {"host": HOST, "port": postgresql.port, "user": role.name, "password": role.password}
    assert first_probe("database", "statistics", **keys) == [[], 0, 0]


def test_rabbitmq(rabbitmq):
    user = rabbitmq_server.MONITOR
    keys = {"host": HOST, "port": rabbitmq.port, "user": user.name, "password": user.password}
    assert first_probe("rabbitmq", "exchange", **keys) == [[], 0, 0]


def test_tls(website):
    keys = {"host": HOST, "port": website.tls_ports["good"], "ca": str(website.authority)}
    assert first_probe("tls", "security", **keys) == [[], 1, 0]


def test_dns(knot):
    keys = {"query": "www.example.test", "servers": knot.address, "expect": ["192.0.2.1", "192.0.2.2"]}
    assert first_probe("dns", "replies", **keys) == [[], 0, 0]


def test_dns_without_expectation(knot):
    keys = {"query": "example.test", "type": "MX", "servers": knot.address}
    assert first_probe("dns", "replies", **keys) == [[], 0, 0]


def test_redis(redis):
    assert first_probe("redis", "state", url=redis.url) == [[], 0, 0]


@pytest.mark.usefixtures("chromium")
def test_bookmarklet(website):
    keys = {"url": website.url("/bookmarklet"), "bookmarklet": BOOKMARKLET, "expect": BOOKMARKLET_TEXT}
    assert first_probe("bookmarklet", "run", timeout=TIMEOUT, **keys) == [[], 0, 0]


def test_kinds_without_targets_load_no_client():
    kinds = ("bookmarklet", "database", "dns", "login", "rabbitmq", "redis", "tcp", "tls", "website")
    script = "import json, sys, pytest\n" + "\n".join(f"import healthchecks.test_{kind}" for kind in kinds)
    command = [sys.executable, "-c", f"{script}\nprint(json.dumps(list(sys.modules)))"]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert not CLIENTS & set(found)


def test_client_that_cannot_be_loaded():
    """The probe imports it once more, and its error is that check's alone."""
    preload("healthchecks.clients.missing")
    with pytest.raises(ModuleNotFoundError):
        import healthchecks.clients.missing  # noqa: F401
