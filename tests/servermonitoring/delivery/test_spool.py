"""The spool: private, in order and within its limits, also on a broken disk."""

import errno
import json
import os
import time

import pytest

from servermonitoring.delivery import spool
from servermonitoring.delivery.connection import PostAddress, PostConnection
from servermonitoring.delivery.outbox import Outbox
from servermonitoring.delivery.sender import EntryQueue
from servermonitoring.delivery.spool import Spool, SpoolEntry
from tests.reliability import reliability


class Nobody:
    """A destination where nobody listens."""

    name = "the other side"
    most_connections = 32

    def connection(self):
        return PostConnection(PostAddress("http://127.0.0.1:1/"))

    def prepare(self, content, _identity):
        json.loads(content)
        return content, {}

    def is_confirmed(self, _content, _response):
        return True


@pytest.fixture
def place(tmp_path):
    return tmp_path / "state/spool"


@pytest.fixture
def kept(place):
    return Spool(place)


@pytest.fixture
def outbox(kept):
    return Outbox(kept, Nobody())


def contents(kept):
    return [kept.read(each) for each in kept.waiting()]


def test_it_is_private_and_in_order(kept, place):
    for number in range(5):
        kept.put(b"%d" % number)
    assert contents(kept) == [b"0", b"1", b"2", b"3", b"4"]
    assert place.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in place.iterdir()} == {0o600}


def test_too_many_too_much_and_too_old_are_dropped_the_oldest_first(kept, outbox, monkeypatch):
    monkeypatch.setattr(spool, "MOST_FILES", 3)
    for number in range(5):
        kept.put(b"%d" % number)
    assert contents(kept) == [b"2", b"3", b"4"]
    assert kept.tally().dropped == 2
    assert kept.tally().error == "alert dropped from the spool: more than 3 files or 100 MB"
    monkeypatch.setattr(spool, "MOST_BYTES", 4)
    kept.put(b"555")
    assert contents(kept) == [b"4", b"555"]
    monkeypatch.setattr(spool, "OLDEST", 0.0)
    assert outbox.deliver(1).dropped == 6
    assert contents(kept) == []


def test_another_process_counts_too(place, monkeypatch):
    monkeypatch.setattr(spool, "MOST_FILES", 3)
    for number in range(5):
        Spool(place).put(b"%d" % number)
    assert contents(Spool(place)) == [b"2", b"3", b"4"]


def test_one_that_is_larger_than_anybody_takes_is_dropped_and_the_others_stay(kept):
    kept.put(b"1")
    kept.put(b"x" * 20_000_001)
    assert contents(kept) == [b"1"]
    assert kept.tally().error == "alert dropped: 20 MB, maximum 20 MB"


def test_a_file_in_its_place(kept, outbox, place):
    """No exception, an error in the tally, and the entry is in memory."""
    place.parent.mkdir()
    place.write_text("")
    for _ in range(150):
        kept.put(b"1")
    tally = outbox.deliver(1)
    assert (tally.waiting, tally.dropped) == (100, 50)
    place.unlink()
    kept.put(b"2")
    tally = outbox.deliver(1)
    assert len(list(place.iterdir())) == tally.waiting == 101
    assert "cannot be reached" in tally.error


