"""No secret leaves the process, whether it is known or only looks like one."""

import html
import json
import threading
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from servermonitoring.scrubbing import (
    FILTERED,
    ORDINARY,
    is_sensitive,
    remember,
    remember_passwords_in,
    scrub,
    scrub_and_cut,
)
from tests.reliability import reliability

HARD = "p@ss \"w:rd'/50%ü\\&<x>"  # every character that somebody escapes


@pytest.mark.parametrize(
    "written",
    [
        HARD,
        quote(HARD),
        quote(HARD, safe=""),
        quote_plus(HARD),
        json.dumps(HARD),
        json.dumps(HARD, ensure_ascii=False),
        repr(HARD),
        html.escape(HARD),
        repr({"key": [HARD]}),
        f"https://u:{quote(HARD, safe='')}@host/",
    ],
)
def test_a_known_secret_is_found_however_it_is_written(written):
    """In a URL, in JSON, in a page, in the repr of a dictionary."""
    remember(HARD)
    scrubbed = scrub(f"before {written} after")
    assert "50%" not in scrubbed
    assert "rd" not in scrubbed
    assert FILTERED in scrubbed
    assert scrubbed.startswith("before ")
    assert scrubbed.endswith(" after")


def test_a_known_secret_of_several_lines_is_found_in_a_repr():
    """Its form differs from those of JSON and PostgreSQL."""
    remember('it\'s\n"mine"\x85')
    assert scrub(repr(['it\'s\n"mine"\x85'])) == f"['{FILTERED}']"


@pytest.mark.parametrize(
    "message",
    [
        'invalid dsn: missing "=" after "w@rd/with-more" in connection info string',  # psycopg2, at the space
        "Failed to resolve 'rd' of http://rd/with-more@db.example.com/",  # requests, at the @
        'could not translate host name "rd/with-more@127.0.0.1" to address',
    ],
)
def test_pieces_of_a_password_that_nobody_quoted_are_found(message):
    remember("pa55 w@rd/with-more")
    assert "with-more" not in scrub(message)


def test_parts_of_a_secret_url_are_no_secrets():
    remember("https://hooks.example.net/services/T0123/B4567")
    assert scrub("cannot reach hooks.example.net/status") == "cannot reach hooks.example.net/status"


@given(secret=st.text(min_size=8), before=st.text(), after=st.text())
def test_any_known_secret_is_gone(secret, before, after):
    assume(len(secret.strip()) >= 8)
    assume(secret.strip().lower() not in ORDINARY)
    assume(secret not in FILTERED)
    remember(secret)
    assume(secret not in before + FILTERED + after)
    assert secret not in scrub(before + secret + after).replace(FILTERED, "\0")


@given(secrets=st.lists(st.text("ab", min_size=8, max_size=12), min_size=1, max_size=20), text=st.text("abc"))
def test_of_secrets_that_overlap_the_longest_is_taken(secrets, text):
    """No piece of one is left because another was found inside it."""
    for secret in secrets:
        remember(secret)
    scrubbed = scrub(f"{secrets[0]} {text}")
    assert scrubbed.startswith(f"{FILTERED} ")
    assert not any(secret in scrubbed for secret in secrets)


@pytest.mark.parametrize("secret", ["", "abc", "    ", " a \n"])
def test_too_short_a_secret_does_not_blank_out_ordinary_words(secret):
    remember(secret)
    text = "    abc is as easy\n as a b c"
    assert scrub(text) == text


@reliability(
    "Secrets",
    fault="a password is short, or an ordinary word",
    promise="messages keep their words, and no gap in them reveals the password",
)
@pytest.mark.parametrize(
    ("secret", "text"),
    [
        ("pass", 'password authentication failed for user "monitor"; 2 of 3 checks pass'),
        ("word", "password authentication failed"),
        ("fives", "took fivescore seconds"),
        ("password", 'password authentication failed for user "monitor"'),
        ("monitor", 'password authentication failed for user "monitor"'),
        ("3306", "43306 rows, 33061 of them old"),
    ],
)
def test_a_short_secret_leaves_no_gap_in_words(secret, text):
    remember(secret, "password")
    assert scrub(text) == text


@pytest.mark.parametrize(
    "written",
    ["kite", "(kite)", "'kite'", "user:kite@host", r"a\nkite", "a%20kite", "/kite/", "kite.", "kite-1", "x=kite&y"],
)
def test_a_short_secret_is_gone_as_a_word(written):
    remember("kite")
    assert "kite" not in scrub(written)


