"""A wrong configuration ends with status 4 and one clear text, before anything is contacted."""

import json

import pytest

from tests.reliability import reliability

CHECKS = """
    from typing import ClassVar
    from pydantic import BaseModel, ConfigDict, Field
    from healthchecks import Duration, Secret, Percentage, Size, Target, probe
    from pathlib import Path

    class Limits(BaseModel):
        model_config = ConfigDict(extra="forbid")
        most: int = 5

    class Shop(Target):
        url: str
        status: int = 200
        password: Secret | None = None
        used: Percentage = 0.9
        size: Size = 100
        limits: Limits = Limits()

    @probe
    def contacted(shop: Shop) -> bool:
        with Path("contacted").open("a") as file:
            file.write(shop.name)
        return True

    def test_shop(shop: Shop, contacted: bool) -> None:
        assert contacted
"""

GOOD = '[shop.good]\nurl = "http://127.0.0.1/"\n'

WRONG = {
    "unknown key": ("[shop.a]\nurl = 'x'\nstattus = 1", '[shop.a]: unknown key "stattus"; did you mean "status"?'),
    "unknown key, nothing near": ("[shop.a]\nurl = 'x'\nzzz = 1", '[shop.a]: unknown key "zzz"; known: failure_threshold, group, limits'),
    "unknown nested key": ("[shop.a]\nurl = 'x'\nlimits.mots = 1", '[shop.a.limits]: unknown key "mots"; did you mean'),
    "unknown table": ("[shopp.a]\nurl = 'x'", '[shopp]: unknown table; did you mean "shop"?'),
    "unknown setting": ("[run]\ntimout = 5", '[run]: unknown key "timout"; did you mean "timeout"?'),
    "missing key": ("[shop.a]", '[shop.a]: "url" is missing\n'),
    "missing key with a description": ("[tcp.a]\nhost = 'x'", '[tcp.a]: "port" is missing: port that must accept a connection\n'),
    "missing key of a setting": ("[sentry.check_in]", '[sentry.check_in]: "monitor" is missing: slug of Sentry'),
    "wrong type": ("[shop.a]\nurl = 'x'\nstatus = 'many'", "[shop.a] status: 'many': write a whole number"),
    "half a number": ("[shop.a]\nurl = 'x'\nstatus = 2.5", "[shop.a] status: 2.5: write a whole number"),
    "true for a number": ("[shop.a]\nurl = 'x'\nstatus = true", "[shop.a] status: true: write a number"),
    "true in a table": ("[shop.a]\nurl = 'x'\nlimits.most = true", "[shop.a.limits] most: true: write a number"),
    "true for a number of a setting": ("[run]\nworkers = true", "[run] workers: true: write a number"),
    "true for hours": ("[maintenance.a]\ncron = '* * * * *'\nhours = true", "[maintenance.a] hours: true: write a number"),
    "number for text": ("[shop.a]\nurl = 5", "[shop.a] url: 5: write a text, in quotes"),
    "wrong nested type": ("[shop.a]\nurl = 'x'\nlimits.most = 'x'", "[shop.a.limits] most: 'x': write a whole number"),
    "key outside of a target": ("[shop]\nurl = 'x'", "[shop] url: stands outside of a target: write it below [shop.NAME]"),
    "table that is a value": ("shop = 5", "[shop]: 5 is not a table: write [shop]"),
    "target that is a value": ("shop.a = 5", "[shop] a: stands outside of a target"),
    "odd name": ("[shop.'a b']\nurl = 'x'", "[shop]: the name 'a b' may hold letters, digits"),
    "duplicate name": ("[shop.a]\nurl = 'x'\n[shop.a]\nurl = 'y'", "is not TOML: [shop.a] appears twice: write all its keys below the first (at line 5"),
    "duplicate key": ("[shop.a]\nurl = 'x'\nurl = 'y'", "is not TOML: a key appears twice (at end of document)"),
    "not TOML": ("[shop.a\nurl", "is not TOML: expected ']' at the end of a table declaration (at line 3, column 8)"),
    "bad duration": ("[shop.a]\nurl = 'x'\ntimeout = '5 lightyears'", "[shop.a] timeout: '5 lightyears' is not a duration"),
    "negative duration": ("[shop.a]\nurl = 'x'\ntimeout = -1", "[shop.a] timeout: -1 is not a duration: write seconds"),
    "no timeout at all": ("[shop.a]\nurl = 'x'\ntimeout = 0", "[shop.a] timeout: 0.0: write more than 0, at most 1 d"),
    "bad percentage": ("[shop.a]\nurl = 'x'\nused = '190%'", "[shop.a] used: '190%' is more than all: write \"90%\" or 0.9"),
    "bad size": ("[shop.a]\nurl = 'x'\nsize = '5 bananas'", "[shop.a] size: '5 bananas' is not a size: write bytes"),
    "too many retries": ("[shop.a]\nurl = 'x'\nretries = 99", "[shop.a] retries: 99: write a number from 0 to 10"),
    "no failure before an alert": (
        "[shop.a]\nurl = 'x'\nfailure_threshold = 0", "[shop.a] failure_threshold: 0: write a number from 1 to 1000"
    ),
    "too many passing runs": (
        "[shop.a]\nurl = 'x'\nsuccess_threshold = 1001", "[shop.a] success_threshold: 1001: write a number from 1 to 1000"
    ),
    "page that is no URL": ("[dashboard]\nurl = 'status.example.com'", "[dashboard] url: 'status.example.com': is not a URL: write https://"),
    "page with a password": (
        "[dashboard]\nurl = 'https://me:hunter22@status.example.com/'", "contains a user, a query or a fragment: alerts show this URL"
    ),
    "page with a token": ("[dashboard]\nurl = 'https://status.example.com/?token=hunter22'", "contains a user, a query or"),
    "page on two lines": ('[dashboard]\nurl = "https://status.example.com/\\u0085"', "is not a URL: write https://host/path/"),
    "long runbook": (f"[shop.a]\nurl = 'x'\nrunbook = '{'x' * 501}'", "write at most 500 characters"),
    "runbook of two lines": (
        '[shop.a]\nurl = "x"\nrunbook = "a\\nb"', "[shop.a] runbook: 'a\\nb': contains a line break or a control character"
    ),
    "runbook that is a list": ("[shop.a]\nurl = 'x'\nrunbook = ['a']", "[shop.a] runbook: ['a']: write a text, in quotes"),
    "missing variable": ("[shop.a]\nurl = '${SHOP_URL}'", "[shop.a] url: the environment has no variable SHOP_URL"),
    "misspelt variable": ("[shop.a]\nurl = '${XDG_STATE_HOMME}'", "did you mean ${XDG_STATE_HOME}?"),
    "missing secret file": ("[shop.a]\nurl = 'x'\npassword = 'file:/no/such'", "cannot read the secret file /no/such: No such"),
    "empty secret file": ("[shop.a]\nurl = 'x'\npassword = 'file:pytest-empty'", "the secret file FOLDER/pytest-empty is empty"),
    "unknown need": ("[shop.a]\nurl = 'x'\nneeds = ['shop.b']", '[shop.a] needs: no target "shop.b"; did you mean "shop.a"?'),
    "needs in a circle": (
        "[shop.a]\nurl = 'x'\nneeds = ['shop.b']\n[shop.b]\nurl = 'x'\nneeds = ['shop.a']",
        "is circular: shop.a → shop.b → shop.a",
    ),
    "needs that are no list": ("[shop.a]\nurl = 'x'\nneeds = 'shop.a'", "[shop.a] needs: 'shop.a': write a list, in brackets: [\"text\"]"),
    "half a maintenance": ("[maintenance.a]\nstart = 2026-01-01", "[maintenance.a]: needs either start and end, or cron and hours"),
    "bad cron": ("[maintenance.a]\ncron = 'never'\nhours = 1", '[maintenance.a]: cron = "never": '),
    "a built-in kind that this run has not": ("[website.home]\nurll = 'http://x/'", '[website.home]: unknown key "urll"'),
}  # fmt: skip


