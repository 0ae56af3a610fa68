"""Until when a certificate is valid, read from its DER form: Python tells nothing of one that it did not verify.

RFC 5280: Certificate and TBSCertificate are sequences; the validity follows version, serial, algorithm and issuer.
"""

from datetime import UTC, datetime

_SEQUENCE, _VERSION, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18
_LONG_FORM = 0x80
_MOST_LENGTH_BYTES = 4


def expires(der: bytes) -> datetime:
    """The notAfter of a certificate. Raise ValueError for what is none."""
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
    """The content of the first element, and what follows it."""
    if len(data) < 2 or (tag is not None and data[0] != tag):  # noqa: PLR2004 - tag and length
        raise ValueError("is no certificate")
    length, begin = data[1], 2
    if length >= _LONG_FORM:
        count = length - _LONG_FORM
        if not 0 < count <= _MOST_LENGTH_BYTES:
            raise ValueError("is no certificate")
        begin += count
        length = int.from_bytes(data[2:begin])
    if begin + length > len(data):
        raise ValueError("is no certificate")
    return data[begin : begin + length], data[begin + length :]
