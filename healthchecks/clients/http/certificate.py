"""Server certificates: the TLS context that verifies them, expiry, and messages for those that are refused."""

import contextlib
import socket
import ssl
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from healthchecks import remaining
from healthchecks.clients.http.urls import address
from healthchecks.clients.preload import preload
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


_IGNORE_TIME = ssl.VerifyFlags(0x200000)  # X509_V_FLAG_NO_CHECK_TIME, which Python has no name for
_EXPIRED, _NOT_YET_VALID, _SELF_SIGNED, _OTHER_HOST, _OTHER_ADDRESS = 10, 9, (18, 19), 62, 64
_UNKNOWN_AUTHORITY = (2, 20, 21)
_making = threading.Lock()


@dataclass(frozen=True)
class Certificate:
    """Names and expiry, read when the connection was made."""

    names: tuple[str, ...]
    """Empty where the certificate was not verified."""
    expires: datetime

    @classmethod
    def of(cls, connection: ssl.SSLSocket) -> "Certificate | None":
        """Return the certificate of this connection; None where it cannot be read."""
        seen: dict[str, Any] | None = connection.getpeercert()
        if seen:
            names = tuple(name for _, name in seen.get("subjectAltName", ()))
            return cls(names, datetime.fromtimestamp(ssl.cert_time_to_seconds(seen["notAfter"]), UTC))
        try:
            return cls((), expires(connection.getpeercert(binary_form=True) or b""))
        except ValueError:
            return None

    @property
    def days_left(self) -> float:
        return (self.expires - datetime.now(UTC)) / timedelta(days=1)


def context(*, verify: bool, ca: Path | None) -> ssl.SSLContext:
    """Return the context shared by all targets of the same trust: reading the authorities outlasts a request."""
    with _making:
        return _context(verify, ca)


def load_authorities(*, verify: bool, ca: Path | None) -> None:
    """Make the context of a target that was just read, so that no probe has to; where that fails, it has the error."""
    preload("_strptime")  # of the date in a certificate
    with contextlib.suppress(OSError):
        context(verify=verify, ca=ca)


def describe_verification_error(error: ssl.SSLCertVerificationError, url: str, ca: Path | None) -> str:
    """Return a message about a refused certificate, which is fetched once more: OpenSSL does not keep it."""
    host, _ = address(url)
    code = error.verify_code
    if code in _SELF_SIGNED:
        return "certificate is self-signed"
    if code in _UNKNOWN_AUTHORITY:
        return "certificate authority is not trusted, or the server does not send the whole chain"
    if code == _NOT_YET_VALID:
        return "certificate is not valid yet"
    seen = _fetch(url, ca) if code in (_EXPIRED, _OTHER_HOST, _OTHER_ADDRESS) else None
    if code == _EXPIRED:
        return f"certificate has expired (on {seen.expires:%Y-%m-%d})" if seen else "certificate has expired"
    if code in (_OTHER_HOST, _OTHER_ADDRESS):
        return f"certificate is for {_listed(seen.names) if seen else 'another host'}, not for {host}"
    return f"certificate is refused: {error.verify_message}"


@cache
def _context(verify: bool, ca: Path | None) -> ssl.SSLContext:
    made = trusted_context(ca)
    if not verify:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    return made


def _fetch(url: str, ca: Path | None) -> Certificate | None:
    lenient = trusted_context(ca)
    lenient.check_hostname = False
    lenient.verify_flags |= _IGNORE_TIME
    host = address(url)
    try:
        with (
            socket.create_connection(host, timeout=remaining()) as connection,
            lenient.wrap_socket(connection, server_hostname=host[0]) as secured,
        ):
            return Certificate.of(secured)
    except OSError:
        return None


def _listed(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:3]) or "no host"
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown  # noqa: PLR2004 - enough to know it