@pytest.mark.parametrize(("text", "reported"), WRONG.values(), ids=WRONG)
def test_wrong(suite, text, reported):
    """The error names file, table, key, value and what to write instead."""
    suite.write("test_mine.py", CHECKS)
    suite.write("pytest-empty", "")
    path = suite.configure(GOOD + text if text.startswith("[") else text)
    outcome = suite.run()
    assert outcome.status == 4, outcome.output
    assert f"configuration {path.name} is wrong:" in outcome.output
    assert reported.replace("FOLDER", str(suite.folder)) in outcome.output
    assert "Traceback" not in outcome.output
    assert "hunter22" not in outcome.output
    assert not (suite.folder / "contacted").exists()


def test_all_errors_at_once(suite):
    """All errors are reported in one run."""
    suite.write("test_mine.py", CHECKS)
    suite.configure("\n".join(f"[shop.n{number}]\nstatus = 'x{number}'" for number in range(3)) + "\n[nothing.a]\n")
    output = suite.run(".").output  # the whole folder: in a part of it the table may be of another file
    for number in range(3):
        assert f'[shop.n{number}]: "url" is missing' in output
        assert f"[shop.n{number}] status: 'x{number}': write a whole number" in output
    assert "[nothing]: unknown table" in output


def test_secret_values_are_not_repeated(suite):
    """A wrong value under a key that holds secrets is not shown."""
    suite.write("test_mine.py", CHECKS)
    suite.configure("[shop.a]\nurl = 'x'\npassword = ['hunter2-topsecret']\n")
    outcome = suite.run()
    assert outcome.status == 4
    assert "[shop.a] password: " in outcome.output
    assert "hunter2" not in outcome.output


