"""[dns.NAME], against a real name server, and servers that reply with anything."""

import contextlib
import itertools
import re
import struct

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from healthchecks.clients.nameserver import Nameserver, ask, parse_question, parse_server, system_servers
from healthchecks.test_dns import Dns
from tests.healthchecks.metrics import metrics_of
from tests.reliability import reliability
from tests.servers.knot import MANY, Knot
from tests.servers.peers import at_once, datagram_peer, floods, peer, says, stay
from tests.servers.server import HOST, free_port
from tests.suite import IN_TIME, table

FIRST = ("10.0.0.0", "10.0.0.1", "10.0.0.10", "10.0.0.100", "10.0.0.101")


@pytest.fixture
def results(run_suite):
    """Run the check of each case in one run: name -> keys, gives the message, or "ok"."""

    def run(cases):
        outcome = run_suite("\n".join(table("dns", name, **keys) for name, keys in cases.items()))
        assert outcome.status in (0, 1), outcome.output
        return outcome, {name: _result(outcome.checks[f"dns_records[{name}]"]) for name in cases}

    return run


def _result(check):
    assert check["status"] in ("ok", "failed"), check
    return check["message"] if check["status"] == "failed" else "ok"


def test_records(results, knot):
    """Any order, upper case in names, the final dot and the parts of a text make no difference."""
    with Knot("www A 192.0.2.9\n") as other:
        nobody = f"{HOST}:{free_port()}"
        both = {"query": "www.example.test", "servers": [knot.address, other.address]}
        www = {"query": "www.example.test", "servers": [knot.address]}
        root = {"query": "example.test.", "servers": [knot.address]}
        at, elsewhere = f"at {knot.address}", f"at {other.address}"
        cases = {
            "any": (www, "ok"),
            "all": (www | {"expect": ["192.0.2.2", "192.0.2.1"]}, "ok"),
            "some": (www | {"contains": "192.0.2.2"}, "ok"),
            "six": (www | {"type": "AAAA", "expect": "2001:0DB8:0::1"}, "ok"),
            "alias": (www | {"query": "ALIAS.example.test", "contains": "192.0.2.2"}, "ok"),
            "name": (www | {"query": "alias.example.test", "type": "CNAME", "expect": "WWW.example.test."}, "ok"),
            "mail": (root | {"type": "MX", "expect": "10 mail.example.test"}, "ok"),
            "text": (root | {"type": "TXT", "contains": "v=spf1 -all"}, "ok"),
            "authority": (root | {"type": "CAA", "expect": '0 issue "letsencrypt.org"'}, "ok"),
            "service": (
                www | {"query": "_sip._udp.example.test", "type": "SRV", "expect": "10 5 5060 sip.example.test"}, "ok",
            ),
            "zone": (root | {"type": "NS", "expect": "ns1.example.test"}, "ok"),
            "start": (root | {"type": "SOA"}, "ok"),
            "by_tcp": (www | {"query": "many.example.test", "contains": ["10.0.0.1", "10.0.1.249"]}, "ok"),
            "other": (
                both | {"expect": "192.0.2.9"},
                f"A of www.example.test: 192.0.2.1, 192.0.2.2 {at}, expected 192.0.2.9",
            ),
            "less": (
                both | {"contains": "192.0.2.2"},
                f"192.0.2.2 missing in A of www.example.test: found 192.0.2.9 {elsewhere}",
            ),
            "too_many": (
                www | {"query": "many.example.test", "expect": "10.0.0.1"},
                f"A of many.example.test: {', '.join(FIRST)} and 495 more {at}, expected 10.0.0.1",
            ),
            "case": (
                root | {"type": "TXT", "contains": "other"},
                f"other missing in TXT of example.test: found Other, v=spf1 -all {at}",
            ),
            "no_name": (www | {"query": "none.example.test"}, f"none.example.test does not exist (NXDOMAIN) {at}"),
            "no_type": (www | {"type": "TXT"}, f"no TXT record of www.example.test {at}"),
            "no_target": (
                www | {"query": "elsewhere.example.test"},
                f"no A record of elsewhere.example.test, an alias of www.example.org {at}",
            ),
            "loop": (
                www | {"query": "loop.example.test"},
                f"loop.example.test is an alias in a loop, or of more than 16, {at}",
            ),
            "no_zone": (www | {"query": "example.org"}, f"REFUSED for A of example.org {at}"),
            "nobody": (www | {"servers": [knot.address, nobody]}, f"connection refused at {nobody}"),
            "all_bad": (
                both | {"query": "none.example.test"},
                "; ".join(f"none.example.test does not exist (NXDOMAIN) {each}" for each in (at, elsewhere)),
            ),
        }  # fmt: skip
        outcome, found = results({name: keys for name, (keys, _) in cases.items()})
    assert found == {name: message for name, (_, message) in cases.items()}
    metrics = metrics_of(outcome, "dns_records[any]")
    assert [*metrics] == ["response", "records"]
    assert 0 < metrics["response"]["value"] <= outcome.checks["dns_records[any]"]["duration"]
    assert metrics["records"]["value"] == 2
    assert metrics_of(outcome, "dns_records[by_tcp]")["records"]["value"] == MANY
    assert metrics_of(outcome, "dns_records[no_name]")["records"]["value"] == 0
    assert metrics_of(outcome, "dns_records[nobody]")["records"]["value"] == 2


