"""Whatever lies in a spool's directory costs neither memory nor time, and good alerts go out."""

import json
import os
import subprocess
import sys
import textwrap
import time

import pytest

from servermonitoring.delivery import Delivery
from servermonitoring.spool import Spool
from servermonitoring.spool_listing import LARGEST
from servermonitoring.webhook import Webhook
from tests.reliability import reliability
from tests.servers.relay import Relay
from tests.servers.server import ROOT


@pytest.fixture
def receiver():
    """Takes everything."""
    with Relay("http://user@127.0.0.1:1/x") as relay:
        relay.answer(202)
        yield relay


@pytest.fixture
def webhook(receiver, tmp_path):
    return Webhook(f"http://127.0.0.1:{receiver.port}/", tmp_path / "spool")


def older() -> str:
    """A name that comes before those of now."""
    return Delivery.new().name.replace(str(time.time_ns())[:4], "1000", 1)


def as_huge(path):
    with path.open("wb") as file:
        file.truncate(10**12)


def as_link(path):
    path.symlink_to("/dev/zero")


ODD = {
    "a huge file": as_huge,
    "a link to a device": as_link,
    "a FIFO": os.mkfifo,
    "a directory": lambda path: (path / "within").mkdir(parents=True),
}


@reliability(
    "Alerts",
    fault="huge files, links, FIFOs and directories lie in a spool under the names of alerts",
    promise="they are left alone and counted; good alerts go out",
)
def test_what_is_no_file_of_an_alert_is_left_and_counted(webhook, receiver):
    webhook.post({"good": 1})
    for odd in ODD.values():
        odd(webhook.spool.directory / older())
    tally = webhook.drain(20)
    assert (tally.sent, tally.waiting, tally.odd) == (1, 0, len(ODD))
    assert str(tally) == "1 sent; 4 files in the spool that it did not write"
    assert len(receiver.received) == 1
    assert len(list(webhook.spool.directory.iterdir())) == len(ODD)


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
@pytest.mark.parametrize("name", ["pause.json", "refused.txt"])
def test_the_spools_own_files_may_be_anything(webhook, odd, name):
    """In a process of its own it would hang, or grow: here it has a limit of time."""
    webhook.post({"good": 1})
    odd(webhook.spool.directory / name)
    tally = webhook.drain(20)
    assert (tally.sent, tally.waiting) == (1, 0)


@pytest.mark.parametrize(
    "name",
    ["1-2-3.99999", "9" * 400 + "-a-b.0", "\u0661-a-b.0", "1-a-b.0\n", "1-" + "k" * 90 + "-b.0", "1--b.0", "1-a-b.-1"],
)
def test_names_that_the_spool_does_not_write_are_none_of_its_own(name):
    assert Delivery.named(name) is None


MEASURE = """
    import resource, sys
    from pathlib import Path
    from servermonitoring.sentry import Sentry
    resource.setrlimit(resource.RLIMIT_AS, (1_200_000_000, -1))
    tally = Sentry(sys.argv[1], Path(sys.argv[2])).drain(60)
    print(tally.sent, tally.refused, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@reliability(
    "Alerts",
    fault="a spool holds thousands of foreign files, and large ones that are nothing but rubbish",
    promise="a run needs no more memory for them, and the good alerts arrive",
)
def test_rubbish_in_a_spool_costs_no_memory(tmp_path):
    """60 files of 18 MB and one of 600, sparse, under names of alerts older than the good ones; 5,000 foreign ones."""
    spool = tmp_path / "spool"
    event_id = "0123456789abcdef" * 2
    envelope = f'{{"event_id": "{event_id}"}}\n{{"type": "event"}}\n{{"event_id": "{event_id}", "message": "good"}}\n'
    with Relay("http://0123456789abcdef0123456789abcdef@127.0.0.1:1/1") as relay:
        relay.take()
        Spool(spool, None).put(envelope.encode())
        for number in range(5000):
            (spool / f"foreign {number}").touch()
        for number in range(61):
            with (spool / f"{time.time_ns() - 10**12:020d}-{number}-a.0").open("wb") as file:
                file.truncate(18_000_000 if number else 600_000_000)
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(MEASURE), relay.dsn, str(spool)],
            cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert any(event_id.encode() in body for body in relay.received), done
    sent, refused, memory = map(int, done.stdout.split())
    assert memory < 200, "MB"
    assert (sent, refused) == (1, 2), "two large ones are tried in one go"


def test_large_ones_wait_for_another_go_and_small_ones_do_not(webhook, receiver):
    """But those of their key, which come after them."""
    for number in range(4):
        content = json.dumps({"number": str(number), "large": "x" * 15_000_000}).encode()
        webhook.spool.put(content, f"large {number}")
    webhook.spool.put(b'{"after": "a large one"}', "large 3")
    webhook.spool.put(b'{"small": 1}', "small")
    assert webhook.drain(60).waiting == 3
    assert b'{"small": 1}' in receiver.received
    assert b'{"after": "a large one"}' not in receiver.received
    assert webhook.drain(60).waiting == 0
    assert [b"after" in each for each in receiver.received if b"after" in each or b'"3"' in each] == [False, True]


def test_a_file_that_grew_too_large_while_it_waited_is_never_read_whole(webhook):
    delivery = webhook.spool.put(b'{"good": 1}')
    with (webhook.spool.directory / delivery.name).open("ab") as file:
        file.truncate(LARGEST + 1)
    with pytest.raises(OSError, match="is larger than 20 MB"):
        webhook.spool.read(delivery)