@reliability(
    "Secrets",
    fault="a PIN of three digits stands in a log, a page or a message",
    promise="it is scrubbed after its name",
)
@pytest.mark.parametrize("secret", ["007", "monitor"])
@pytest.mark.parametrize(
    "written",
    [
        "pin={}", "?a=b&pin={}&c=d", "pin: {}", '{{"pin": "{}"}}', '{{"pin":"{}"}}', "{{'pin': '{}'}}", "pin='{}'",
        r"{{\"pin\": \"{}\"}}", '<input name="pin" value="{}">', "{{&quot;pin&quot;: &quot;{}&quot;}}", "pin%3D{}",
    ],
)  # fmt: skip
def test_the_shortest_secrets_do_not_show_under_their_key(secret, written):
    remember(secret, "pin")
    assert secret not in scrub(written.format(secret))
    assert scrub(f"{secret} of 900") == f"{secret} of 900"


@pytest.mark.parametrize(
    ("text", "secrets"),
    [
        ("postgresql://monitor:p%40ss@db:5432/app", ["p%40ss", "p@ss"]),
        ("postgresql://monitor:some@seven words/long@db:5432/app", ["some@seven words/long", "seven words/long@db"]),
        ("https://0123456789abcdef0123456789abcdef@errors.example/1", ["0123456789abcdef0123456789abcdef"]),
        ("amqp://:justpass@mq/", ["justpass"]),
        ("host=db password='two words' user=x", ["two words"]),
        (r"host=db password='it\'s \\ mine'", ["it's \\ mine", r"it\'s \\ mine"]),
        ("host=db password=plainly user=x", ["plainly"]),
        ("Bearer abcdef123", ["abcdef123"]),
        ("Token tik-tok-tak", ["tik-tok-tak"]),
        ('{"user": "me", "password": "in a body"}', ["in a body"]),
        ("user=me&passwd=in-a-form", ["in-a-form"]),
    ],
)
def test_the_secret_inside_a_configured_text_is_known_by_itself(text, secrets):
    """A client that complains names the password alone, or a piece of it."""
    remember_passwords_in(text)
    for secret in secrets:
        scrubbed = scrub(f'invalid value "{secret}" here')
        assert secret not in scrubbed
        assert not any(piece in scrubbed for piece in secret.split() if len(piece) >= 4)


@pytest.mark.parametrize(
    "text",
    [
        "https://app.example.com:8080/@mention",
        "https://app.example.com/search?mail=me@example.com",
        "https://user:secret99@app.example.com/path?mail=me@example.com",
        "postgresql://monitor@db.example.com:5432/app",
    ],
)
def test_host_path_and_port_of_a_url_are_no_secrets(text):
    """Who reads the message must still learn where it failed."""
    remember_passwords_in(text)
    message = "cannot connect to app.example.com:8080, path /path, mail me@example.com, db.example.com:5432"
    assert scrub(message) == message


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("https://user:pa55@host/x", f"https://user:{FILTERED}@host/x"),
        ("amqp://me@corp:pa55@host", f"amqp://me@corp:{FILTERED}@host"),
        ("redis://:pa55@host/0", f"redis://:{FILTERED}@host/0"),
        ("?api_key=abc123&page=2", f"?api_key={FILTERED}&page=2"),
        ("password=abc123 host=x", f"password={FILTERED} host=x"),
        ("password='two words' host=x", f"password='{FILTERED}' host=x"),
        ("db_password: abc123, next", f"db_password: {FILTERED}, next"),
        ("PASSWORD = abc123", f"PASSWORD = {FILTERED}"),
        ('{"password": "two words", "a": 1}', f'{{"password": "{FILTERED}", "a": 1}}'),
        ("{'api-key': 'abc123'}", f"{{'api-key': '{FILTERED}'}}"),
        (r'"{\"token\": \"abc123\"}"', rf'"{{\"token\": \"{FILTERED}"}}"'),
        ("Authorization: Bearer abc.def.ghi", f"Authorization: Bearer {FILTERED}"),
        ("Authorization: Basic dXNlcjpwYXNz", f"Authorization: Basic {FILTERED}"),
        ("sent bearer abcdef123 to", f"sent bearer {FILTERED} to"),
        ("Set-Cookie: session=abc; Path=/\nnext", f"Set-Cookie: {FILTERED}\nnext"),
        ("{'Cookie': 'a=b; c=d'}", f"{{'Cookie': '{FILTERED}'}}"),
        ("alter role a PASSWORD 'two words' login", f"alter role a PASSWORD '{FILTERED}' login"),
        ("password: abc-123", f"password: {FILTERED}"),
        ("password: what@ever", f"password: {FILTERED}"),
        ("token: 123456", f"token: {FILTERED}"),
        ("password=b'abc'", f"password=b'{FILTERED}'"),
        ("assert token == 'abc'", f"assert token == '{FILTERED}'"),
        ("token=" + "k3" * 1500 + " end", f"token={FILTERED} end"),
        ("client_secret=abc&refresh_token=def", f"client_secret={FILTERED}&refresh_token={FILTERED}"),
        ("Pwd=abc; passwd=def", f"Pwd={FILTERED}; passwd={FILTERED}"),
        ("passphrase=abc", f"passphrase={FILTERED}"),
        ("aws_credentials=abc", f"aws_credentials={FILTERED}"),
        ("PHPSESSIONID=abc", f"PHPSESSIONID={FILTERED}"),
        ("sent basic abcdef123 to", f"sent basic {FILTERED} to"),
    ],
)
def test_credentials_are_recognised_by_their_form(text, clean):
    assert scrub(text) == clean
    assert scrub(clean) == clean, "a second pass changes nothing"