def reply(data, *records, code=dns.rcode.NOERROR, flags=0, number=None):
    """Return a response to the query in `data`."""
    made = dns.message.make_response(dns.message.from_wire(data))
    made.set_rcode(code)
    made.flags |= flags
    made.id = made.id if number is None else number
    made.answer += [dns.rrset.from_text(made.question[0].name, 300, "IN", "A", each) for each in records]
    return made.to_wire(max_size=65535)


def forged(data):
    """The response comes after some that only look like it: another id, another question, half of one."""
    other = reply(dns.message.make_query("other.test.", "A", id=dns.message.from_wire(data).id).to_wire(), "192.0.2.66")
    number = dns.message.from_wire(data).id ^ 1
    return [reply(data, "192.0.2.66", number=number), other, data[:20], data, reply(data, "192.0.2.1")]


def lossy():
    """Every first query is lost."""
    count = itertools.count()
    return lambda data: [reply(data, "192.0.2.1")] if next(count) % 2 else []


def cut(data):
    return [reply(data, flags=dns.flags.TC)]


def of_tcp(make):
    """What a connection gets: its length, and the response that `make` makes of the query."""

    def act(connection):
        data = connection.recv(65536)[2:]
        response = make(data)
        connection.sendall(struct.pack("!H", len(response)) + response)

    return act


BAD = {
    "garbage": (lambda _: [b"\x00\x01GARBAGE \xff"], None, "response is not DNS at PEER: '\\x00\\x01GARBAGE \ufffd'"),
    "empty": (lambda _: [b"\x00"], None, "response is not DNS at PEER: '\\x00'"),
    "echo": (lambda data: [data], None, "response to another question at PEER"),
    "other_id": (lambda data: [reply(data, number=0)], None, "response to another question at PEER"),
    "flood": (lambda data: [data[:11]] * 3000, None, "response is not DNS at PEER: *"),
    "forged": (forged, None, "ok"),
    "lossy": (lossy(), None, "ok"),
    "silent": (lambda _: [], None, "no response from PEER within 7.2 s"),
    "server_failure": (lambda data: [reply(data, code=dns.rcode.SERVFAIL)], None, "SERVFAIL for A of *"),
    "no_edns": (lambda data: [reply(data, code=dns.rcode.FORMERR)], None, "FORMERR for A of www.example.test at PEER"),
    "cut": (cut, None, "response cut off, and by TCP: connection refused at PEER"),
    "cut_and_right": (cut, of_tcp(lambda data: reply(data, "192.0.2.1")), "ok"),
    "cut_and_silent": (cut, stay, "response cut off, and by TCP: no response from PEER within 7.2 s"),
    "cut_and_closed": (cut, says(), "response cut off, and by TCP: response is not DNS at PEER: it ends early"),
    "cut_and_short": (
        cut, at_once(b"\x01\x00half"), "response cut off, and by TCP: *",
    ),
    "cut_and_garbage": (
        cut, of_tcp(lambda _: b"HTTP/1.1 400 Bad Request"),
        "response cut off, and by TCP: response is not DNS at PEER: 'HTTP/1.1 400 Bad Request'",
    ),
    "cut_and_flood": (cut, floods(b"\xff" * 1000), "response cut off, and by TCP: response is not DNS at PEER: *"),
}  # fmt: skip


