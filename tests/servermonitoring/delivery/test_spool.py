"""What is put into the spool is there, private, in order and within bounds, whatever becomes of the disk."""

import errno
import json
import os
import time

import pytest

from servermonitoring.delivery import entries, spool
from servermonitoring.delivery.connection import Address, Line
from servermonitoring.delivery.entries import Delivery, Order
from servermonitoring.delivery.spool import Spool


class Nobody:
    """Nobody listens there."""

    name = "the other side"

    def line(self):
        return Line(Address("http://127.0.0.1:1/"))

    def prepare(self, content, _delivery):
        json.loads(content)
        return content, {}

    def has_taken(self, _content, _answer):
        return True


@pytest.fixture
def place(tmp_path):
    return tmp_path / "state/spool"


@pytest.fixture
def kept(place):
    return Spool(place, Nobody())


def contents(kept):
    return [kept.read(each) for each in kept.waiting()]


def test_it_is_private_and_in_order(kept, place):
    for number in range(5):
        kept.put(b"%d" % number)
    assert contents(kept) == [b"0", b"1", b"2", b"3", b"4"]
    assert place.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in place.iterdir()} == {0o600}


def test_too_many_too_much_and_too_old_are_dropped_the_oldest_first(kept, monkeypatch):
    monkeypatch.setattr(spool, "MOST_FILES", 3)
    for number in range(5):
        kept.put(b"%d" % number)
    assert contents(kept) == [b"2", b"3", b"4"]
    assert kept.tally().dropped == 2
    assert kept.tally().error == "dropped from the spool: more than 3 files or 100 MB"
    monkeypatch.setattr(spool, "MOST_BYTES", 4)
    kept.put(b"555")
    assert contents(kept) == [b"4", b"555"]
    monkeypatch.setattr(spool, "OLDEST", 0.0)
    assert kept.drain(1).dropped == 6
    assert contents(kept) == []


def test_another_process_counts_too(place, monkeypatch):
    monkeypatch.setattr(spool, "MOST_FILES", 3)
    for number in range(5):
        Spool(place, Nobody()).put(b"%d" % number)
    assert contents(Spool(place, Nobody())) == [b"2", b"3", b"4"]


def test_one_that_is_larger_than_anybody_takes_is_dropped_and_the_others_stay(kept):
    kept.put(b"1")
    kept.put(b"x" * 20_000_001)
    assert contents(kept) == [b"1"]
    assert kept.tally().error == "dropped: 20 MB are too much for one delivery"


def test_a_file_in_its_place(kept, place):
    """Whatever is wrong with it: no exception, a word in the tally, and the delivery is in memory."""
    place.parent.mkdir()
    place.write_text("")
    for _ in range(150):
        kept.put(b"1")
    tally = kept.drain(1)
    assert (tally.waiting, tally.dropped) == (100, 50)
    place.unlink()
    kept.put(b"2")
    tally = kept.drain(1)
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


def test_what_is_no_delivery_is_left_alone_and_what_was_half_written_goes(kept, place):
    kept.put(b"1")
    half, new = ".servermonitoring.0123456789ab", ".servermonitoring.ba9876543210"
    for name in ("README", "a-b-c.0", "1-2.0", "1-2-3.x", ".hidden", half, new):
        (place / name).write_text("")
    for name in (half, ".hidden"):
        os.utime(place / name, (1, 1))
    kept.drain(1)
    assert not (place / half).exists()
    assert {"README", "a-b-c.0", "1-2.0", "1-2-3.x", ".hidden", new} <= {path.name for path in place.iterdir()}
    assert contents(kept) == [b"1"]
    assert str(kept.tally()).endswith("4 files in the spool that it did not write")


def test_a_damaged_one_is_put_aside(kept, place):
    kept.put(b"{")
    kept.drain(1)
    (aside,) = (place / "refused").iterdir()
    assert aside.suffix == ".damaged"
    assert aside.stat().st_mode & 0o777 == 0o600
    assert kept.tally().refused == 1
    assert " in the spool is damaged: " in kept.tally().error


def test_refused_does_not_grow_for_ever(kept, place, monkeypatch):
    monkeypatch.setattr(spool, "_MOST_REFUSED", 3)
    for _ in range(5):
        kept.put(b"{")
    kept.drain(1)
    assert len(list((place / "refused").iterdir())) == 3
    assert kept.tally().refused == 5


def test_a_pause_is_remembered_and_rubbish_in_its_place_is_none(kept, place):
    assert kept.pause() == 0
    kept.put(b"1")
    kept.remember_pause(100)
    assert 99 < Spool(place, Nobody()).pause() <= 100
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


def test_nothing_is_said_of_what_went_wrong_before_it_went_well(kept):
    kept.put(b"1")
    assert "cannot be reached" in kept.drain(1).error
    kept.remove(kept.waiting()[0])
    assert kept.tally().error == ""


def test_from_a_directory_where_nothing_can_be_removed_nothing_is_sent(kept, monkeypatch):
    """It would be sent again and again."""
    kept.put(b"1")
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert kept.drain(1).error == ""
    assert contents(kept) == [b"1"]


def test_the_oldest_go_first_and_those_of_a_key_one_after_another():
    a1, b1, a2, c1 = (Delivery(False, time, key, f"{time}") for time, key in [(1, "a"), (2, "b"), (3, "a"), (4, "c")])
    order = Order([c1, a2, b1, a1])
    assert [order.take(), order.take(), order.take()] == [a1, b1, c1]
    assert (order.take(), len(order)) == (None, 1)
    order.done(a1)
    assert order.take() == a2
    order.again(b1)
    assert (order.take(), len(order)) == (b1, 0)


def test_those_after_one_that_failed_stay_with_it():
    first, second = (Delivery(False, time, "a", f"{time}") for time in (1, 2))
    order = Order([first, second])
    order.leave(order.take())
    assert (order.take(), len(order)) == (None, 0)


def test_the_suspect_go_last_and_the_newest_can_be_asked_for():
    names = ["1-a-x.3", "2-b-x.0", "3-c-x.2"]
    order = Order([Delivery.named(name) for name in names])
    assert order.take().name == "2-b-x.0"
    assert order.take(newest=True).name == "1-a-x.3"
    assert entries.Delivery.named("1-a-x.3").identity == "1-a-x"