@reliability(
    "Secrets",
    fault="a message speaks of secrets, passwords or tokens without holding one",
    promise="it stays as it is",
)
@pytest.mark.parametrize(
    "text",
    [
        'database[main]: password authentication failed for user "monitor" at 127.0.0.1:5432',
        "no response within 10 s from https://app.example.com:8443/login?next=/members",
        "http://[::1]:8080/ answered 500",
        "The token expired. The secret is out. Basic rules apply.",
        "/srv/app/secrets: No such file",
        "backup of passwords: 3 days old, at most 1",
        "login token: 45 s",
        "login token: 0.25 s, at most 200ms",
        "password: required",
        "access token: expired",
        "basic authentication failed",
        "cookie: missing",
        "/run/secrets: PermissionError",
        "{'password': None, 'tokens': 45}",
        "ssh://git@host:22/repo",
        "see mail to admin@example.com: 3 of 14 checks are failing",
        "Grüße, 日本語, 🦊",
        "",
    ],
)
def test_messages_without_secrets_stay_as_they_are(text):
    """What a person on call has to read is not blanked out."""
    assert scrub(text) == text


@given(st.text())
def test_scrubbing_twice_is_scrubbing_once(text):
    once = scrub(text)
    assert scrub(once) == once


@reliability(
    "Secrets",
    fault="a long text is cut in the middle of a secret",
    promise="no half of the secret is shown: texts are scrubbed first and cut afterwards",
)
@given(
    lead=st.integers(0, 9_000),
    rest=st.integers(0, 9_000),
    limit=st.integers(1, 3_000),
    keep_end=st.booleans(),
    written=st.sampled_from(["0123456789abcdefghijklmnopqrstuv", "password=qrstuvwxyz01234567"]),
)
def test_no_half_of_a_secret_is_left_by_a_cut(lead, rest, limit, keep_end, written):
    remember("0123456789abcdefghijklmnopqrstuv")
    cut = scrub_and_cut("." * lead + " " + written + " " + "." * rest, limit, keep_end=keep_end)
    assert len(cut) <= limit
    assert not any(piece in cut for piece in ("0123", "cdefg", "qrst", "4567"))


@pytest.mark.parametrize("keep_end", [False, True])
def test_no_half_of_a_secret_is_left_where_secrets_are_all_there_is(keep_end):
    """Without them so little is left that the place of the cut would be shown."""
    remember(secret := "0123456789abcdefghijklmnopqrstuv")
    for shift in range(len(secret) + 1):
        text = ("." * shift + f" {secret}" * 5_000)[shift // 2 :] + "." * shift
        cut = scrub_and_cut(text, 50_000, keep_end=keep_end)
        assert not any(piece in cut for piece in ("0123", "cdefg", "qrst", "rstuv"))


@given(text=st.text(max_size=50), limit=st.integers(150, 200))
def test_a_short_text_is_not_cut(text, limit):
    assert scrub_and_cut(text, limit) == scrub(text)


@pytest.mark.parametrize(("keep_end", "shown"), [(False, "x" * 99 + "…"), (True, "…" + "y" * 99)])
def test_the_beginning_or_the_end_is_kept(keep_end, shown):
    assert scrub_and_cut("x" * 100_000 + "y" * 100_000, 100, keep_end=keep_end) == shown


def test_many_secrets_of_many_threads_are_all_found():
    """Probes run in threads, and each may learn a secret while another is scrubbed."""

    def learn(first):
        for number in range(first, 400, 4):
            remember(f"secret-{number:04}")
            assert f"secret-{number:04}" not in scrub(f"it is secret-{number:04}!")

    failed = []
    threads = [threading.Thread(target=learn, args=(first,)) for first in range(4)]
    threading.excepthook, old = lambda args: failed.append(args.exc_value), threading.excepthook
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    threading.excepthook = old
    assert failed == []
    assert scrub(" ".join(f"secret-{number:04}" for number in range(400))) == " ".join([FILTERED] * 400)


@pytest.mark.parametrize(
    "key",
    [
        *("password", "db_password", "PASSWD", "pwd", "passphrase", "api_key", "apikey", "X-Api-Key", "private_key"),
        *("token", "client_secret", "credentials", "Authorization", "Cookie", "dsn"),
    ],
)
def test_keys_that_hold_secrets(key):
    assert is_sensitive(key)


@pytest.mark.parametrize("key", ["url", "contains", "host", "user", "key", "pass_through", "dsnext", "keyboard"])
def test_keys_that_do_not(key):
    assert not is_sensitive(key)
