"""Certificates of any port, also by STARTTLS: chain, names, days left and protocol."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from healthchecks import ProbeTimeout, Target, Unhealthy, metric, probe
from healthchecks.clients.certificate import (
    Certificate,
    context,
    describe_verification_error,
    load_authorities,
)
from healthchecks.clients.connection import ConnectionStep, Progress, connect, describe_failed_connection
from healthchecks.clients.handshake import (
    Handshake,
    Presentation,
    describe_tls_error,
    inspect,
    lacks_common_version,
    version_of,
)
from healthchecks.clients.http.options import Authorities
from healthchecks.clients.http.urls import Host
from healthchecks.clients.starttls import FAREWELLS, FIRST_STEPS, StartTls, start_tls


def _encodable(name: str) -> str:
    try:
        name.encode("idna")
    except UnicodeError:
        raise ValueError('is not a host name: write it as in "mail.example.com"') from None
    return name


class Tls(Target):
    host: Annotated[Host, AfterValidator(_encodable)]
    """Name or address of the server."""
    port: int = Field(default=443, ge=1, le=65535)
    """Port of the server."""
    starttls: StartTls | None = None
    """Protocol that is spoken before TLS: `"smtp"`, `"imap"`, `"pop3"` or `"postgresql"`; without it TLS begins at
    once."""
    server_name: Annotated[Host, AfterValidator(_encodable)] | None = None
    """Name that the certificate must have, also sent to the server (SNI); default: `host`."""
    ca: Authorities | None = None
    """File of the only authorities to trust, in PEM form; default: those of the system and those of certifi. For a
    self-signed certificate, the file of that."""
    min_certificate_days: float = Field(default=14, ge=0, le=3660)
    """Minimum number of days until the certificate expires."""
    min_version: Literal["1.2", "1.3"] = "1.2"
    """What the newest version of TLS that the server speaks must be at least: `"1.2"` or `"1.3"`."""

    @model_validator(mode="after")
    def _authorities_are_loaded(self) -> Self:
        load_authorities(verify=True, ca=self.ca)
        return self

    @property
    def expected_name(self) -> str:
        return (self.server_name or self.host).rstrip(".")


@dataclass(frozen=True)
class Security:
    """What came of a handshake; with a `fault`, which is the message of the check, nothing is verified."""

    peer: str
    fault: str = ""
    certificate: Certificate | None = None
    version: str = ""
    """The newest version of TLS that both sides speak: "1.3"."""
    seconds: float | None = None
    """Duration of the handshake alone; None where it failed."""


@probe
def security(tls: Tls) -> Security:
    progress = Progress(tls.host, tls.port)
    begin = b""
    try:
        with _connection(tls, progress) as connection:
            handshake = Handshake(connection, context(verify=True, ca=tls.ca), tls.expected_name)
            try:
                secured = handshake.perform()
            finally:
                begin = handshake.begin
            progress.times.begin(None)
            handshake.say(FAREWELLS.get(tls.starttls or "", b""))
            seconds = progress.times.seconds[ConnectionStep.TLS]
            return Security(progress.peer, "", Certificate.of(secured), version_of(secured), seconds)
    except ssl.SSLCertVerificationError as error:
        chain = _presented(tls).chain
        fault = f"{describe_verification_error(error, tls.expected_name, chain)} at {progress.peer}"
        return Security(progress.peer, fault, chain[0] if chain else None)
    except TimeoutError:
        raise ProbeTimeout from None
    except (OSError, EOFError) as error:
        raise Unhealthy(_describe(error, tls, progress, begin)) from None


def test_tls_certificate(tls: Tls, security: Security) -> None:
    certificate = security.certificate
    if certificate:
        metric("certificate days left", certificate.days_left, lower_limit=tls.min_certificate_days)
    if security.seconds is not None:
        metric("handshake", security.seconds, "seconds")
    assert not security.fault, security.fault
    assert certificate, f"certificate cannot be read at {security.peer}"
    wrong = certificate.describe_expiry(tls.min_certificate_days)
    assert not wrong, f"{wrong} at {security.peer}"
    assert security.version >= tls.min_version, _describe_version(security.version, tls, security.peer)


@contextmanager
def _connection(tls: Tls, progress: Progress) -> Iterator[socket.socket]:
    """Yield a connection on which TLS is to begin. Raise Unhealthy, OSError or EOFError where it does not."""
    with connect(progress, FIRST_STEPS[tls.starttls] if tls.starttls else ConnectionStep.TLS) as connection:
        if tls.starttls:
            start_tls(tls.starttls, connection, progress)
            progress.at(ConnectionStep.TLS)
        yield connection


def _presented(tls: Tls) -> Presentation:
    """Return what the server shows to a client that accepts everything, for the message about a failed handshake."""
    with suppress(OSError, EOFError, Unhealthy), _connection(tls, Progress(tls.host, tls.port)) as connection:
        return inspect(connection, tls.expected_name)
    return Presentation()


def _describe(error: BaseException, tls: Tls, progress: Progress, begin: bytes) -> str:
    if lacks_common_version(error):
        version = _presented(tls).version
        if version and version < tls.min_version:
            return _describe_version(version, tls, progress.peer)
    words = describe_tls_error(error, progress, begin)
    if not words and isinstance(error, OSError):
        words = describe_failed_connection(error, progress)
    return words or progress.closed_message


def _describe_version(version: str, tls: Tls, peer: str) -> str:
    return f"TLS {version} is the newest version that {peer} speaks, minimum TLS {tls.min_version}"
