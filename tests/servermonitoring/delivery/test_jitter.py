"""Hosts that lost their receiver at the same moment do not all come back at the same moment."""

import json
import time

from servermonitoring.delivery import outbox
from servermonitoring.delivery.outbox import jittered
from servermonitoring.delivery.webhook import Webhook
from tests.servers.relay import Relay
from tests.servers.server import until


def test_waits_differ_around_the_time_that_is_meant():
    waits = [jittered(100.0) for _ in range(1000)]
    assert all(75 <= each <= 125 for each in waits)
    assert min(waits) < 85
    assert max(waits) > 115


def test_a_pause_is_never_shorter_than_the_receiver_asks_and_differs(tmp_path):
    """It is a promise to the receiver; the longer part is each host's own."""
    pauses = set()
    with Relay("http://user@127.0.0.1:1/x") as receiver:
        receiver.answer(429, Retry_After="1000")
        for name in ("a", "b", "c"):
            webhook = Webhook(f"http://127.0.0.1:{receiver.port}/hook", tmp_path / name)
            webhook.post({"one": 1})
            before = time.time()
            assert "accepts no alerts for 16 min 40 s" in webhook.outbox.deliver(20).error
            until = json.loads((tmp_path / name / "pause.json").read_text())["until"]
            assert before + 1000 <= until <= time.time() + 1100
            pauses.add(round(until - before, 1))
            assert webhook.spool.pause() > 990
    assert len(pauses) > 1


def test_a_pause_that_was_read_again_does_not_grow(tmp_path):
    with Relay("http://user@127.0.0.1:1/x") as receiver:
        webhook = Webhook(f"http://127.0.0.1:{receiver.port}/hook", tmp_path)
        webhook.spool.remember_pause(1000)
        kept = (tmp_path / "pause.json").read_text()
        webhook.post({"one": 1})
        webhook.outbox.deliver(5)
        assert (tmp_path / "pause.json").read_text() == kept


def test_the_outbox_waits_so_before_it_tries_again(tmp_path, monkeypatch):
    """By chance next to nothing of five minutes."""
    monkeypatch.setattr(outbox, "_FIRST_WAIT", 300.0)
    monkeypatch.setattr(outbox.random, "uniform", lambda *_: 1e-5)
    with Relay("http://user@127.0.0.1:1/x") as receiver:
        receiver.answer(500)
        webhook = Webhook(f"http://127.0.0.1:{receiver.port}/hook", tmp_path)
        webhook.post({"one": 1})
        webhook.start()
        until(lambda: len(receiver.received) >= 3, 60, what="two more attempts")
        receiver.answer(200)
        assert webhook.finish(60).sent == 1
