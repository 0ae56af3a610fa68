"""URLs and hosts: validation, and their form in messages."""

import re
from typing import Annotated
from urllib.parse import SplitResult, urlsplit, urlunsplit

from pydantic import AfterValidator, Field, WithJsonSchema

_PORTS = {"http": 80, "https": 443}
_NOWHERE = re.compile(r"[\s\\\x00-\x1f\x7f]")
"""Parsers differ about a backslash: the host of urlsplit must be the host that is connected to."""


def http_url(url: str) -> str:
    """Return the URL. Raise ValueError, without repeating a password, where it is not http or https."""
    try:
        parts = urlsplit(url)
        complete = parts.scheme in _PORTS and parts.hostname and parts.port != 0
    except ValueError as error:  # a port that is no number, half an IPv6 address
        raise ValueError(f"is not a URL: {error}") from None
    if not complete or _NOWHERE.search(url):
        raise ValueError("is not a URL: write https://host/path")
    return url


Url = Annotated[str, AfterValidator(http_url), WithJsonSchema({"type": "string", "format": "uri"})]
"""An http or https URL."""


def _only_origin(url: str) -> str:
    parts = urlsplit(http_url(url))
    if parts.path not in ("", "/") or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("is not an origin: write https://host or https://host:port, without a path")
    return origin(url)


Origin = Annotated[str, AfterValidator(_only_origin), WithJsonSchema({"type": "string", "format": "uri"})]
"""Scheme, host and port of a URL."""


def host_name(host: str) -> str:
    """Return the name or address. Raise ValueError for a URL, or where it has a port."""
    if "://" in host:
        raise ValueError('is a URL: write the host alone, as in "db.example.com"')
    if any(each.isspace() for each in host) or "@" in host[1:]:
        raise ValueError('is not a host: write its name or address, as in "db.example.com"')
    if host.count(":") == 1:
        raise ValueError("contains a port: write it below, as in port = 5432")
    return host


Host = Annotated[str, Field(min_length=1), AfterValidator(host_name)]
"""Name or address of a machine."""


def address(url: str) -> tuple[str, int]:
    """Return host and port."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)


def peer(url: str) -> str:
    """Return host and port for messages: 127.0.0.1:8080."""
    return peer_of(*address(url))


def peer_of(host: str, port: int | str) -> str:
    """Return host and port for messages."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def redacted(url: str) -> str:
    """Return the URL for messages: without login, query (which may contain a token) and fragment."""
    return urlunsplit(_without_login(urlsplit(url))._replace(query="", fragment=""))


def is_at(url: str, expected: str) -> bool:
    """Return whether a URL is the expected one; the query counts only where one is expected."""
    here, there = _without_login(urlsplit(url)), _without_login(urlsplit(expected))
    query = here.query if there.query else ""
    return here._replace(query=query, fragment="", path=here.path or "/") == there._replace(
        fragment="", path=there.path or "/"
    )


def origin(url: str) -> str:
    """Return scheme, host and port as in browsers: https://app.example.com, http://127.0.0.1:8080."""
    scheme, (host, port) = urlsplit(url).scheme, address(url)
    return f"{scheme}://{f'[{host}]' if ':' in host else host}" + (f":{port}" if port != _PORTS[scheme] else "")


def same_origin(url: str, other: str) -> bool:
    """Return whether both have one origin, or the second is https on port 443 of the first, which is http on port 80.

    Other ports may belong to another server.
    """
    here, there = origin(url), origin(other)
    return there == here or (address(url)[1] == _PORTS["http"] and there == here.replace("http:", "https:", 1))


def _without_login(parts: SplitResult) -> SplitResult:
    return parts._replace(netloc=parts.netloc.rpartition("@")[2].lower())
