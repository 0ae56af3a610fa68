"""Kills of the watchdog reach the channels of the suite by its next run, each once."""

import json
import os
from datetime import UTC, datetime, timedelta

import pytest

from healthchecks.plugin.alerting.kills import MOST_ALERTS, find_new
from healthchecks.plugin.alerting.store import StateFile
from servermonitoring.watchdog_state import KILLS, OLDER_KILLS, Kill, record_kill
from tests.healthchecks.plugin.alerting.shops import Shops
from tests.reliability import reliability

NOW = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)
MESSAGE = "1.3 GB of memory used, maximum 1.2 GB"
COMMAND = "firefox --proxy=http://me:hunter22@proxy"


def kill(minutes=0.0, now=NOW, **more) -> Kill:
    """A kill so long before `now`."""
    moment = (now - timedelta(minutes=minutes)).timestamp()
    fields = {
        "time": moment, "rule": "firefox", "reason": "memory", "message": MESSAGE, "pid": 12, "name": "firefox-esr",
        "user": 0, "memory": 1_300_000_000, "age": 61.0, "validated": None, "command": COMMAND,
    }  # fmt: skip
    return Kill(**(fields | more))


class Watchdog:
    """The state of a watchdog, and what the runs of a suite find in it."""

    def __init__(self, directory):
        self.directory, self.last = directory, None

    def record(self, *kills):
        for each in kills:
            record_kill(self.directory, each)

    def find(self, now=NOW):
        new = find_new(self.directory, self.last, "web1", now)
        self.last = new.last
        return new.alerts


@pytest.fixture
def watchdog(tmp_path):
    return Watchdog(tmp_path)


def test_a_kill_is_alerted_once_with_what_the_watchdog_knows(watchdog):
    watchdog.find()
    watchdog.record(kill(5), kill(3, pid=13))
    first, second = watchdog.find()
    assert first.title == f"watchdog[firefox]: killed firefox-esr: {MESSAGE}"
    assert (first.time, first.host, first.action, first.level) == (NOW - timedelta(minutes=5), "web1", "alert", "error")
    assert first.data == {
        "memory": "1.3 GB", "age": "1 min 1 s", "last validated": "never", "process id": "12", "user": "root",
        "command": COMMAND,
    }  # fmt: skip
    assert first.id != second.id
    assert watchdog.find() == []
    watchdog.record(kill(1, pid=14))
    assert [each.data["process id"] for each in watchdog.find()] == ["14"]


@reliability(
    "Alerts", fault="100 browsers were killed since the last run", promise="one alert says which, how often and why"
)
def test_many_kills_are_one_summary(watchdog):
    watchdog.find()
    hung = [kill(9, pid=number, reason="silent") for number in range(60)]
    watchdog.record(*hung, *(kill(5, pid=number) for number in range(39)), kill(1, rule="chromium", name="chrome"))
    (alert,) = watchdog.find()
    assert alert.title == (
        "watchdog: killed 100 browsers: 60 times firefox-esr (rule firefox: silent), "
        "39 times firefox-esr (rule firefox: memory), chrome (rule chromium: memory)"
    )
    assert (alert.since, alert.failures) == (NOW - timedelta(minutes=9), 1)
    assert watchdog.find() == []
    watchdog.record(*(kill(pid=number) for number in range(MOST_ALERTS)))
    assert len(watchdog.find()) == MOST_ALERTS


def test_kills_are_found_where_the_file_was_replaced_or_removed(watchdog, tmp_path):
    watchdog.record(kill(5))
    watchdog.find()
    watchdog.record(kill(4, pid=13))
    (tmp_path / KILLS).rename(tmp_path / OLDER_KILLS)
    watchdog.record(kill(3, pid=14))
    assert [each.data["process id"] for each in watchdog.find()] == ["13", "14"]
    (tmp_path / KILLS).unlink()
    (tmp_path / OLDER_KILLS).unlink()
    assert watchdog.find() == []
    watchdog.record(kill(2, pid=15))
    assert [each.data["process id"] for each in watchdog.find()] == ["15"]


def test_a_clock_that_was_set_back_hides_no_kill_and_repeats_none(watchdog):
    watchdog.record(kill(-600))
    watchdog.find(NOW + timedelta(minutes=600))
    watchdog.record(kill(3, pid=13))
    assert [each.data["process id"] for each in watchdog.find()] == ["13"]
    assert watchdog.find() == []


