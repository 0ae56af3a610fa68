"""Other servers with this suite: their status.json is fresh, complete and that of the right host.

Their failing checks are no failure here: each server alerts for itself.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from healthchecks import Duration, Secret, Size, Target, Unhealthy, metric, probe, show_peer
from healthchecks.clients.http.client import Client, Request
from healthchecks.clients.http.options import WebKeys
from healthchecks.clients.http.rehearsal import rehearse_request
from healthchecks.clients.http.urls import Url, redacted
from healthchecks.clients.status_document import VERSION, StatusDocument, parse_status
from servermonitoring.scrubbing import scrub_and_cut
from servermonitoring.values import in_words

_OK = 200
_MAX_AHEAD = 300.0  # seconds that the clock of the other server may be ahead
_SHOWN = 100  # characters of a name
_FAILURES = ("failed", "error")


class Peer(WebKeys, Target):
    host: str = Field(default="", max_length=253)
    """Name that the other server calls itself, `host` in its status.json; not checked without the key."""
    max_age: Duration = Field(default=1500.0, gt=0, le=366 * 86400)
    """Maximum age of its status.json, by the clocks of both."""
    user: str = ""
    """Name for basic authentication."""
    password: Secret | None = None
    """Password for basic authentication; a secret."""
    token: Secret | None = None
    """Token, sent as `Authorization: Bearer`; a secret."""
    max_body: Size = Field(default=2_000_000, gt=0, le=100_000_000)
    """Maximum size of its status.json: 1,000 checks take about 1 MB."""
    page: Url | None = None
    """Its page, which this server's page links to; default: the directory of its status.json."""

    @classmethod
    def rehearse(cls) -> None:
        rehearse_request()

    @model_validator(mode="after")
    def _keys_fit(self) -> Self:
        if self.password and not self.user:
            raise ValueError("password needs user")
        parts = urlsplit(self.page or "")
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise ValueError("page: write it without a login, a query and a fragment: everybody sees the link")
        if sum([bool(self.user), bool(self.token), "@" in self.url.split("/")[2]]) > 1:
            raise ValueError("more than one way to log in: write user and password, or token")
        return self


@dataclass(frozen=True)
class PeerState:
    """Of the other server: its last run, and how many of its checks have failed."""

    host: str
    age: float
    """Seconds since the end of the run, by the clocks of both."""
    interrupted: bool
    without_result: int
    failed: int
    checks: int
    location: str
    """The URL for messages."""


@probe
def state(peer: Peer) -> PeerState:
    page = peer.page or _page_of(peer.url)
    show_peer(page, peer.max_age)
    headers = {"Authorization": f"Bearer {peer.token.reveal()}"} if peer.token else {}
    login = (peer.user, peer.password.reveal() if peer.password else "") if peer.user else None
    with Client(peer) as client:
        response = client.send(Request(peer.url, headers=headers, login=login))
    if response.status != _OK:
        raise Unhealthy(f"status {response.status_line} at {response.location}")
    try:
        document = parse_status(response.body)
        found = _state(document, response.location)
    except ValueError as error:
        raise Unhealthy(f"no status.json at {response.location}: {scrub_and_cut(str(error), 300)}") from None
    show_peer(page, peer.max_age, document.model_dump())
    return found


def test_peer_fresh(peer: Peer, state: PeerState) -> None:
    age = state.age
    metric("age", age, "seconds", limit=peer.max_age)
    metric("failed checks", state.failed)
    metric("checks", state.checks)
    assert not peer.host or state.host == peer.host, (
        f'status.json is of host "{state.host}", expected "{peer.host}", at {state.location}'
    )
    assert age > -_MAX_AHEAD, f"last run of {state.host} is {in_words(-age)} in the future: check the clocks"
    assert age <= peer.max_age, f"last run of {state.host} was {in_words(age)} ago, maximum {in_words(peer.max_age)}"
    assert not state.interrupted, (
        f"last run of {state.host} was interrupted: {state.without_result} checks without a result"
    )


def _page_of(url: str) -> str:
    """Return the directory of a URL, without its login and query."""
    return redacted(url).rpartition("/")[0] + "/"


def _state(document: StatusDocument, location: str) -> PeerState:
    """Return what the test needs. Raise ValueError for another version, or a time without its zone."""
    if document.version != VERSION:
        raise ValueError(f"its version is {document.version}, this release reads {VERSION}")
    if document.generated.tzinfo is None:
        raise ValueError("generated: has no time zone")
    every = (*document.checks, *document.others)
    failed = sum(each.status in _FAILURES for each in every)
    host = scrub_and_cut(document.host, _SHOWN)
    age = (datetime.now(UTC) - document.generated).total_seconds()
    return PeerState(host, age, document.interrupted, document.without_result, failed, len(every), location)
