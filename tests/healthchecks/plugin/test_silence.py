"""Silences: by command, shown everywhere, ended by time, recovery or command."""

import itertools
import json
import re
import time

import pytest

from healthchecks.plugin import silence_command, silence_file
from healthchecks.plugin.history import Uptime, opened
from healthchecks.plugin.history.queries import checks
from healthchecks.plugin.result import Status
from healthchecks.plugin.silence import Silence, Silences
from servermonitoring.state_directory import changing
from tests.healthchecks.plugin.alerting.shops import Shops
from tests.healthchecks.plugin.alerting.test_alerting import result
from tests.reliability import reliability

NOW = time.time()
OTHERS = """
    import pytest

    @pytest.mark.healthcheck
    def test_backup():
        pass

    @pytest.mark.healthcheck
    @pytest.mark.parametrize("night", ["monday", "friday"])
    def test_dump(night):
        pass
"""


@pytest.fixture
def shops(tmp_path):
    return Shops(tmp_path, "a", "b")


def silence(shops, *orders, reason=""):
    arguments = [each for order in orders for each in ("--monitoring-silence", order)]
    return shops.run(".", *arguments, *(["--monitoring-reason", reason] if reason else []))


def stored(shops):
    return {each["name"]: each for each in json.loads((shops.state / "silences.json").read_text())["silences"]}


def sent(website):
    return [(each["action"], each["target"]) for each in map(json.loads, (each.body for each in website.requests))]


@reliability(
    "Alerts",
    fault="a silence ends, by command or with its time, while its check still fails",
    promise="the failure is alerted in the next run, although it was alerted before the silence",
)
def test_from_silence_to_recovery(shops, website):
    """Nothing is probed or sent by the command; what is silenced is shown with its reason, and not sent."""
    website.answer("/hook", "ok")
    settings = f"[alerts]\nwebhook = '{website.url('/hook')}'\n[metrics]\ntextfile = 'a.prom'\n"
    shops.configure(f"[shop.a]\n[shop.b]\n{settings}")
    shops.say(a="closed")
    shops.run()
    assert sent(website) == [("alert", "a")]
    history = (shops.state / "history.sqlite").read_bytes()

    outcome = silence(shops, "shop.a=4h", reason="new <b>certificate</b>\non Monday")
    assert outcome.status == 0, outcome.output
    words = (
        r"shop\.a is silenced until \d{4}-\d\d-\d\d \d\d:\d\d \w+ \(for 4 h\), by \w+: new <b>certificate</b> on Mon"
    )
    assert re.match(words, outcome.output), outcome.output
    assert "collected" not in outcome.output
    assert (shops.state / "history.sqlite").read_bytes() == history
    assert (shops.state / "silences.json").stat().st_mode & 0o777 == 0o600

    shops.say(a="another error", b="closed")
    outcome = shops.run()
    until = silence_file.read(shops.state).find("shop.a", "", "").ends
    assert f"silenced: shop.a until {until}, by " in outcome.output
    assert re.search(rf"FAILED +shop\[a\] +another error.*silenced until {until}\)", outcome.output)
    assert "1 of 2 checks failed, 1 silenced" in outcome.output
    assert "1 in maintenance or silenced" in outcome.output
    assert sent(website) == [("alert", "a"), ("alert", "b")]
    entry = outcome.checks["shop_words[a]"]
    assert entry["silence"]["reason"] == "new <b>certificate</b> on Monday"
    assert outcome.checks["shop_words[b]"]["silence"] is None
    page = (shops.page / "index.html").read_text()
    assert page.count('<span class="status maintenance">silenced</span>') == 1
    assert ": new &lt;b&gt;certificate&lt;/b&gt; on Monday</bdi>" in page
    with opened(shops.state, 400) as past:
        uptimes = {each.key[1]: each.uptimes[1] for each in checks(past.connection, round(time.time()) + 1)}
    assert uptimes["a"] == Uptime(passed=0, total=2)  # a silenced failure is one
    metrics = dict(re.findall(r'healthcheck_silenced\{.*target="(.)".*\} (\S+)', (shops.folder / "a.prom").read_text()))
    assert metrics == {"a": "1.0"}

    assert silence(shops, "shop=0").output.strip() == "nothing is silenced"
    shops.run()
    assert sent(website)[2:] == [("reminder", "a")]

    silence(shops, "shop=4h")
    shops.run()
    shops.say(a="ok", b="closed")
    outcome = shops.run("test_mine.py", "--monitoring-no-alerts")
    assert "shop.a" in stored(shops)
    outcome = shops.run()
    assert "recovered, so no longer silenced: shop.a" in outcome.output
    assert outcome.checks["shop_words[a]"]["silence"] is None
    assert outcome.checks["shop_words[b]"]["silence"] is not None
    assert [*stored(shops)] == ["shop.b"]
    shops.say(a="closed")
    shops.run()
    assert sent(website)[3:] == [("recovered", "a"), ("alert", "a")]