def test_kills_of_long_ago_are_those_of_the_page(watchdog):
    """Of the hour before the first run with a channel; later of a day in which none ran."""
    watchdog.record(kill(120), kill(50, pid=13))
    assert [each.data["process id"] for each in watchdog.find()] == ["13"]
    watchdog.record(kill(-30, pid=14), kill(-120, pid=15))
    assert [each.data["process id"] for each in watchdog.find(NOW + timedelta(hours=25))] == ["15"]
    assert watchdog.find(NOW + timedelta(hours=25)) == []


def test_more_than_are_read_are_counted_as_at_least(watchdog, tmp_path):
    watchdog.record(kill(5))
    watchdog.find()
    line = json.dumps(kill(1, command="x" * 900)._asdict()) + "\n"
    (tmp_path / KILLS).write_text(line * 1500)
    (alert,) = watchdog.find()
    assert "killed at least " in alert.message


@pytest.mark.parametrize(
    "line",
    [
        "half a li",
        "[]",
        json.dumps(kill()._asdict() | {"age": float("inf")}),
        json.dumps(kill()._asdict() | {"time": 1e99}),
        json.dumps(kill()._asdict() | {"time": float("nan")}),
    ],
)
def test_a_damaged_line_hides_no_kill(watchdog, tmp_path, line):
    watchdog.find()
    (tmp_path / KILLS).write_text(f"{line}\n")
    watchdog.record(kill(pid=13))
    assert [each.data["process id"] for each in watchdog.find()] == ["13"]
    (tmp_path / KILLS).write_text(f"{line}\n")
    assert watchdog.find() == []
    StateFile(tmp_path).change(lambda state: setattr(state, "last_kill", watchdog.last))
    assert StateFile(tmp_path).read().state.last_kill == watchdog.last


def test_a_pipe_in_their_place_is_not_waited_for(watchdog, tmp_path):
    os.mkfifo(tmp_path / KILLS)
    assert watchdog.find() == []


@pytest.fixture
def shops(tmp_path):
    return Shops(tmp_path, "a")


def configure(shops, website, more=""):
    website.answer("/hook", "ok")
    shops.configure(
        f"[shop.a]\n[alerts]\nwebhook = '{website.url('/hook')}'\n{more}[dashboard]\nurl = 'https://status.example.com/'\n"
    )


def test_a_run_sends_kills_to_every_channel_but_sentry(shops, website, bugsink):
    """Where the watchdog has sent them already. No secret of the command line is in it."""
    configure(shops, website)
    shops.state.mkdir(parents=True, mode=0o700)
    record_kill(shops.state, kill(now=datetime.now(UTC)))
    shops.alert(bugsink.dsn)
    assert "webhook: 1 sent" in shops.run().output
    shops.run()
    (document,) = (json.loads(each.body) for each in website.requests)
    assert document["title"] == f"watchdog[firefox]: killed firefox-esr: {MESSAGE}"
    assert (document["check"], document["target"], document["status"]) == ("watchdog_kill", "firefox", "failed")
    assert document["link"] == "https://status.example.com/"
    assert document["data"]["command"].startswith("firefox --proxy=http://")
    assert "hunter22" not in json.dumps(document)
    assert bugsink.events() == []


def test_kills_that_were_not_sent_are_due_again(shops, website):
    """Over the limit of the day, or on a disk that takes no spool while the webhook is away."""
    configure(shops, website, "max_per_day = 1\n")
    shops.state.mkdir(parents=True, mode=0o700)
    record_kill(shops.state, kill(now=datetime.now(UTC)))
    (shops.state / "spool").write_text("a file in the place of the spool")
    website.answer("/hook", "later", status=503)
    shops.run()
    website.answer("/hook", "ok")
    (shops.state / "spool").unlink()
    assert "webhook: 1 sent" in shops.run().output
    record_kill(shops.state, kill(now=datetime.now(UTC), pid=13))
    seen = len(website.requests)
    shops.run()
    assert len(website.requests) == seen
    configure(shops, website)
    shops.run()
    assert json.loads(website.requests[-1].body)["data"]["process id"] == "13"
    assert len(website.requests) == seen + 1
