"""Where PostgreSQL may get a password in clear text: over verified TLS, a Unix socket or loopback, nowhere else.

A server decides by itself how it wants the password, and libpq sends what a server asks for.
"""

import os
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

_VERIFIED = {"verify-ca", "verify-full"}


def required(options: Mapping[str, Any]) -> dict[str, str]:
    """Return libpq's `require_auth` for these options of a connection; what they name themselves stays in force.

    libpq knows it since version 16; an older one refuses to connect, which is safe.
    """
    if "require_auth" in options or _is_verified(options) or _is_local(options):
        return {}
    return {"require_auth": "!password"}


def _is_verified(options: Mapping[str, Any]) -> bool:
    return _given(options, "sslmode") in _VERIFIED


def _is_local(options: Mapping[str, Any]) -> bool:
    """Whether every host is this machine; a name but localhost may be anybody's."""
    if _given(options, "service"):  # a file that we do not read
        return False
    hosts = _given(options, "hostaddr") or _given(options, "host")
    return all(not host or host.startswith(("/", "@")) or _is_loopback(host) for host in hosts.split(","))


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _given(options: Mapping[str, Any], name: str) -> str:
    """The option, else the environment variable that libpq reads in its place."""
    return str(options.get(name) or os.environ.get(f"PG{name.upper()}", ""))