@reliability(
    "Messages",
    fault="a name server is silent, sends garbage, forged responses, an endless stream, or half of a response",
    promise="fails within the timeout with what came; forged responses before the right one change nothing",
)
def test_bad_servers(results):
    with contextlib.ExitStack() as stack:
        ports = {}
        for name, (datagrams, stream, _) in BAD.items():
            port = stack.enter_context(peer(stream)) if stream else 0
            ports[name] = stack.enter_context(datagram_peer(datagrams, port))
        keys = {"query": "www.example.test", "expect": "192.0.2.1"}
        times = {name: 8 if "within 7.2 s" in message else 15 for name, (_, _, message) in BAD.items()}
        _, found = results(
            {name: keys | {"servers": [f"{HOST}:{ports[name]}"], "timeout": times[name]} for name in BAD}
        )
    found = {name: text.replace(f"{HOST}:{ports[name]}", "PEER") for name, text in found.items()}
    for name, (_, _, expected) in BAD.items():
        assert re.fullmatch(re.escape(expected).replace(r"\*", ".*"), found[name]), (name, found[name])


def test_largest_response():
    """64 kB of the smallest records are read; a thousand are kept."""

    def large(data):
        head = reply(data)
        record = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x01\x2c\x00\x04"
        count = (65_000 - len(head)) // 16
        records = b"".join(record + struct.pack("!I", number) for number in range(count))
        question = head[12 : head.index(b"\x00", 12) + 5]
        return head[:6] + struct.pack("!HHH", count, 0, 0) + question + records

    with peer(of_tcp(large)) as port, datagram_peer(cut, port):
        (found,) = ask(parse_question("www.example.test", "A"), [Nameserver(HOST, port)])
    assert found.fault == ""
    assert len(found.records) == 1000


def test_silent_servers_are_waited_for_together(results):
    """Ten of them cost one timeout, and the one that replies is right."""
    with contextlib.ExitStack() as stack:
        ports = [stack.enter_context(datagram_peer(lambda _: [])) for _ in range(10)]
        keys = {"query": "www.example.test", "servers": [f"{HOST}:{port}" for port in ports], "timeout": 4}
        outcome, found = results({"main": keys})
    assert found["main"].count("no response from") == 10
    assert outcome.duration < IN_TIME


def test_servers_of_the_system(monkeypatch, knot):
    """The first one that replies counts, as for the programs of this machine."""
    from healthchecks.plugin.probes.fixture import probe_of
    from healthchecks.test_dns import replies

    nobody, here = Nameserver(HOST, free_port()), parse_server(knot.address)
    monkeypatch.setattr("healthchecks.test_dns.system_servers", lambda: (nobody, here))
    function = probe_of(replies._get_wrapped_function()).function
    assert [each.records for each in function(Dns(query="www.example.test"))] == [("192.0.2.1", "192.0.2.2")]
    missing = function(Dns(query="none.example.test"))
    assert [each.fault.split()[0] for each in missing] == ["connection", "none.example.test"]


def test_no_servers_of_the_system(monkeypatch):
    import dns.resolver

    def fail(*_, **__):
        raise dns.resolver.NoResolverConfiguration

    monkeypatch.setattr(dns.resolver, "Resolver", fail)
    assert system_servers() == ()


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("192.0.2.53", Nameserver("192.0.2.53", 53)),
        ("192.0.2.53:5353", Nameserver("192.0.2.53", 5353)),
        ("2001:db8::53", Nameserver("2001:db8::53", 53)),
        ("[2001:db8::53]", Nameserver("2001:db8::53", 53)),
        ("[2001:DB8::53]:5353", Nameserver("2001:db8::53", 5353)),
    ],
)
def test_server(text, server):
    assert parse_server(text) == server


def test_address_for_a_pointer():
    assert parse_question("192.0.2.1", "PTR").name == "1.2.0.192.in-addr.arpa"
    assert parse_question("1.2.0.192.in-addr.arpa", "PTR").name == "1.2.0.192.in-addr.arpa"
    assert parse_question("bücher.example", "A").name == "xn--bcher-kva.example"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"query": "a..b"}, "is not a name"),
        ({"query": "x" * 64}, "is not a name"),
        ({"query": "a", "type": "ANY"}, "type"),
        ({"query": "a", "servers": ["ns1.example.com"]}, "is no address"),
        ({"query": "a", "servers": "192.0.2.1:0"}, "a port is a number"),
        ({"query": "a", "servers": "192.0.2.1:70000"}, "a port is a number"),
        ({"query": "a", "expect": "2001:db8::1"}, "is no A record"),
        ({"query": "a", "type": "MX", "contains": "mail.example.com"}, "is no MX record: write it as in a zone file"),
        ({"query": "a", "expect": "192.0.2.1", "contains": "192.0.2.1"}, "either expect"),
        ({"query": "a", "servers": ["192.0.2.1"] * 21}, "servers"),
    ],
)
def test_wrong_keys(keys, message):
    with pytest.raises(ValueError, match=message):
        Dns(**keys)