def test_names_of_the_page_and_of_the_configuration(shops):
    """A target, a kind, a check, one check of a target, a check of one's own."""
    shops.write("test_others.py", OTHERS)
    silence(
        shops,
        "shop=1h",
        "shop_words[b]=2h",
        "shop[b]=3h",
        "backup=4h",
        "dump[friday]=90s",
        reason="see https://bob:hunter22@wiki",
    )
    found = stored(shops)
    assert {each["reason"] for each in found.values()} == {"see https://bob:[Filtered]@wiki"}
    hours = {name: round((each["until"] - each["began"]) / 3600, 3) for name, each in found.items()}
    assert hours == {"shop.a": 1, "shop_words[b]": 2, "shop.b": 3, "backup": 4, "dump[friday]": 0.025}
    outcome = shops.run(".")
    silenced = {name for name, each in outcome.checks.items() if each["silence"]}
    assert silenced == {"shop_words[a]", "shop_words[b]", "backup[]", "dump[friday]"}
    assert outcome.checks["shop_words[b]"]["silence"]["until"] > outcome.checks["shop_words[a]"]["silence"]["until"]
    listed = shops.run(".", "--monitoring-silence", "list").output
    assert [line.split()[0] for line in listed.split("\n")[:-1]] == [
        "dump[friday]", "shop.a", "shop_words[b]", "shop.b", "backup"
    ]  # fmt: skip
    silence(shops, "dump=0", "shop.b=0", "shop.b=0")
    assert {*stored(shops)} == {"backup", "shop.a"}


def test_an_unknown_name_changes_nothing(shops):
    shops.write("test_broken.py", "import healthchecks, nothing_of_that_name\n")
    silence(shops, "shop.a=1h")
    outcome = silence(shops, "shop.b=1h", "shop.aa=1h")
    assert outcome.status == 4
    assert '"shop.aa"; did you mean shop.a' in outcome.output
    assert "(files of checks could not be collected, so theirs are not known)" in outcome.output
    assert [*stored(shops)] == ["shop.a"]
    shops.configure("[shop.b]\n")
    assert "shop.a" not in silence(shops, "shop.a=0").output  # also what is no longer configured can be ended


@reliability(
    "Alerts",
    fault="the file of silences is damaged",
    promise="nothing is silenced, and the run says so; the command changes nothing and says why",
)
def test_a_damaged_file_silences_nothing(shops):
    silence(shops, "shop.a=1h")
    file = shops.state / "silences.json"
    file.write_text(file.read_text()[:-9])
    shops.say(a="closed")
    outcome = shops.run()
    assert "silences: nothing is silenced: silences.json is damaged, it is not JSON: remove it" in outcome.output
    assert outcome.checks["shop_words[a]"]["silence"] is None
    outcome = silence(shops, "shop.b=1h")
    assert outcome.status == 4
    assert "silences.json is damaged, it is not JSON: remove it; nothing was changed" in outcome.output


def test_a_reason_without_a_silence_is_an_error(shops):
    outcome = shops.run("test_mine.py", "--monitoring-reason", "x")
    assert outcome.status == 4
    assert "--monitoring-reason is the reason of --monitoring-silence, which is not given" in outcome.output


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("website.home", "write NAME=DURATION, as in"),
        ("=4h", "write NAME=DURATION, as in"),
        ("website.home=tomorrow", "'tomorrow' is not a duration: write seconds, or \"90s\""),
        ("website.home=-1", "'-1' is not a duration"),
        ("website.home=", "'' is not a duration"),
        ("website.home=367d", "at most 366d"),
        ("x" * 5000, 'x{100}": write NAME=DURATION'),
    ],
)
def test_what_is_no_order_is_an_error(argument, words):
    with pytest.raises(pytest.UsageError, match=words) as raised:
        silence_command.read_order(argument)
    assert len(str(raised.value)) < 500


def test_the_user_is_the_one_who_called_sudo(shops):
    """Control characters are left out, of the reason as well."""
    shops.environment["SUDO_USER"] = "al\x1b[31mice"
    silence(shops, "shop.a=1h", reason="red\x1b[31m\x07")
    assert (stored(shops)["shop.a"]["user"], stored(shops)["shop.a"]["reason"]) == ("al[31mice", "red[31m")


def test_a_name_may_hold_an_equals_sign():
    assert silence_command.read_order("dump[a=b]=2h") == ("dump[a=b]", 7200)


@pytest.fixture
def one(tmp_path):
    """Stores a silence of website.home, and returns it after runs with these statuses."""

    def one(*statuses, **more):
        silence_file.change(tmp_path, lambda _: [Silence("website.home", NOW + 9999, NOW, "bob", "reason")])
        for status in statuses:
            found = result(status=status, extras={"reference": "website.home"}, **more)
            other = result("shop", Status.OK, extras={"reference": "website.shop"})
            silence_file.follow(tmp_path, [found, other])
        return silence_file.read(tmp_path).find("website.home", "", "")

    return one