def test_not_utf8(suite):
    """A file in another encoding is reported as such."""
    suite.write("test_mine.py", CHECKS)
    suite.configure(GOOD).write_bytes("[shop.a]\nurl = 'ü'".encode("latin-1"))
    assert "is not UTF-8 (line 2)" in suite.run().output


def test_unreadable(suite):
    """A directory, and a file that does not exist, are reported with the system's reason."""
    suite.write("test_mine.py", CHECKS)
    outcome = suite.run("test_mine.py", "--monitoring-config", str(suite.folder))
    assert (outcome.status, "cannot be read: is a directory, not a file" in outcome.output) == (4, True)
    outcome = suite.run("test_mine.py", "--monitoring-config", "mistyped.toml")
    assert (outcome.status, "mistyped.toml is wrong:\n  cannot be read: No such file" in outcome.output) == (4, True)


def test_search_order(suite):
    """--monitoring-config goes before $SERVERMONITORING_CONFIG, and that before ./servermonitoring.toml."""
    suite.write("test_mine.py", CHECKS)
    for name in ("option", "variable"):
        suite.write(f"{name}.toml", f"[shop.{name}]\nurl = 'x'\n")
    suite.configure("[shop.here]\nurl = 'x'\n")
    assert list(suite.run().checks) == ["shop[here]"]
    suite.environment["SERVERMONITORING_CONFIG"] = "variable.toml"
    assert list(suite.run().checks) == ["shop[variable]"]
    outcome = suite.run("test_mine.py", "--monitoring-config", "option.toml")
    assert list(outcome.checks) == ["shop[option]"]
    assert "configuration: option.toml" in outcome.output


def test_without_configuration(suite):
    """With no file at all a kind without defaults is skipped, and the reason names its table."""
    suite.write("test_mine.py", CHECKS)
    outcome = suite.run()
    assert outcome.status == 0
    assert "not configured: [shop.NAME]" in outcome.output
    assert not (suite.folder / "contacted").exists()


MARKERS = {
    "timeot=5": 'unknown key "timeot"; did you mean "timeout"?',
    "deadline=5": 'unknown key "deadline"; it is called "timeout" now',
    "after=2": 'unknown key "after"; it is called "failure_threshold" now',
    "needs=['shop.bad']": 'needs: no target "shop.bad"; did you mean "shop.good"?',
}


@reliability("Authors", fault="a setting of a marked test is misspelt", promise="it is one error; other checks run")
@pytest.mark.parametrize(("settings", "reported"), MARKERS.items(), ids=MARKERS)
def test_wrong_marker(suite, settings, reported):
    marked = f"    @pytest.mark.healthcheck({settings})\n    def test_x():\n        pass\n"
    suite.write("test_mine.py", f"{CHECKS}\n    import pytest\n{marked}")
    suite.configure(GOOD)
    outcome = suite.run()
    assert (outcome.status, outcome.checks["shop[good]"]["status"]) == (1, "ok")
    assert outcome.checks["x[]"]["status"] == "error"
    assert outcome.checks["x[]"]["message"] == f"@pytest.mark.healthcheck: {reported}"
    assert "Traceback" not in outcome.output


def test_schema(suite):
    """--monitoring-schema prints a JSON schema of every table, the user's own kinds included, and nothing else."""
    suite.write("test_mine.py", CHECKS)
    outcome = suite.run("test_mine.py", "--monitoring-schema")
    assert outcome.status == 0
    schema = json.loads(outcome.output)
    assert {"shop", "disk", "host", "run", "maintenance"} <= set(schema["properties"])
    shop = schema["$defs"]["Shop"]
    assert shop["additionalProperties"] is False
    assert shop["properties"]["retries"]["description"].startswith("Times that a failing target is probed again")
    assert shop["properties"]["timeout"]["anyOf"][1] == {"type": "string"}
    without = [
        f"{name}.{key}"
        for name, table in schema["$defs"].items()
        for key, described in table["properties"].items()
        if name not in {"Shop", "Limits"} and not described.get("description")
    ]
    assert without == []
