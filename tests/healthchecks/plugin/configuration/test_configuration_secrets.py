"""Errors of the configuration are reported without the secrets that are in it."""

import pytest

from servermonitoring.configuration import ConfigurationError
from tests.reliability import reliability
from watchdog import settings

SECRET = "kaleidoscope-1967"
TOKEN = "sntrys0eyJpYXQiOjE3MDA0MDYwMzQ2"
CHECKS = """
    from healthchecks import Duration, Secret, Percentage, Target, probe
    from healthchecks.clients.http.options import SecretByName

    class Shop(Target):
        url: str = ""
        port: int = 1
        size: Percentage = 0.5
        wait: Duration = 1
        password: Secret | None = None
        hook: Secret | None = None
        fields: SecretByName = {}

    @probe
    def answer(shop: Shop) -> bool:
        return True

    def test_shop(shop, answer):
        assert answer
"""
# What stands in the file, and what the error has to say nevertheless.
MISPLACED = {
    "a list for a text": (f"[shop.a]\npassword = ['{SECRET}']", "[shop.a] password: a secret is a text"),
    "a list for a text, under a harmless name": (f"[shop.a]\nhook = ['{SECRET}']", "[shop.a] hook: a secret is a text"),
    "a table for a text": (f"[shop.a]\nhook = {{ x = '{SECRET}' }}", "[shop.a.hook]: a secret is a text"),
    "a text for a table": (f"[shop.a]\nfields = '{SECRET}'", "[shop.a] fields: is not a table: write [shop.a.fields]"),
    "a list among values": (f"[shop.a]\nfields = {{ pin = ['{SECRET}'] }}", "[shop.a.fields] pin: a secret is a text"),
    "a DSN for a port": (f"[shop.a]\nport = 'postgresql://me:{SECRET}@db/x'", "[shop.a] port: write a whole number"),
    "a DSN for a percentage": (
        f"[shop.a]\nsize = 'host=db password={SECRET}'", "[shop.a] size: the value is not a percentage"
    ),
    "a token for a duration": (f"[shop.a]\nwait = '{TOKEN}'", "[shop.a] wait: the value is not a duration"),
    "a token for a number": (f"[shop.a]\nport = '{TOKEN}'", "[shop.a] port: write a whole number"),
    "a URL with login": (f"[sentry]\nurl = 'https://me:{SECRET}@x.example.com/x'", "[sentry] url: string should match"),
    "a secret outside of its table": (f"token = '{SECRET}'", "[token]: stands outside of every table"),
    "a password outside of a target": (f"[shop]\npassword = '{SECRET}'", "[shop] password: stands outside of a target"),
    "a webhook as a list": (f"[alerts]\nwebhook = ['https://x.example.com/{SECRET}']", "[alerts] webhook: a secret is"),
    "an unknown key": (f"[shop.a]\npasswort = '{SECRET}'", '[shop.a]: unknown key "passwort"; did you mean'),
    "a table that is a token": (f"shop = '{TOKEN}'", "[shop]: it is not a table: write [shop]"),
}  # fmt: skip


@reliability(
    "Secrets",
    fault="a secret stands in the wrong place of the configuration",
    promise="the error names the place and what to write, and not the secret",
)
@pytest.mark.parametrize(("text", "reported"), MISPLACED.values(), ids=MISPLACED)
def test_secret_in_the_wrong_place(suite, text, reported):
    suite.write("test_mine.py", CHECKS)
    suite.configure(f"{text}\n")
    outcome = suite.run()
    assert outcome.status == 4, outcome.output
    assert reported in outcome.output
    assert not any(secret in outcome.output for secret in (SECRET, TOKEN))


@pytest.mark.parametrize(
    ("text", "reported"),
    [
        ("[shop.a]\nport = 'many'", "[shop.a] port: 'many': write a whole number"),
        ("[shop.a]\nsize = '150%'", "[shop.a] size: '150%' is more than all"),
        ("[sentry]\nurl = 'sentry.example.com'", "[sentry] url: 'sentry.example.com': string should match"),
        ("shop = 5", "[shop]: 5 is not a table: write [shop]"),
    ],
)
def test_other_values_are_repeated(suite, text, reported):
    """Who made the mistake finds it by its value."""
    suite.write("test_mine.py", CHECKS)
    suite.configure(f"{text}\n")
    assert reported in suite.run().output


@pytest.mark.parametrize(
    ("text", "reported"),
    [
        (f"[watchdog.firefox]\ntoken = '{SECRET}'", "[watchdog.firefox] token: unknown key"),
        (f"[watchdog.firefox]\nmax_memory = '{TOKEN}'", "[watchdog.firefox] max_memory: the value is not a size"),
        (f"[watchdog.firefox]\nuser = 'postgresql://me:{SECRET}@db/x'", "this machine has no user"),
        (f"[watchdog]\npassword = '{SECRET}'", "[watchdog] password: unknown key"),
        (f"watchdog = '{TOKEN}'", "[watchdog]: it is not a table"),
        (f"[state]\ndirectory = ['{TOKEN}']", "[state] directory: it is not a path"),
    ],
)
def test_the_watchdog_says_none_either(tmp_path, text, reported):
    path = tmp_path / "servermonitoring.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as raised:
        settings.load(str(path))
    assert reported in str(raised.value)
    assert not any(secret in str(raised.value) for secret in (SECRET, TOKEN))


def test_a_dsn_that_is_no_text_is_not_shown(tmp_path):
    """The watchdog goes on without it, and says why no alerts are sent."""
    path = tmp_path / "servermonitoring.toml"
    path.write_text(f"[sentry]\ndsn = ['https://{TOKEN}@sentry.example.com/1']\n")
    assert settings.load(str(path)).alerts.problem == "[sentry] dsn is not a string"
