"""Whatever Sentry does: nothing is lost but what it refuses for good, nothing is doubled, nobody waits over 5 s.

The outcomes are the table of docs/alerts-delivery.md, row by row.
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
import uuid
from collections import Counter
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path

import pytest

from servermonitoring.delivery.sentry import Origin, Sentry
from servermonitoring.delivery.spool import Tally
from tests.servers.relay import Relay
from tests.servers.server import ROOT, program, until

BUDGET = 5.0  # seconds
LONGEST = 30.0  # the budget, and what a busy machine may need besides
PLENTY = 60.0  # seconds, for what is not held up: it ends by itself
EVENTS = 12


@pytest.fixture
def relay(bugsink):
    """In front of Bugsink, and able to misbehave."""
    with Relay(bugsink.dsn) as relay:
        yield relay


@pytest.fixture
def run(relay, tmp_path):
    """What a run of the suite has: a new object each time, the spool of the last one."""

    def run(dsn=None):
        return Sentry(dsn or relay.dsn, tmp_path / "sentry", Origin("tests", "1", "web1"))

    return run


@pytest.fixture
def spool(tmp_path):
    return tmp_path / "sentry"


@dataclass
class Outcome:
    """What a run saw, and what was there in the end."""

    fault: str
    tally: Tally
    seconds: float
    lost: int = 0
    doubled: int = 0
    where: str = "in the spool; delivered by the next run"

    def is_as_documented(self) -> None:
        """Its row in the docs; how long it was held up is in words there."""
        said = self.tally.error or "nothing"
        held_up = documented(self.fault)[1]
        assert documented(self.fault) == [
            self.fault, held_up, str(self.lost), str(self.doubled), self.where, said,
        ]  # fmt: skip
        assert self.seconds < (LONGEST if held_up == "5 s" else PLENTY - 1)


def documented(fault: str) -> list[str]:
    """The row of the docs' table; the second cell is how long the run is held up."""
    table = (ROOT / "docs/alerts-delivery.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table if line.startswith("| ")]
    return next(row for row in rows if row[0] == fault)


def put(sentry: Sentry, count: int = EVENTS, message: str = "website[home]: gone") -> list[str]:
    """Put `count` events of different issues; return their ids."""
    return [sentry.capture({"message": f"{message} {number}", "fingerprint": [str(number)]}) for number in range(count)]


def timed_drain(sentry: Sentry, budget: float) -> tuple[Tally, float]:
    began = time.monotonic()
    tally = sentry.outbox.deliver(budget)
    return tally, time.monotonic() - began


def outcome(fault: str, sentry: Sentry, **others) -> Outcome:
    budget = BUDGET if documented(fault)[1] == "5 s" else PLENTY
    return Outcome(fault, *timed_drain(sentry, budget), **others)


def delivered_once(bugsink, ids: list[str]) -> bool:
    return sorted(event.event_id for event in bugsink.events()) == sorted(ids)


def is_empty(spool: Path) -> bool:
    return [path.name for path in spool.iterdir() if path.is_file() and path.name != "pause.json"] == []


def the_next_run_delivers(run, relay, bugsink, ids: list[str]) -> None:
    relay.recover()
    tally = run().outbox.deliver(60)
    assert (tally.sent, tally.waiting) == (len(ids), 0)
    assert tally.error == ""
    assert delivered_once(bugsink, ids)


def test_no_fault(run, relay, bugsink, spool):
    ids = put(sentry := run())
    met = outcome("none", sentry, where="delivered")
    assert delivered_once(bugsink, ids)
    assert is_empty(spool)
    assert relay.delivered == EVENTS
    met.is_as_documented()


def test_refused(run, relay, bugsink):
    ids = put(sentry := run())
    relay.stop()
    met = outcome("refused: nobody listens at its port", sentry)
    relay.start()
    the_next_run_delivers(run, relay, bugsink, ids)
    met.is_as_documented()


def test_silent(run, relay, bugsink):
    ids = put(sentry := run())
    relay.hang()
    met = outcome("silent: accepts, and never responds", sentry)
    the_next_run_delivers(run, relay, bugsink, ids)
    met.is_as_documented()


def test_dripping(run, relay, bugsink):
    """No time limit of a client's own ends this: each step is quick."""
    ids = put(sentry := run())
    relay.drip()
    met = outcome("responds letter by letter, without end", sentry)
    the_next_run_delivers(run, relay, bugsink, ids)
    met.is_as_documented()


def test_hangs_up(run, relay, bugsink):
    ids = put(sentry := run())
    relay._misbehave = lambda handler, _body: handler.connection.shutdown(2) is None
    met = outcome("closes the connection without a response", sentry)
    the_next_run_delivers(run, relay, bugsink, ids)
    met.is_as_documented()


def test_a_captive_portal(run, relay, bugsink):
    """Another server responds, and has taken nothing."""
    ids = put(sentry := run())
    relay.answer(200, body=b"<html>Please accept the terms of use</html>")
    met = outcome("a captive portal responds with 200", sentry)
    the_next_run_delivers(run, relay, bugsink, ids)
    met.is_as_documented()


def test_429_for_a_second(run, relay, bugsink):
    """The pause fits into the budget: it is kept, and then all goes through."""
    ids = put(sentry := run())
    relay.answer(429, times=4, Retry_After="1")
    met = outcome("429, `Retry-After` of a second", sentry, where="delivered after the pause")
    assert delivered_once(bugsink, ids)
    met.is_as_documented()


@pytest.mark.parametrize(
    ("fault", "header"),
    [
        ("429, `Retry-After` as a date in an hour", "Retry-After"),
        ("429, `X-Sentry-Rate-Limits` of an hour", "X-Sentry-Rate-Limits"),
    ],
)
def test_429_for_an_hour(run, relay, bugsink, spool, fault, header):  # noqa: PLR0913, PLR0917 - pytest's fixtures
    """Respected by this run and, as it is written down, by the next."""
    ids = put(sentry := run())
    in_an_hour = formatdate(time.time() + 3600.9, usegmt=True)
    relay.answer(429, **{header: in_an_hour if header == "Retry-After" else "3600:error;default:organization"})
    met = outcome(fault, sentry, where="in the spool; delivered by the first run after the pause")
    relay.recover()
    asked = len(relay.received)
    assert asked <= EVENTS // 2  # as many as there were connections
    assert "accepts no alerts for" in run().outbox.deliver(BUDGET).error
    assert len(relay.received) == asked
    (spool / "pause.json").unlink()  # an hour later
    the_next_run_delivers(run, relay, bugsink, ids)
    met.tally = Tally(error=met.tally.error.replace("59 min 59 s", "1 h").replace("59 min 58 s", "1 h"))
    met.is_as_documented()


def test_413(run, relay, bugsink, spool):
    ids = put(sentry := run())
    large = sentry.capture({"message": "too large", "fingerprint": ["large"]})
    relay.answer(413, about="too large")
    met = outcome("413 to one of them", sentry, lost=1, where="the others delivered; that one in `refused/`")
    (kept,) = (spool / "refused").iterdir()
    assert kept.suffix == ".status-413"
    assert large in kept.read_text()
    assert delivered_once(bugsink, ids)
    assert met.tally.refused == 1
    met.is_as_documented()


def test_500(run, relay, bugsink):
    ids = put(sentry := run())
    relay.answer(500)
    met = outcome("500 to all", sentry)
    the_next_run_delivers(run, relay, bugsink, ids)
    met.is_as_documented()


def test_500_to_one_again_and_again(run, relay, bugsink, spool):
    """It does not block those behind it, and after ten attempts while others are delivered it is refused."""
    poison = run().capture({"message": "poison", "fingerprint": ["p"]})
    relay.answer(500, about="poison")
    ids, last = [], None
    for _ in range(10):
        ids += put(last := run(), 1)
        met = outcome("500 to one, again and again", last, lost=1)
        assert delivered_once(bugsink, ids)
    (kept,) = (spool / "refused").iterdir()
    assert kept.suffix == ".given-up"
    assert poison in kept.read_text()
    met.where = "the others delivered; that one, after 10 attempts, in `refused/`"
    met.is_as_documented()


def test_silence_about_one(run, relay, bugsink):
    """One that the server chokes on holds up one connection of several."""
    run().capture({"message": "poison", "fingerprint": ["p"]})
    relay.hang(about="poison")
    ids = put(sentry := run())
    met = outcome("silent to one of them", sentry, where="the others delivered; that one in the spool")
    assert delivered_once(bugsink, ids)
    assert met.tally.waiting == 1
    met.is_as_documented()


def test_a_wrong_key(run, relay, bugsink):
    """It is the address that is refused, not the events: they wait until the DSN is right."""
    wrong = relay.dsn.replace(relay.target.username, "0" * 32)
    ids = put(sentry := run(wrong))
    met = outcome("403: the key in the DSN is wrong", sentry)
    met.where = "in the spool; delivered when the DSN is right"
    the_next_run_delivers(run, relay, bugsink, ids)
    met.is_as_documented()


SILENT_DNS = """
    import fcntl, socket, struct, sys, time
    lo = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    fcntl.ioctl(lo, 0x8914, struct.pack("16sh14x", b"lo", 1))  # SIOCSIFFLAGS, IFF_UP
    lo.bind(("127.0.0.1", 53))
    from pathlib import Path
    from servermonitoring.delivery.sentry import Sentry
    sentry = Sentry("http://0123456789abcdef@sentry.example.com/1", Path(sys.argv[1]))
    began = time.monotonic()
    tally = sentry.outbox.deliver(5)
    print(tally.waiting, time.monotonic() - began, tally.error, sep=";")
"""


def test_dns_that_never_answers(run, relay, bugsink, tmp_path):
    """The resolver waits in C, for longer than anybody wants to: in a network of its own, with a silent server."""
    if os.geteuid() != 0:
        pytest.skip("missing: root (to make a network of its own)")
    ids = put(run())
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    script = 'mount --bind "$0/resolv.conf" /etc/resolv.conf && exec "$1" -c "$2" "$0/sentry"'
    command = [program("unshare"), "--mount", "--net", "sh", "-c", script, tmp_path, sys.executable]
    done = subprocess.run(
        [*command, textwrap.dedent(SILENT_DNS)], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    if "mount:" in done.stderr or "unshare:" in done.stderr:
        pytest.skip("missing: unshare (a network of its own)")
    waiting, seconds, error = done.stdout.strip().split(";")
    assert (int(waiting), done.stderr) == (EVENTS, "")
    met = Outcome("DNS that never responds", Tally(error=error), float(seconds))
    the_next_run_delivers(run, relay, bugsink, ids)
    met.is_as_documented()


def test_disk_full(run, bugsink, spool, tiny_disk):
    """What cannot be written is sent from memory."""
    spool.symlink_to(tiny_disk)
    fill(tiny_disk)
    ids = put(sentry := run())
    assert is_empty_but(tiny_disk, "fill")
    assert "cannot be written: No space left on device" in sentry.tally().error
    met = outcome("disk full, Sentry works", sentry, where="delivered")
    assert delivered_once(bugsink, ids)
    met.tally = Tally(error=met.tally.error.replace(str(spool), "…"))
    met.is_as_documented()


def test_disk_full_and_sentry_away(run, relay, bugsink, spool, tiny_disk):
    """In the watchdog, which goes on running, both may come back later."""
    spool.symlink_to(tiny_disk)
    fill(tiny_disk)
    relay.stop()
    ids = put(sentry := run())
    assert sentry.outbox.deliver(BUDGET).waiting == EVENTS
    (tiny_disk / "fill").unlink()
    sentry.outbox.deliver(BUDGET)
    relay.start()
    the_next_run_delivers(run, relay, bugsink, ids)  # by another process: they are on the disk now


def fill(disk: Path) -> None:
    with contextlib.suppress(OSError), (disk / "fill").open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 512)


def is_empty_but(directory: Path, *names: str) -> bool:
    return {path.name for path in directory.iterdir() if path.is_file()} == set(names)


def test_two_at_once(run, relay, bugsink, spool):
    """The second waits for the first, and finds what that left: nothing, but on a machine too busy for a timeout."""
    ids = put(run(), 40)
    relay.delay = 0.02
    code = (
        "from servermonitoring.delivery.sentry import *; "
        f"print(Sentry({relay.dsn!r}, Path({str(spool)!r})).outbox.deliver(60).sent)"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    sent = [int(process.communicate(timeout=300)[0]) for process in processes]
    assert sum(sent) == 40
    assert delivered_once(bugsink, ids)
    Outcome("two runs deliver at once", Tally(), 0.0, where="delivered").is_as_documented()


SENDER = """
    import sys, time
    from pathlib import Path
    from servermonitoring.delivery.sentry import Sentry
    sentry = Sentry(sys.argv[1], Path(sys.argv[2]))
    sentry.start()
    for line in open(sys.argv[3]):
        envelope, _, key = line.rpartition("\\t")
        sentry.spool.put(envelope.replace("\\t", "\\n").encode(), key)
        sentry.outbox.wake()
        print(line[14:46], flush=True)
        time.sleep(0.01)
    sentry.outbox.deliver(60)
"""


def envelopes(path: Path, count: int) -> Path:
    """So many events, one a line, with tabs between their own lines."""
    with path.open("w") as file:
        for number in range(count):
            event_id = uuid.uuid4().hex
            event = f'{{"event_id": "{event_id}", "message": "event {number}", "timestamp": {time.time()}}}'
            file.write(f'{{"event_id": "{event_id}"}}\t{{"type": "event"}}\t{event}\t{number % 5}\n')
    return path


def test_killed_at_random_moments(run, relay, bugsink, spool, tmp_path):
    """What is said to be in the spool is in Bugsink in the end, once, whenever the senders die."""
    ids = []
    for go in range(10):
        senders = [start_sender(relay, spool, tmp_path / f"{go}-{number}") for number in range(2)]
        for sender, said in senders:
            until(said.read_text, 120, what="the first event")
            time.sleep(random.uniform(0, 0.15))
            sender.send_signal(signal.SIGKILL)
            sender.wait()
            ids += [line.strip() for line in said.read_text().splitlines(keepends=True) if line.endswith("\n")]
    met = Outcome("killed (SIGKILL) at 20 random moments", run().outbox.deliver(60), 0.0)
    stored = Counter(event.event_id for event in bugsink.events())
    assert met.tally.waiting == 0
    assert [each for each in ids if each not in stored] == []
    assert set(stored.values()) == {1}
    met.is_as_documented()


def start_sender(relay: Relay, spool: Path, said: Path) -> tuple[subprocess.Popen, Path]:
    events = envelopes(said.with_suffix(".events"), 12)
    command = [sys.executable, "-c", textwrap.dedent(SENDER), relay.dsn, str(spool), str(events)]
    with said.open("w") as file:
        return subprocess.Popen(command, cwd=ROOT, stdout=file), said
