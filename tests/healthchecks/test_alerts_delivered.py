"""The check of the alerts' own delivery."""

from servermonitoring.delivery import Delivery
from tests.suite import ROOT

CHECK = "alerts_delivered[]"
FILE = str(ROOT / "healthchecks" / "test_alerts.py")


def put(folder, name, seconds):
    """One that was put into this spool so long ago."""
    spool = folder / "state" / "spool" / name
    spool.mkdir(parents=True, exist_ok=True)
    stamp, rest = Delivery.new().name.split("-", 1)
    (spool / f"{int(stamp) - int(seconds * 1e9):020d}-{rest}").write_text("{}")


def test_it_is_skipped_where_nothing_was_ever_sent(run_suite):
    outcome = run_suite("", FILE)
    assert outcome.checks[CHECK]["status"] == "skipped"
    assert "not configured: [sentry]" in outcome.output


def test_what_waits_for_less_than_an_hour_is_well(run_suite, tmp_path):
    put(tmp_path, "sentry", 3500)
    run_suite("", FILE).assert_well(CHECK)


def test_what_waits_for_longer_is_told_by_spool(run_suite, tmp_path):
    for seconds in (60, 7200):
        put(tmp_path, "sentry", seconds)
    put(tmp_path, "webhook", 4050)
    words = run_suite("", FILE).message(CHECK).split("; ")
    assert sorted(words) == [
        "1 alert for webhook could not be delivered, the oldest for 1 h 7 min",
        "2 alerts for sentry could not be delivered, the oldest for 2 h",
    ]
