"""Server certificates: the TLS context that verifies them, expiry, and messages for those that are refused."""

import contextlib
import ssl
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Self

from healthchecks.clients import preload
from servermonitoring.scrubbing import scrub_and_cut
from servermonitoring.tls import trusted_context

_SEQUENCE, _VERSION, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18
_LONG_FORM = 0x80
_MOST_LENGTH_BYTES = 4


def expires(der: bytes) -> datetime:
    """Return the notAfter of a certificate in DER form. Raise ValueError where it is not one."""
    certificate, _ = _element(der, _SEQUENCE)
    rest, _ = _element(certificate, _SEQUENCE)
    if rest[:1] == bytes([_VERSION]):
        _, rest = _element(rest)
    for _ in ("serial number", "algorithm", "issuer"):
        _, rest = _element(rest)
    validity, _ = _element(rest, _SEQUENCE)
    _, not_after = _element(validity)
    moment, _ = _element(not_after)
    form = {_UTC_TIME: "%y%m%d%H%M%SZ", _GENERALIZED_TIME: "%Y%m%d%H%M%SZ"}.get(not_after[0], "")
    return datetime.strptime(moment.decode("ascii"), form).replace(tzinfo=UTC)


def _element(data: bytes, tag: int | None = None) -> tuple[bytes, bytes]:
    """Return the content of the first element, and the bytes after it."""
    if len(data) < 2 or (tag is not None and data[0] != tag):  # noqa: PLR2004 - tag and length
        raise ValueError("not a certificate")
    length, begin = data[1], 2
    if length >= _LONG_FORM:
        count = length - _LONG_FORM
        if not 0 < count <= _MOST_LENGTH_BYTES:
            raise ValueError("not a certificate")
        begin += count
        length = int.from_bytes(data[2:begin])
    if begin + length > len(data):
        raise ValueError("not a certificate")
    return data[begin : begin + length], data[begin + length :]


# Of OpenSSL's x509_vfy.h: X509_V_ERR_…
_NOT_YET_VALID, _EXPIRED, _SELF_SIGNED, _OTHER_HOST, _OTHER_ADDRESS = 9, 10, 18, 62, 64
_UNKNOWN_AUTHORITY = (2, 19, 20, 21)
_LONGEST_NAME = 80  # characters in a message
_MOST_NAMES = 100  # that are kept
_making = threading.Lock()


@dataclass(frozen=True)
class Certificate:
    """What a certificate says, read when the connection was made."""

    names: tuple[str, ...]
    """Empty where the certificate was not verified."""
    expires: datetime
    begins: datetime | None = None
    subject: str = ""
    """Common name, else the organisation."""
    issuer: str = ""

    @classmethod
    def of(cls, connection: ssl.SSLSocket | ssl.SSLObject) -> "Certificate | None":
        """Return the certificate of this connection; None where it cannot be read."""
        seen = connection.getpeercert()
        if seen:
            return cls.from_fields(seen)
        try:
            return cls((), expires(connection.getpeercert(binary_form=True) or b""))
        except ValueError:
            return None

    @classmethod
    def from_fields(cls, seen: Mapping[str, Any]) -> Self:
        """Return the certificate that ssl describes so. Raise LookupError, TypeError or ValueError otherwise."""
        return cls(
            tuple(name for _, name in seen.get("subjectAltName", ())[:_MOST_NAMES]),
            _moment(seen["notAfter"]),
            _moment(seen["notBefore"]),
            _name_of(seen["subject"]),
            _name_of(seen["issuer"]),
        )

    @property
    def days_left(self) -> float:
        return (self.expires - datetime.now(UTC)) / timedelta(days=1)

    @property
    def has_expired(self) -> bool:
        return self.days_left < 0

    def describe_expiry(self, min_days: float) -> str:
        """Return what is wrong with the days that are left; empty where nothing is."""
        if self.has_expired:
            return f"certificate has expired (on {self.expires:%Y-%m-%d})"
        if self.days_left >= min_days:
            return ""
        return (
            f"certificate expires in {self.days_left:.1f} days (on {self.expires:%Y-%m-%d}), minimum {min_days:g} days"
        )


def context(*, verify: bool, ca: Path | None) -> ssl.SSLContext:
    """Return the context shared by all targets of the same trust: reading the authorities outlasts a request."""
    with _making:
        return _context(verify, ca)


def load_authorities(*, verify: bool, ca: Path | None) -> None:
    """Make the context of a target that was just read, so that no probe has to; where that fails, it has the error."""
    preload("_strptime")  # of the date in a certificate
    with contextlib.suppress(OSError):
        context(verify=verify, ca=ca)


def describe_verification_error(error: ssl.SSLCertVerificationError, host: str, chain: Sequence[Certificate]) -> str:
    """Return a message about a refused certificate; the chain is what the server sends, empty where it is unknown."""
    code, leaf = error.verify_code, chain[0] if chain else None
    if code == _SELF_SIGNED:
        return "certificate is self-signed"
    if code in _UNKNOWN_AUTHORITY:
        return _describe_authority(chain)
    if code == _NOT_YET_VALID:
        later = [each.begins for each in chain if each.begins and each.begins > datetime.now(UTC)]
        return "certificate is not valid yet" + (f" (from {later[0]:%Y-%m-%d %H:%M} UTC)" if later else "")
    if code == _EXPIRED:
        return _describe_expired(chain)
    if code in (_OTHER_HOST, _OTHER_ADDRESS):
        return f"certificate is for {_listed(leaf) if leaf else 'another host'}, not for {host}"
    return f"certificate is refused: {error.verify_message}"


def _describe_authority(chain: Sequence[Certificate]) -> str:
    """Return whether the chain is incomplete: each certificate is followed by that of its issuer, but for the last."""
    last, sent = (chain[0], 1) if chain else (None, 0)
    while last and (above := next((each for each in chain[sent:] if each.subject == last.issuer), None)):
        last, sent = above, sent + 1
    if last is None or not last.issuer:
        return "certificate authority is not trusted, or the server does not send the whole chain"
    issuer = scrub_and_cut(last.issuer, _LONGEST_NAME)
    if sent == 1:
        return (
            f'certificate authority is not trusted: the issuer "{issuer}" is unknown, and the server does not send '
            "its certificate (an incomplete chain, or ca is missing)"
        )
    return f'certificate authority is not trusted: "{issuer}"'


def _describe_expired(chain: Sequence[Certificate]) -> str:
    expired = [each for each in chain if each.has_expired]
    if expired and expired[0] is not chain[0]:  # as that of Let's Encrypt did in 2021
        name = scrub_and_cut(expired[0].subject, _LONGEST_NAME)
        return f'certificate of the authority "{name}" has expired (on {expired[0].expires:%Y-%m-%d})'
    return expired[0].describe_expiry(0) if expired else "certificate has expired"


@cache
def _context(verify: bool, ca: Path | None) -> ssl.SSLContext:
    made = trusted_context(ca)
    if not verify:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    return made


def _moment(text: str) -> datetime:
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(text), UTC)


def _name_of(parts: Sequence[Sequence[tuple[str, str]]]) -> str:
    named = {key: value for part in parts for key, value in part}
    return str(named.get("commonName") or named.get("organizationName") or "")


def _listed(certificate: Certificate) -> str:
    """Return the names that it is for; without alternative names the subject's, which counts no longer."""
    names = [scrub_and_cut(name, _LONGEST_NAME) for name in certificate.names]
    shown = ", ".join(names[:3]) or "no host"
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown  # noqa: PLR2004 - enough to know it
