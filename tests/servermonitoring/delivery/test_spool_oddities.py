"""Unknown and damaged files in a spool cost little memory and time, and good alerts are sent."""

import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from servermonitoring.delivery.sentry import Sentry
from servermonitoring.delivery.spool import LARGEST, Spool, SpoolEntry
from servermonitoring.delivery.webhook import Webhook
from tests.reliability import reliability
from tests.servers.relay import Relay
from tests.servers.server import ROOT


@pytest.fixture
def webhook(receiver, tmp_path):
    return Webhook(f"http://127.0.0.1:{receiver.port}/", tmp_path / "spool")


def older() -> str:
    """A name that comes before those of now."""
    return SpoolEntry.new().name.replace(str(time.time_ns())[:4], "1000", 1)


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
    tally = webhook.outbox.deliver(20)
    assert (tally.sent, tally.waiting, tally.unknown) == (1, 0, len(ODD))
    assert str(tally) == "1 sent; 4 unknown files in the spool"
    assert len(receiver.received) == 1
    assert len(list(webhook.spool.directory.iterdir())) == len(ODD)


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
@pytest.mark.parametrize("name", ["pause.json", "refused.txt"])
def test_the_spools_own_files_may_be_anything(webhook, odd, name):
    """In a process of its own it would hang, or grow: here it has a limit of time."""
    webhook.post({"good": 1})
    odd(webhook.spool.directory / name)
    tally = webhook.outbox.deliver(20)
    assert (tally.sent, tally.waiting) == (1, 0)


@pytest.mark.parametrize(
    "name",
    ["1-2-3.99999", "9" * 400 + "-a-b.0", "\u0661-a-b.0", "1-a-b.0\n", "1-" + "k" * 90 + "-b.0", "1--b.0", "1-a-b.-1"],
)
def test_names_that_the_spool_does_not_write_are_none_of_its_own(name):
    assert SpoolEntry.from_name(name) is None


MEASURE = """
    import sys
    from pathlib import Path
    from servermonitoring.delivery.webhook import Webhook
    from servermonitoring.delivery.sentry import Sentry
    to = {"Sentry": Sentry, "webhook": Webhook}[sys.argv[1]]
    tally = to(sys.argv[2], Path(sys.argv[3])).outbox.deliver(60)
    peak, = (line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
    print(tally.sent, tally.refused, int(peak) // 1000)
"""
GOOD = {
    "Sentry": b'{"event_id": "0123"}\n{"type": "event"}\n{"event_id": "0123", "message": "good"}\n',
    "webhook": b'{"message": "good"}',
}
RUBBISH = {  # destination, content, and how many of two are sent
    "zeros": ("Sentry", lambda: bytes(18_000_000), 0),
    "lines": ("Sentry", lambda: b"\n" * 18_000_000, 0),
    "an event with what cannot be packed": ("Sentry", lambda: GOOD["Sentry"] + os.urandom(18_000_000), 2),
    "zeros, webhook": ("webhook", lambda: bytes(18_000_000), 0),
    "lists, which need fifty times the memory": ("webhook", lambda: b"[" + b"[]," * 6_000_000 + b"[]]", 0),
    "keys": ("webhook", lambda: b"{%s}" % b",".join(b'"%x":1' % number for number in range(1_700_000)), 0),
}


def deliver(to: str, spool: Path) -> tuple[int, int, int]:
    """Deliver in a process of its own: how many are sent and refused, and MB of memory at most.

    VmHWM is of this program alone; ru_maxrss would be that of the tests, from which it was forked, if they are larger.
    """
    with Relay("http://0123456789abcdef0123456789abcdef@127.0.0.1:1/1") as relay:
        relay.take() if to == "Sentry" else relay.answer(202)
        url = relay.dsn if to == "Sentry" else f"http://127.0.0.1:{relay.port}/"
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(MEASURE), to, url, str(spool)],
            cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert any(b'"good"' in body for body in relay.received), done
    sent, refused, memory = map(int, done.stdout.split())
    return sent, refused, memory


@reliability(
    "Alerts",
    fault="a spool holds thousands of foreign files, and large ones that are nothing but rubbish",
    promise="a run needs 120 MB more memory for them at most, and the good alerts arrive",
)
@pytest.mark.parametrize(("to", "rubbish", "taken"), RUBBISH.values(), ids=RUBBISH)
def test_rubbish_in_a_spool_costs_little_memory(tmp_path, to, rubbish, taken):
    """60 files of 18 MB and one of 600, under names of alerts that are older than the good ones; 5,000 foreign ones."""
    clean, spool = tmp_path / "clean", tmp_path / "spool"
    for each in clean, spool:
        Spool(each).put(GOOD[to])
    for number in range(5000):
        (spool / f"foreign {number}").touch()
    first = tmp_path / "rubbish"
    first.write_bytes(rubbish())
    with (spool / f"{time.time_ns() - 10**12:020d}-huge-a.0").open("wb") as file:
        file.truncate(600_000_000)
    for number in range(60):  # one file on the disk
        os.link(first, spool / f"{time.time_ns() - 10**12:020d}-{number}-a.0")
    sent, refused, usual = deliver(to, clean)
    assert (sent, refused) == (1, 0)
    sent, refused, memory = deliver(to, spool)
    assert memory - usual < 120, f"MB: two of 18 MB, each as read, packed, and once more; {usual} MB without rubbish"
    assert (sent, refused) == (1 + taken, 2 - taken), "two large ones are tried in one go"


def test_large_ones_wait_for_another_go_and_small_ones_do_not(receiver, tmp_path):
    """But those of their key, which come after them."""
    receiver.take()
    sentry = Sentry(f"http://0123456789abcdef@127.0.0.1:{receiver.port}/1", tmp_path / "spool")
    for number in range(4):
        sentry.spool.put(f'{{"event_id": "{number}"}}\n{"x" * 15_000_000}'.encode(), f"large {number}")
    sentry.spool.put(b'{"event_id": "after a large one"}\n', "large 3")
    sentry.spool.put(b'{"event_id": "small"}\n', "small")

    def received():
        return [json.loads(each.partition(b"\n")[0])["event_id"] for each in receiver.received]

    assert sentry.outbox.deliver(60).waiting == 3
    assert "small" in received()
    assert "after a large one" not in received()
    assert sentry.outbox.deliver(60).waiting == 0
    assert [each for each in received() if each in {"3", "after a large one"}] == ["3", "after a large one"]


def test_a_document_that_no_alert_is_so_large_as_is_refused(webhook, receiver):
    webhook.spool.put(json.dumps({"large": "x" * 1_000_000}).encode())
    webhook.post({"good": 1})
    tally = webhook.outbox.deliver(60)
    assert (tally.sent, tally.refused, tally.waiting) == (1, 1, 0)
    assert tally.error.endswith("in the spool is damaged: larger than 1 MB, the maximum for a webhook")
    assert receiver.received == [b'{"good": 1}']


def test_a_file_that_grew_too_large_while_it_waited_is_never_read_whole(webhook):
    delivery = webhook.spool.put(b'{"good": 1}')
    with (webhook.spool.directory / delivery.name).open("ab") as file:
        file.truncate(LARGEST + 1)
    with pytest.raises(OSError, match="is larger than 20 MB"):
        webhook.spool.read(delivery)