def test_a_disk_that_takes_no_more_names_loses_nothing(kept, monkeypatch):
    def full(*_args, **_options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    kept.put(b"1")
    monkeypatch.setattr(spool, "write_whole", full)
    kept.put(b"2")
    assert contents(kept) == [b"1", b"2"]
    assert kept.tally().error.endswith("cannot be written: No space left on device")


@reliability(
    "Alerts",
    fault="a run is killed while it writes an alert into the spool",
    promise="a later run removes the half-written file, and leaves all files alone that are not ours",
)
def test_what_is_no_entry_is_left_alone_and_what_was_half_written_goes(kept, outbox, place):
    kept.put(b"1")
    half, new = ".servermonitoring.0123456789ab", ".servermonitoring.ba9876543210"
    for name in ("README", "a-b-c.0", "1-2.0", "1-2-3.x", ".hidden", half, new):
        (place / name).write_text("")
    for name in (half, ".hidden"):
        os.utime(place / name, (1, 1))
    outbox.deliver(1)
    assert not (place / half).exists()
    assert {"README", "a-b-c.0", "1-2.0", "1-2-3.x", ".hidden", new} <= {path.name for path in place.iterdir()}
    assert contents(kept) == [b"1"]
    assert str(kept.tally()).endswith("4 unknown files in the spool")


def test_a_damaged_one_is_refused(kept, outbox, place):
    kept.put(b"{")
    outbox.deliver(1)
    (refused,) = (place / "refused").iterdir()
    assert refused.suffix == ".damaged"
    assert refused.stat().st_mode & 0o777 == 0o600
    assert kept.tally().refused == 1
    assert " in the spool is damaged: " in kept.tally().error


def test_refused_does_not_grow_for_ever(kept, outbox, place, monkeypatch):
    monkeypatch.setattr(spool, "_MOST_REFUSED", 3)
    for _ in range(5):
        kept.put(b"{")
    outbox.deliver(1)
    assert len(list((place / "refused").iterdir())) == 3
    assert kept.tally().refused == 5


def test_a_pause_is_remembered_and_rubbish_in_its_place_is_none(kept, place):
    assert kept.pause() == 0
    kept.put(b"1")
    kept.remember_pause(100)
    assert 99 < Spool(place).pause() <= 100
    assert (place / "pause.json").stat().st_mode & 0o777 == 0o600
    for rubbish in ("", "{", "[]", "null", '{"until": "x"}', '{"until": 1e300}', '{"until": 1}'):
        (place / "pause.json").write_text(rubbish)
        assert kept.pause() <= 0


def test_the_tally_in_words(kept):
    assert str(kept.tally()) == "nothing to send"
    kept.put(b"1")
    waiting = next(iter(kept.directory.iterdir()))
    waiting.rename(waiting.with_name(f"{time.time_ns() - 1200 * 10**9:020d}-a-b.0"))
    assert str(kept.tally()) == "1 waiting (the oldest for 20 min)"
    kept.note("no password=hunter22", sent=3)
    assert str(kept.tally()) == "3 sent, 1 waiting (the oldest for 20 min); no password=[Filtered]"


def test_an_error_is_gone_when_nothing_waits(kept, outbox):
    kept.put(b"1")
    assert "cannot be reached" in outbox.deliver(1).error
    kept.remove(kept.waiting()[0])
    assert kept.tally().error == ""


def test_from_a_directory_where_nothing_can_be_removed_nothing_is_sent(kept, outbox, monkeypatch):
    """It would be sent again and again."""
    kept.put(b"1")
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert outbox.deliver(1).error == ""
    assert contents(kept) == [b"1"]


def test_the_oldest_go_first_and_those_of_a_key_one_after_another():
    a1, b1, a2, c1 = (SpoolEntry(False, time, key, f"{time}") for time, key in [(1, "a"), (2, "b"), (3, "a"), (4, "c")])
    queue = EntryQueue([c1, a2, b1, a1])
    assert [queue.take(), queue.take(), queue.take()] == [a1, b1, c1]
    assert (queue.take(), len(queue)) == (None, 1)
    queue.done(a1)
    assert queue.take() == a2
    queue.put_back(b1)
    assert (queue.take(), len(queue)) == (b1, 0)


def test_those_after_one_that_failed_stay_with_it():
    first, second = (SpoolEntry(False, time, "a", f"{time}") for time in (1, 2))
    queue = EntryQueue([first, second])
    queue.skip(queue.take())
    assert (queue.take(), len(queue)) == (None, 0)


def test_the_suspect_go_last_and_the_newest_can_be_asked_for():
    names = ["1-a-x.3", "2-b-x.0", "3-c-x.2"]
    queue = EntryQueue([SpoolEntry.from_name(name) for name in names])
    assert queue.take().name == "2-b-x.0"
    assert queue.take(newest=True).name == "1-a-x.3"
    assert SpoolEntry.from_name("1-a-x.3").identity == "1-a-x"
