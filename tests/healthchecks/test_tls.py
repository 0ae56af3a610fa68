"""[tls.NAME], against real mail servers, PostgreSQL and servers of all kinds of certificates; and against bad peers."""

import contextlib
import re
import shutil
import ssl

import pytest

from healthchecks.clients.certificate import Certificate, describe_verification_error
from healthchecks.test_tls import Tls
from tests.healthchecks.metrics import assert_agrees, metrics_of
from tests.reliability import reliability
from tests.servers import certificates
from tests.servers.certificates import SOON
from tests.servers.dovecot import Dovecot
from tests.servers.peers import at_once, floods, in_turn, leave, over_tls, peer, reset, says, stay
from tests.servers.postgresql import USER
from tests.servers.server import HOST, free_port, give_to, until
from tests.servers.smtp import SmtpServer
from tests.suite import IN_TIME, table

SMTP = b"220 mail.example.com ESMTP\r\n"
OFFER = b"250-mail.example.com\r\n250-SIZE 1000\r\n250 STARTTLS\r\n"
GO = b"220 go ahead\r\n"
CAPABILITY = b"* CAPABILITY IMAP4rev1 STARTTLS\r\na1 OK done\r\n"
TLS_1_1, TLS_1_2 = ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    return certificates.make(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def results(run_suite, known):
    """Run the check of each case in one run: name -> (what the peer does, or a port; keys), gives message or "ok"."""

    def run(cases):
        with contextlib.ExitStack() as stack:
            ports = {
                name: each if isinstance(each, int) else stack.enter_context(peer(each))
                for name, (each, _) in cases.items()
            }
            trust = {"host": HOST, "ca": known.authority, "timeout": 30}
            tables = [
                table("tls", name, port=ports[name], **{k: v for k, v in (trust | keys).items() if v is not None})
                for name, (_, keys) in cases.items()
            ]
            outcome = run_suite("\n".join(tables))
        assert outcome.status in (0, 1), outcome.output
        return outcome, {name: _result(outcome.checks[f"tls_certificate[{name}]"], ports[name]) for name in cases}

    return run


def _result(check, port):
    assert check["status"] in ("ok", "failed"), check
    text = check["message"].replace(f"{HOST}:{port}", "PEER") if check["status"] == "failed" else "ok"
    return re.sub(r"\d{4}-\d\d-\d\d( \d\d:\d\d)?", "DATE", text)


def test_certificates(results, known):
    """What is wrong with a certificate is in the message; so are the names that it has, and its dates."""

    def shows(name, **keys):
        return over_tls(getattr(known, name), leave), keys

    cases = {
        "good": shows("good"),
        "intermediate": shows("intermediate"),
        "named": shows("other_host", server_name="other.example."),
        "days": shows("expiring", min_certificate_days=5),
        "expiring": shows("expiring"),
        "expired": shows("expired"),
        "future": shows("future"),
        "self_signed": shows("self_signed", server_name="localhost"),
        "other_host": shows("other_host"),
        "other_name": shows("good", server_name="mail.example.com"),
        "unknown": shows("good", ca=None),
        "incomplete": shows("incomplete"),
        "of_an_unknown": shows("intermediate", ca=None),
    }
    outcome, found = results(cases)
    issuers = re.compile(r'"trustme[^"]*"')
    assert {name: issuers.sub("ISSUER", text) for name, text in found.items()} == {
        "good": "ok",
        "intermediate": "ok",
        "named": "ok",
        "days": "ok",
        "expiring": f"certificate expires in {SOON.days}.5 days (on DATE), minimum 14 days at PEER",
        "expired": "certificate has expired (on DATE) at PEER",
        "future": "certificate is not valid yet (from DATE UTC) at PEER",
        "self_signed": "certificate is self-signed at PEER",
        "other_host": f"certificate is for other.example, not for {HOST} at PEER",
        "other_name": f"certificate is for {HOST}, localhost, not for mail.example.com at PEER",
        "unknown": INCOMPLETE,
        "incomplete": INCOMPLETE,
        "of_an_unknown": "certificate authority is not trusted: ISSUER at PEER",
    }
    assert outcome.status == 1
    assert metrics_of(outcome, "tls_certificate[expired]")["certificate days left"]["value"] < -0.9
    metrics = metrics_of(outcome, "tls_certificate[good]")
    assert [*metrics] == ["certificate days left", "handshake"]
    assert metrics["certificate days left"]["lower_limit"] == 14
    assert 0 < metrics["handshake"]["value"] <= outcome.checks["tls_certificate[good]"]["duration"]
    for name in ("good", "days", "expiring"):
        assert_agrees(outcome, f"tls_certificate[{name}]", "certificate days left")


INCOMPLETE = (
    "certificate authority is not trusted: the issuer ISSUER is unknown, and the server does not send its certificate "
    "(an incomplete chain, or ca is missing) at PEER"
)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")
def test_versions(results, known):
    """A server that speaks old versions only is named with the newest of them, also where TLS itself refuses them."""
    old, middle = over_tls(known.good, leave, TLS_1_1), over_tls(known.good, leave, TLS_1_2)
    _, found = results(
        {
            "old": (old, {}),
            "middle": (middle, {}),
            "strict": (middle, {"min_version": "1.3"}),
            "strict_and_old": (old, {"min_version": "1.3"}),
            "new": (over_tls(known.good, leave), {"min_version": "1.3"}),
        }
    )
    assert found == {
        "old": "TLS 1.1 is the newest version that PEER speaks, minimum TLS 1.2",
        "middle": "ok",
        "strict": "TLS 1.2 is the newest version that PEER speaks, minimum TLS 1.3",
        "strict_and_old": "TLS 1.1 is the newest version that PEER speaks, minimum TLS 1.3",
        "new": "ok",
    }


NO_TLS = {
    "closes": (at_once(), {}, "connection closed during the TLS handshake at PEER"),
    "resets": (says(end=reset), {}, "connection closed during the TLS handshake at PEER"),
    "http": (
        says(b"HTTP/1.1 400 Bad Request\r\n\r\n"), {},
        "no TLS at PEER, but 'HTTP/1.1 400 Bad Request'",
    ),
    "ssh": (at_once(b"SSH-2.0-OpenSSH_9.2\r\n", end=stay), {}, "no TLS at PEER, but 'SSH-2.0-OpenSSH_9.2'"),
    "smtp": (at_once(b"220 mail\r\n", end=stay), {}, "no TLS at PEER, but '220 mail': write starttls = \"smtp\""),
    "imap": (at_once(b"* OK ready\r\n", end=stay), {}, "no TLS at PEER, but '* OK ready': write starttls = \"imap\""),
    "flood": (floods(b"\x16\x03\x03\x00\x01\x00" * 1000), {}, "more than 1 MB in the TLS handshake at PEER"),
    "greets_otherwise": (in_turn(b"554 no\r\n"), {"starttls": "smtp"}, "SMTP greeting '554 no' at PEER"),
    "is_ssh": (at_once(b"SSH-2.0-x\r\n"), {"starttls": "smtp"}, "not an SMTP server: 'SSH-2.0-x' at PEER"),
    "refuses_ehlo": (in_turn(SMTP, b"502 no\r\n"), {"starttls": "smtp"}, "EHLO refused: '502 no' at PEER"),
    "offers_none": (in_turn(SMTP, b"250 SIZE\r\n"), {"starttls": "smtp"}, "no STARTTLS offered at PEER"),
    "refuses": (
        in_turn(SMTP, OFFER, b"454 TLS not available\r\n"), {"starttls": "smtp"},
        "STARTTLS refused: '454 TLS not available' at PEER",
    ),
    "injected": (
        in_turn(SMTP, OFFER, GO + b"250 injected\r\n"), {"starttls": "smtp"},
        "clear text '250 injected' in place of TLS at PEER",
    ),
    "goes_on_in_clear": (
        in_turn(SMTP, OFFER, GO, b"500 what?\r\n"), {"starttls": "smtp"}, "no TLS at PEER, but '500 what?'",
    ),
    "ends_after_greeting": (in_turn(SMTP), {"starttls": "smtp"}, "connection closed before TLS at PEER"),
    "ends_at_once": (at_once(), {"starttls": "smtp"}, "connection closed without a greeting at PEER"),
    "floods_greeting": (
        floods(b"220-" + b"x" * 1000 + b"\r\n"), {"starttls": "smtp"}, "more than 64 KiB before TLS at PEER",
    ),
    "floods_line": (floods(b"2" * 1000), {"starttls": "smtp"}, "more than 64 KiB before TLS at PEER"),
    "imap_bye": (at_once(b"* BYE full\r\n"), {"starttls": "imap"}, "IMAP greeting '* BYE full' at PEER"),
    "imap_smtp": (at_once(SMTP), {"starttls": "imap"}, "not an IMAP server: '220 mail.example.com ESMTP' at PEER"),
    "imap_refuses": (
        in_turn(b"* OK ready\r\n", CAPABILITY, b"a2 NO later\r\n"), {"starttls": "imap"},
        "STARTTLS refused: 'a2 NO later' at PEER",
    ),
    "imap_ends": (
        in_turn(b"* OK ready\r\n", b"* BYE shut down\r\n"), {"starttls": "imap"},
        "the server ended the session: '* BYE shut down' at PEER",
    ),
    "imap_floods": (floods(b"* OK\r\n" * 100), {"starttls": "imap"}, "more than 64 KiB before TLS at PEER"),
    "pop3_refuses": (in_turn(b"+OK\r\n", b"-ERR no\r\n"), {"starttls": "pop3"}, "STARTTLS refused: '-ERR no' at PEER"),
    "pop3_http": (at_once(b"HTTP\r\n"), {"starttls": "pop3"}, "not a POP3 server: 'HTTP' at PEER"),
    "postgresql_http": (
        says(b"HTTP/1.1 400 Bad Request\r\n"), {"starttls": "postgresql"}, "not a PostgreSQL server: 'HTTP/1.1*",
    ),
    "postgresql_ends": (says(), {"starttls": "postgresql"}, "connection closed before TLS at PEER"),
}  # fmt: skip


@reliability(
    "Messages",
    fault="a port speaks no TLS, another protocol, or ends, floods or refuses STARTTLS at any step",
    promise="fails with what came instead, after at most 64 KiB of clear text",
)
def test_no_tls(results):
    _, found = results({name: (act, keys) for name, (act, keys, _) in NO_TLS.items()})
    for name, (_, _, expected) in NO_TLS.items():
        begin, star, end = expected.partition("*")
        assert (found[name].startswith(begin) and found[name].endswith(end)) if star else found[name] == expected, (
            name, found[name],
        )  # fmt: skip


HANGS = {
    "tls": ((), None, "connected to PEER, TLS handshake incomplete within 8 s"),
    "greeting": ((), "smtp", "connected to PEER, no greeting within 8 s"),
    "half_a_greeting": ((b"220-mail\r\n220",), "smtp", "connected to PEER, no greeting within 8 s"),
    "ehlo": ((SMTP,), "smtp", "connected to PEER, no response to STARTTLS within 8 s"),
    "starttls": ((SMTP, OFFER), "smtp", "connected to PEER, no response to STARTTLS within 8 s"),
    "smtp": ((SMTP, OFFER, GO), "smtp", "connected to PEER, TLS handshake incomplete within 8 s"),
    "imap": ((b"* OK ready\r\n",), "imap", "connected to PEER, no response to STARTTLS within 8 s"),
    "imap_tls": (
        (b"* OK ready\r\n", CAPABILITY, b"a2 OK\r\n"), "imap",
        "connected to PEER, TLS handshake incomplete within 8 s",
    ),
    "pop3": ((b"+OK ready\r\n",), "pop3", "connected to PEER, no response to STARTTLS within 8 s"),
    "postgresql": ((), "postgresql", "connected to PEER, no response to STARTTLS within 8 s"),
}  # fmt: skip


@reliability(
    "Checks",
    fault="a mail server or a database hangs at any step before TLS, or sends single bytes",
    promise="fails within the timeout and names the step",
)
def test_hangs(results, bad):
    cases = {
        name: (in_turn(*parts, end=stay) if parts else stay, {"starttls": protocol, "timeout": 8})
        for name, (parts, protocol, _) in HANGS.items()
    }
    drips = {"starttls": "smtp", "timeout": 8}
    outcome, found = results(cases | {"drips": (bad.port("drip_body"), drips)})
    expected = {name: message for name, (_, _, message) in HANGS.items()}
    assert found == expected | {"drips": "connected to PEER, no greeting within 8 s"}
    assert outcome.duration < IN_TIME


def test_mail_servers(results, known):
    """SMTP by aiosmtpd, IMAP and POP3 by Dovecot; their logs have no broken connection of ours."""
    port = free_port()
    with (
        SmtpServer(known.good) as smtp, SmtpServer() as plain, Dovecot(known.good) as dovecot,
        Dovecot(known.expired) as expired, Dovecot(known.good, tls=False) as clear,
    ):  # fmt: skip
        _, found = results(
            {
                "smtp": (smtp.port, {"starttls": "smtp"}),
                "smtp_name": (smtp.port, {"starttls": "smtp", "server_name": "mail.example.com"}),
                "smtp_plain": (plain.port, {"starttls": "smtp"}),
                "smtp_without_key": (smtp.port, {}),
                "imap": (dovecot.imap, {"starttls": "imap", "min_version": "1.3"}),
                "imap_expired": (expired.imap, {"starttls": "imap"}),
                "imap_plain": (clear.imap, {"starttls": "imap"}),
                "pop3": (dovecot.pop3, {"starttls": "pop3"}),
                "pop3_expired": (expired.pop3, {"starttls": "pop3"}),
                "pop3_plain": (clear.pop3, {"starttls": "pop3"}),
                "imap_at_pop3": (dovecot.pop3, {"starttls": "imap"}),
                "nobody": (port, {"starttls": "smtp"}),
            }
        )
        assert dovecot.log.count("Aborted login by logging out") == 2
    hello = found.pop("smtp_without_key")
    assert hello.startswith("no TLS at PEER, but '220 ")
    assert hello.endswith('\': write starttls = "smtp"')
    assert found.pop("pop3_plain").startswith('STARTTLS refused: "-ERR ')
    assert found.pop("imap_at_pop3").startswith("not an IMAP server: '+OK ")
    assert found == {
        "smtp": "ok",
        "smtp_name": f"certificate is for {HOST}, localhost, not for mail.example.com at PEER",
        "smtp_plain": "no STARTTLS offered at PEER",
        "imap": "ok",
        "imap_expired": "certificate has expired (on DATE) at PEER",
        "imap_plain": "no STARTTLS offered at PEER",
        "pop3": "ok",
        "pop3_expired": "certificate has expired (on DATE) at PEER",
        "nobody": "connection refused at PEER",
    }


def test_postgresql(results, postgresql, known):
    cases = {"main": (postgresql.port, {"starttls": "postgresql"})}
    _, found = results(cases)
    assert found == {"main": "the server offers no TLS at PEER"}
    try:
        present(postgresql, known.good)
        assert results(cases)[1] == {"main": "ok"}
        present(postgresql, known.expired)
        assert results(cases)[1] == {"main": "certificate has expired (on DATE) at PEER"}
    finally:
        present(postgresql, None)


def present(postgresql, certificate):
    """Have the server show this certificate, or none."""
    before = postgresql.execute("select pg_conf_load_time()")
    if certificate:
        copy = postgresql.data / "both.pem"
        shutil.copy(certificate, copy)
        copy.chmod(0o600)
        give_to(USER, copy)
        for name in ("ssl_cert_file", "ssl_key_file"):
            postgresql.execute(f"alter system set {name} = 'both.pem'")
    postgresql.execute(f"alter system set ssl = {'on' if certificate else 'off'}")
    postgresql.execute("select pg_reload_conf()")
    until(lambda: postgresql.execute("select pg_conf_load_time()") != before, what="new settings of PostgreSQL")


def error(code):
    made = ssl.SSLCertVerificationError()
    made.verify_code, made.verify_message = code, "what OpenSSL says"
    return made


def test_chain_of_which_the_authority_has_expired(known):
    """As that of Let's Encrypt did in 2021, while the certificates of the servers were good."""
    pem = ssl._ssl._test_decode_cert(str(known.good))
    good = Certificate.from_fields(pem)
    old = Certificate.from_fields(
        pem | {"subject": ((("commonName", "Root X3"),),), "notAfter": "Sep 30 14:01:15 2021 GMT"}
    )
    words = 'certificate of the authority "Root X3" has expired (on 2021-09-30)'
    assert describe_verification_error(error(10), "host", [good, old]) == words
    assert describe_verification_error(error(10), "host", []) == "certificate has expired"
    assert describe_verification_error(error(66), "host", []) == "certificate is refused: what OpenSSL says"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"host": "x", "starttls": "ftp"}, "starttls"),
        ({"host": "x", "min_version": "1.1"}, "min_version"),
        ({"host": "x" * 64 + ".example"}, "is not a host name"),
        ({"host": "x", "server_name": "a..b"}, "is not a host name"),
        ({"host": "x", "port": 0}, "port"),
    ],
)
def test_wrong_keys(keys, message):
    with pytest.raises(ValueError, match=message):
        Tls(**keys)
