"""Certificates made for one test run: good, expired, not yet valid, self-signed, for another host, of a chain."""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NAMES = ("127.0.0.1", "localhost")
SOON = dt.timedelta(days=5, hours=12)  # how long the one that expires soon still lives


@dataclass(frozen=True)
class Certificates:
    """PEM files, each with key and chain, and the file of the authority that signed all but `self_signed`."""

    authority: Path
    good: Path
    expired: Path
    expiring: Path
    self_signed: Path
    other_host: Path
    future: Path
    intermediate: Path
    """With the certificate of the authority in between."""
    incomplete: Path
    """Without it."""


def make(directory: Path) -> Certificates:
    authority = trustme.CA()
    now = dt.datetime.now(dt.UTC)
    leaves = {
        "good": authority.issue_cert(*NAMES, not_after=now + dt.timedelta(days=90)),
        "expired": authority.issue_cert(
            *NAMES, not_before=now - dt.timedelta(days=90), not_after=now - dt.timedelta(days=1)
        ),
        "expiring": authority.issue_cert(*NAMES, not_after=now + SOON),
        "other_host": authority.issue_cert("other.example"),
        "future": authority.issue_cert(*NAMES, not_before=now + dt.timedelta(days=1)),
        "intermediate": authority.create_child_ca().issue_cert(*NAMES),
    }
    pems = {name: leaf.private_key_and_cert_chain_pem.bytes() for name, leaf in leaves.items()}
    pems |= {"self_signed": _self_signed(now), "authority": authority.cert_pem.bytes()}
    lonely = leaves["intermediate"]
    pems["incomplete"] = lonely.private_key_pem.bytes() + lonely.cert_chain_pems[0].bytes()
    for name, pem in pems.items():
        (directory / f"{name}.pem").write_bytes(pem)
    return Certificates(**{name: directory / f"{name}.pem" for name in pems})


def _self_signed(now: dt.datetime) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=90))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + certificate.public_bytes(serialization.Encoding.PEM)
