"""Names: the records that name servers reply with."""

from collections.abc import Sequence
from typing import Literal, Self

from pydantic import Field, model_validator

from healthchecks import Target, Unhealthy, metric, probe
from healthchecks.clients import preload
from healthchecks.clients.http.options import Texts
from healthchecks.clients.nameserver import (
    Question,
    Reply,
    ask,
    load_type,
    parse_question,
    parse_record,
    parse_server,
    system_servers,
)
from servermonitoring.scrubbing import scrub_and_cut

_MOST_SHOWN = 5  # records in a message
_MOST_SERVERS = 20


class Dns(Target):
    query: str = Field(min_length=1)
    """Name whose records are asked for; for a PTR record it may be an address."""
    type: Literal["A", "AAAA", "CAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT"] = "A"
    """Type of the records: A, AAAA, CAA, CNAME, MX, NS, PTR, SOA, SRV or TXT."""
    servers: Texts = Field(default=(), max_length=_MOST_SERVERS)
    """Address, or list of addresses, of name servers, with a port where it is not 53: `["192.0.2.53:5353",
    "2001:db8::53"]`; default: those of the system."""
    expect: Texts = ()
    """Record, or list of records, that there must be, and no others."""
    contains: Texts = ()
    """Record, or list of records, that must be among those that there are."""

    @model_validator(mode="after")
    def _readable(self) -> Self:
        self.question()
        for server in self.servers:
            parse_server(server)
        for text in (*self.expect, *self.contains):
            parse_record(self.type, text)
        if self.expect and self.contains:
            raise ValueError("write either expect, for all records, or contains, for some of them")
        preload("dns.resolver")
        load_type(self.type)
        return self

    def question(self) -> Question:
        return parse_question(self.query, self.type)


@probe
def replies(dns: Dns) -> list[Reply]:
    servers = [parse_server(each) for each in dns.servers] or system_servers()
    if not servers:
        raise Unhealthy("no name server in /etc/resolv.conf: write servers")
    found = ask(dns.question(), servers)
    return found if dns.servers else _first_good(found)


def test_dns_records(dns: Dns, replies: list[Reply]) -> None:
    _report(replies)
    faults = [fault for each in replies if (fault := each.fault or _difference(dns, each))]
    assert not faults, "; ".join(faults)


def _first_good(replies: Sequence[Reply]) -> list[Reply]:
    """Return the reply that a program of this machine gets: of the system's servers, that of the first that replies."""
    good = [each for each in replies if each.records]
    return good[:1] or list(replies)


def _report(replies: Sequence[Reply]) -> None:
    """Report the slowest response, and how many records there are where there are fewest."""
    if times := [each.seconds for each in replies if each.seconds is not None]:
        metric("response", max(times), "seconds")
        metric("records", min(len(each.records) for each in replies if each.seconds is not None))


def _difference(dns: Dns, reply: Reply) -> str:
    there = f"{_shown(reply.records)} at {reply.peer}"
    expected = {parse_record(dns.type, text) for text in dns.expect}
    if expected and set(reply.records) != expected:
        return f"{dns.question()}: {there}, expected {_shown(sorted(expected))}"
    missing = {parse_record(dns.type, text) for text in dns.contains} - set(reply.records)
    return f"{_shown(sorted(missing))} missing in {dns.question()}: found {there}" if missing else ""


def _shown(records: Sequence[str]) -> str:
    shown = ", ".join(scrub_and_cut(each, 100) for each in records[:_MOST_SHOWN])
    more = len(records) - _MOST_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