FAILED, ERROR, OK, BLOCKED, SLOW = Status.FAILED, Status.ERROR, Status.OK, Status.BLOCKED, Status.SLOW


@pytest.mark.parametrize(
    ("statuses", "threshold", "is_over"),
    [
        ([OK, OK, SLOW], 1, False),  # silenced before the work begins
        ([FAILED, FAILED], 1, False),
        ([OK, FAILED, OK], 1, True),
        ([ERROR, SLOW], 1, True),
        ([FAILED, BLOCKED, Status.SKIPPED], 1, False),
        ([FAILED, OK], 2, False),
        ([FAILED, OK, FAILED, OK], 2, False),
        ([FAILED, OK, BLOCKED, OK], 2, True),
    ],
)
def test_a_silence_ends_with_the_recovery(one, statuses, threshold, is_over):
    assert (one(*statuses, success_threshold=threshold) is None) == is_over


def test_a_silence_ends_when_all_of_its_checks_have_recovered(tmp_path):
    silence_file.change(tmp_path, lambda _: [Silence("website.home", NOW + 9999, NOW, "bob")])
    reference = {"reference": "website.home"}
    runs = [(FAILED, FAILED), (OK, FAILED), (OK, OK)]
    left = [
        len(silence_file.follow(tmp_path, [result(status=one, extras=reference), _other(other, reference)]))
        for one, other in runs
    ]
    assert left == [1, 1, 0]


def _other(status, reference):
    found = result(status=status, extras=reference)
    object.__setattr__(found, "check", "website_certificate")
    return found


@pytest.mark.parametrize(
    ("now", "is_open"),
    [(0, True), (99, True), (100, False), (-30, True), (-3600, False)],
    ids=["at once", "before its end", "its end", "the clock was corrected", "the clock was far ahead"],
)
def test_a_silence_has_a_time(tmp_path, now, is_open):
    silence_file.change(tmp_path, lambda _: [Silence("website.home", NOW + 100, NOW, "bob")])
    assert (silence_file.read(tmp_path, NOW + now).find("website.home", "", "") is not None) == is_open


WHOLE = {"name": "a", "until": 99, "began": 0, "user": "bob", "reason": "", "failing": {}}


@pytest.mark.parametrize(
    "document",
    [
        [], 1, {}, {"version": 2, "silences": []}, {"version": 1, "silences": {"a": 1}}, {"version": 1, "silences": 7},
        {"version": 1, "silences": [{**WHOLE, "until": "x"}]}, {"version": 1, "silences": [{**WHOLE, "until": 1e999}]},
        {"version": 1, "silences": [{**WHOLE, "user": 7}]}, {"version": 1, "silences": [{**WHOLE, "more": "x"}]},
        {"version": 1, "silences": [{**WHOLE, "reason": "x" * 501}]},
        {"version": 1, "silences": [{**WHOLE, "failing": ["x"]}]},
    ],
    ids=itertools.count(),
)  # fmt: skip
def test_a_file_of_another_form_is_damaged(tmp_path, document):
    (tmp_path / "silences.json").write_text(json.dumps(document))
    with pytest.raises(ValueError, match=r"silences\.json is damaged"):
        silence_file.read(tmp_path)


@pytest.mark.parametrize("text", ["", "[" * 100_000, "\xff", '{"version": 1'], ids=["none", "deep", "bytes", "cut"])
def test_a_file_that_is_not_json_is_damaged(tmp_path, text):
    (tmp_path / "silences.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=r"silences\.json is damaged"):
        silence_file.read(tmp_path)


def test_there_is_a_maximum(tmp_path):
    def add(count):
        return lambda _: [Silence(f"shop.{number}", NOW + 9999, NOW, "bob") for number in range(count)]

    assert len(silence_file.change(tmp_path, add(2000))) == 2000
    with pytest.raises(ValueError, match="2001 silences, maximum 2000"):
        silence_file.change(tmp_path, add(2001))
    assert len(silence_file.read(tmp_path)) == 2000


def test_a_writer_waits_for_another_one_and_not_for_ever(tmp_path):
    with changing(tmp_path), pytest.raises(TimeoutError, match="has been writing for 2 s"):
        silence_file.change(tmp_path, lambda silences: silences)
    silence_file.change(tmp_path, lambda silences: silences)


def test_the_longest_of_several_silences_is_in_force():
    silences = Silences([Silence("website.home", 20, 0, "a"), Silence("website_access[home]", 30, 0, "b")])
    assert silences.find("website.home", "website_access", "home").user == "b"
    assert silences.find("website.home", "website_certificate", "home").user == "a"
    assert silences.find("website.shop", "website_access", "shop") is None


def test_the_header_names_the_first_to_end():
    silences = Silences(Silence(f"shop.{number}", NOW + number, NOW, "bob") for number in range(9, 0, -1))
    assert re.findall(r"shop\.\d", silences.summary) == [f"shop.{number}" for number in range(1, 6)]
    assert silences.summary.endswith("; and 4 more")
