"""Which DSN is in force, and what is wrong with a wrong one."""

import subprocess
import sys

import pytest

from servermonitoring.delivery.dsn import Dsn, in_force
from servermonitoring.scrubbing import scrub

KEY = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("text", "url"),
    [
        (f"https://{KEY}@sentry.example.com/1", "https://sentry.example.com/api/1/envelope/"),
        (f"https://{KEY}@sentry.example.com:9000/42", "https://sentry.example.com:9000/api/42/envelope/"),
        (f"http://{KEY}:secret@sentry.example.com/at/a/path/7", "http://sentry.example.com/at/a/path/api/7/envelope/"),
        (f" https://{KEY}@[::1]:80/1\n", "https://[::1]:80/api/1/envelope/"),
    ],
)
def test_where_events_go(text, url):
    from sentry_sdk.utils import Dsn as Theirs

    assert Dsn.parse(text).envelopes == url
    assert Theirs(text.strip()).to_auth().get_api_url() == url.replace("[::1]", "::1")  # they forget the brackets


def test_the_key_goes_into_the_header():
    assert (
        Dsn.parse(f"https://{KEY}@h/1").auth("me/1") == f"Sentry sentry_key={KEY}, sentry_version=7, sentry_client=me/1"
    )
    assert Dsn.parse(f"https://{KEY}:s3cret@h/1").auth("me/1").endswith(", sentry_secret=s3cret")


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        (f"{KEY}@sentry.example.com/1", "does not begin with https://"),
        (f"ftp://{KEY}@sentry.example.com/1", "does not begin with https://"),
        (f"{KEY}:secret@sentry.example.com/1", "does not begin with https://"),
        (f"https://{KEY}@/1", "has no host"),
        ("https://sentry.example.com/1", "has no key before its host"),
        (f"https://{KEY}@sentry.example.com/", "does not end with the number of a project"),
        (f"https://{KEY}@sentry.example.com/{KEY}x", "does not end with the number of a project"),
        (f"https://{KEY}@sentry.example.com:{KEY}/1", "is not a URL"),
        (f"https://{KEY}@[::1/1", "is not a URL"),
        ("Sentry", "does not begin with https://"),
    ],
)
def test_what_is_wrong_is_named_without_the_key(text, wrong):
    with pytest.raises(
        ValueError, match=r"^the DSN .*: write https://KEY@HOST/PROJECT, as Sentry shows under Client Keys$"
    ) as raised:
        Dsn.parse(text)
    assert wrong in str(raised.value)
    assert KEY not in str(raised.value)


def test_no_repr_and_no_text_shows_the_key():
    assert KEY not in repr(Dsn.parse(f"https://{KEY}@h/1"))
    assert KEY not in scrub(f"it was {KEY}")
    Dsn.parse("https://public@h/1")  # an ordinary word as a key must not blank out the word everywhere
    assert scrub("a public page") == "a public page"


def test_the_one_in_force(monkeypatch):
    for name in ("HEALTHCHECKS_SENTRY_DSN", "SENTRY_DSN"):
        monkeypatch.delenv(name, raising=False)
    assert in_force("HEALTHCHECKS_SENTRY_DSN") == ""
    assert in_force("HEALTHCHECKS_SENTRY_DSN", "configured") == "configured"
    monkeypatch.setenv("SENTRY_DSN", "general")
    assert in_force("HEALTHCHECKS_SENTRY_DSN", "configured") == "general"
    monkeypatch.setenv("HEALTHCHECKS_SENTRY_DSN", " special ")
    assert in_force("HEALTHCHECKS_SENTRY_DSN", "configured") == "special"
    monkeypatch.setenv("HEALTHCHECKS_SENTRY_DSN", "")
    assert in_force("HEALTHCHECKS_SENTRY_DSN", "configured") == ""


def test_sentrys_sdk_is_not_loaded_until_there_is_an_alert(tmp_path):
    code = (
        "import sys, pathlib; from servermonitoring.delivery.sentry import Sentry; "
        f"sentry = Sentry('https://{KEY}@h/1', pathlib.Path({str(tmp_path / 'spool')!r})); "
        "sentry.start(); print(sentry.finish(5)); print('sentry_sdk' in sys.modules, 'urllib3' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "nothing to send\nFalse False\n"
    assert not (tmp_path / "spool").exists()
