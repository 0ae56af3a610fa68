"""The web client's threads end at their timeout, whatever keeps the connection alive."""

import threading

import pytest

from healthchecks import Unhealthy
from healthchecks.clients.http.client import Client, Request
from healthchecks.plugin.probes.job import ProbeJob
from healthchecks.test_website import Website
from tests.servers.server import HOST


@pytest.mark.parametrize(
    ("name", "scheme", "silent"),
    [
        ("hole", "http", "connected to PEER, no response"),
        ("drip_header", "http", "status 200 from PEER, headers incomplete"),
        ("drip_body", "http", "status 200 from PEER, body incomplete"),
        ("hole", "https", "connected to PEER, TLS handshake incomplete"),
        ("drip_raw", "https", "connected to PEER, TLS handshake incomplete"),
    ],
)
def test_abandoned_thread_ends(bad, name, scheme, silent):
    """No time limit of a client does this: a byte now and then restarts each. A thread left over would hold
    its descriptor, and its place among the threads of the run.
    """
    website = Website(url=bad.url(name).replace("http:", f"{scheme}:"), timeout=2)

    def ask():
        with Client(website) as client:
            client.send(Request(website.url))

    job = ProbeJob(name, ask, website.timeout)
    job.begin(float("inf"))
    thread = threading.Thread(target=job.run, daemon=True)
    thread.start()
    job.done.wait(website.timeout)  # where nothing comes at all the client's own limit may be first
    job.expire()
    thread.join(60)
    assert not thread.is_alive()
    assert isinstance(job.error, Unhealthy)
    assert str(job.error) == f"{silent.replace('PEER', f'{HOST}:{bad.port(name)}')} within 2 s"
