"""Results hold text that every sink can store, show and send, whatever they are made of."""

import json
import logging
import math
from datetime import UTC, datetime

import pytest

from healthchecks.plugin import history
from healthchecks.plugin.result import LARGEST, Attachment, LogLine, Result, Status, clean, text_of
from servermonitoring.scrubbing import FILTERED, remember
from tests.reliability import reliability
from tests.suite import Suite, table

LONE = "\ud800"
SECRET = "k7Qz-19xw-Lm4v-Pp82-Rt55"


def result(**fields):
    reported = {
        "check": "access",
        "target": "home",
        "label": "website[home]",
        "status": Status.FAILED,
        "message": "bad",
    }
    rest = {"duration": 0.1, "started": datetime.now(UTC), "host": "web1"}
    return Result(**{**reported, **rest, **fields})


def texts(value):
    """All texts in a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, bytes):
        yield value.decode()
    elif isinstance(value, dict):
        for pair in value.items():
            yield from texts(pair)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from texts(each)
    elif hasattr(value, "__dataclass_fields__"):
        yield from texts(vars(value))


@reliability(
    "Checks",
    fault="text of a check holds half a character, or is endless",
    promise="every text of a result is valid UTF-8 and bounded, by the way in which results are made",
)
@pytest.mark.parametrize(
    "text",
    [f"a{LONE}b", "\udcff", "x" * 30_000_000, LONE * 3_000_000],
    ids=["half a character", "no UTF-8", "endless", "endless and odd"],
)
def test_every_text_of_a_result(text):
    data = {text: text, "b": text}
    line = LogLine(1.0, logging.ERROR, text, text, template=text, is_message=True, data=data)
    made = result(
        **dict.fromkeys(("check", "target", "label", "message", "host", "group", "details", "kind"), text),
        log=[line] * 3,
        attachments=[Attachment(text, text.encode(errors="surrogatepass"), "text/plain")],
        extras={"reference": text, "nodeid": text},
    )
    found = list(texts(made))
    assert len(found) > 20
    for each in found:
        each.encode()  # which raises for what is no UTF-8
    assert max(len(each) for each in texts(vars(made) | {"attachments": (), "extras": {}})) <= 100_000
    assert len(made.message) <= 2_000
    assert len(made.attachments[0].content) <= LARGEST


@reliability(
    "Secrets",
    fault="a text is cut in the middle of a secret",
    promise="text is scrubbed before it is cut, so that no half of a secret is left",
)
@pytest.mark.parametrize("position", range(-len(SECRET), 1))
def test_no_half_of_a_secret(position):
    remember(SECRET)
    shown = result(message="x" * (2_000 + position) + SECRET, details=SECRET + "x" * (100_000 + position))
    for part in (SECRET[:4], SECRET[-4:]):
        assert part not in shown.message
        assert part not in shown.details


def test_values_under_sensitive_names_are_filtered():
    line = LogLine(1.0, logging.ERROR, "shop", "text", data={"password": "hunter22", "queue": "orders"})
    assert line.data == {"password": FILTERED, "queue": "orders"}


@pytest.mark.parametrize("duration", [math.nan, math.inf, -math.inf])
def test_durations_are_numbers(duration):
    assert result(duration=duration).duration == 0.0


@reliability(
    "Checks",
    fault="a check keeps more attachments than an alert can carry",
    promise="those that fit are kept, and the last one says which were left out",
)
def test_attachments_are_bounded_in_sum():
    pictures = [Attachment(f"picture {number}", b"x" * 1_900_000, "image/png") for number in range(12)]
    kept = result(attachments=[*pictures, Attachment("notes", b"small", "text/plain")]).attachments
    assert sum(len(each.content) for each in kept) <= 10_010_000
    assert [each.name for each in kept] == [f"picture {number}" for number in range(5)] + ["notes", "left out"]
    note = kept[-1].content.decode()
    assert note.startswith("7 attachments left out: 10 MB are the most for one check\npicture 5: 1.9 MB\n")


@pytest.mark.parametrize(
    "value", [ValueError("why"), "word", 42, None, type("Text", (str,), {"__str__": lambda _: 1 / 0})("word")]
)
def test_text_of(value):
    assert type(text_of(value)) is str
    assert text_of(value) in ("why", "word", "42", "None")


def test_text_of_what_has_none():
    class OddError(Exception):
        def __str__(self):
            raise SystemExit

    assert text_of(OddError()) == "<OddError, whose text cannot be made: SystemExit>"
    assert clean(OddError(), 10) == "<OddError…"


@reliability(
    "Checks",
    fault='a website\'s JSON holds a lone surrogate ("\\ud800")',
    promise="every result of the run is stored, and the half character is shown as U+FFFD",
)
def test_lone_surrogate_of_a_website(tmp_path, website):
    website.answer("/odd", json.dumps({"status": f"bad {LONE}"}), headers={"Content-Type": "application/json"})
    website.answer("/other", "bad")
    suite = Suite(tmp_path)
    suite.configure(
        table("website", "odd", url=website.url("/odd"), json={"status": "ok"})
        + table("website", "other", url=website.url("/other"), contains="good")
    )
    outcome = suite.run("--pyargs", "healthchecks.test_website")
    assert "\ufffd" in outcome.checks["website_access[odd]"]["message"]
    with history.opened(suite.state, 400) as opened:
        points = {name: opened.recent(("website_access", name), 1) for name in ("odd", "other")}
    assert points["other"][0].status is Status.FAILED
    assert "\ufffd" in points["odd"][0].message
