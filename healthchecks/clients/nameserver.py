"""Name servers: asks each of several for one record set at the same time, by UDP and, where that is cut off, by TCP."""

import ipaddress
import re
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from healthchecks import phase, remaining
from healthchecks.clients.connection import Progress, describe_failed_connection, first_bytes
from servermonitoring import clock
from servermonitoring.scrubbing import scrub_and_cut
from servermonitoring.values import in_words

if TYPE_CHECKING:
    import dns.message
    import dns.name
    import dns.rdata

_PORT = 53
_ATTEMPTS = 3  # by UDP, as dig has them
_SHARE = 0.9  # of the time that is left: the rest is for the message
_MOST_DATAGRAMS = 100  # that are read for one that is the response
_PAYLOAD = 1232  # bytes, of https://www.dnsflagday.net/2020/
_LARGEST_DATAGRAM = 4_096  # bytes; a server may send as many as the payload
_LARGEST_PORT = 65_535
_MOST_SYSTEM_SERVERS = 3  # as the C library has it
_MOST_RECORDS = 1_000  # that are kept
_LONGEST_RECORD = 2_000  # characters that are kept
_FINAL_DOT = re.compile(r"\.(?=\s|$)")
_PLAIN_TEXT = ("TXT", "CAA")  # types whose records are texts: upper case counts


@dataclass(frozen=True)
class Nameserver:
    """Address and port of a server."""

    address: str
    port: int = _PORT

    @property
    def peer(self) -> str:
        return Progress(self.address, self.port).peer


@dataclass(frozen=True)
class Question:
    """What is asked for; the name is absolute, without its final dot."""

    name: str
    type: str

    def __str__(self) -> str:
        return f"{self.type} of {self.name}"


@dataclass(frozen=True)
class Reply:
    """What a server has replied; with a `fault`, which names the server, it has no records."""

    peer: str
    records: tuple[str, ...] = ()
    fault: str = ""
    seconds: float | None = None
    """Until the response; None where there was none."""


def parse_server(text: str) -> Nameserver:
    """Return the server of 192.0.2.53, 192.0.2.53:5353, 2001:db8::53 or [2001:db8::53]:5353. Raise ValueError."""
    bracketed = re.fullmatch(r"\[(?P<address>[^\]]+)\](?::(?P<port>\d{1,5}))?", text)
    plain = re.fullmatch(r"(?P<address>[^:]+)(?::(?P<port>\d{1,5}))?", text)
    found = bracketed or plain
    try:
        address = str(ipaddress.ip_address(found["address"] if found else text))
    except ValueError:
        raise ValueError(f'{text!r} is no address: write "192.0.2.53", "192.0.2.53:5353" or "2001:db8::53"') from None
    port = int(found["port"] or _PORT) if found else _PORT
    if not 1 <= port <= _LARGEST_PORT:
        raise ValueError(f"{text!r}: a port is a number from 1 to {_LARGEST_PORT}")
    return Nameserver(address, port)


def parse_question(name: str, kind: str) -> Question:
    """Return the question; of a PTR record the name may be an address. Raise ValueError for what is no name."""
    import dns.exception
    import dns.name
    import dns.reversename

    try:
        if kind == "PTR" and _is_address(name):
            return Question(str(dns.reversename.from_address(name)).rstrip("."), kind)
        return Question(dns.name.from_text(name).to_text(omit_final_dot=True), kind)
    except (dns.exception.DNSException, UnicodeError):
        raise ValueError('is not a name: write it as in "www.example.com"') from None


def parse_record(kind: str, text: str) -> str:
    """Return a record as replies have it, from the form of zone files. Raise ValueError for another form."""
    import dns.exception
    import dns.name
    import dns.rdata

    if kind == "TXT":
        return text
    try:
        return _text_of(kind, dns.rdata.from_text("IN", kind, text, origin=dns.name.root, relativize=False))
    except (dns.exception.DNSException, ValueError):
        raise ValueError(f"{text!r} is no {kind} record: write it as in a zone file, {_EXAMPLES[kind]}") from None


_EXAMPLES = {
    "A": '"192.0.2.1"',
    "AAAA": '"2001:db8::1"',
    "MX": '"10 mail.example.com"',
    "CNAME": '"www.example.com"',
    "NS": '"ns1.example.com"',
    "SOA": '"ns1.example.com admin.example.com 2026010101 7200 3600 1209600 3600"',
    "CAA": "'0 issue \"letsencrypt.org\"'",
    "SRV": '"10 5 5060 sip.example.com"',
    "PTR": '"host.example.com"',
}


def load_type(kind: str) -> None:
    """Load what reads records of this type: dnspython does it with the first one, in the time of a probe."""
    import dns.rdata
    import dns.rdataclass
    import dns.rdatatype

    dns.rdata.get_rdata_class(dns.rdataclass.IN, dns.rdatatype.from_text(kind))  # type: ignore[no-untyped-call]


def system_servers() -> tuple[Nameserver, ...]:
    """Return the servers of /etc/resolv.conf that the C library asks; none where there is no such file."""
    import dns.exception
    import dns.resolver

    try:
        found = [str(each) for each in dns.resolver.Resolver().nameservers]
        return tuple(parse_server(each) for each in found[:_MOST_SYSTEM_SERVERS])
    except (dns.exception.DNSException, OSError, ValueError):
        return ()


def ask(question: Question, servers: Sequence[Nameserver]) -> list[Reply]:
    """Return the reply of each server, in their order. All are asked at once: one that is silent costs nothing more."""
    phase(f"no response about {question}")
    seconds = remaining() * _SHARE
    with ThreadPoolExecutor(len(servers)) as pool:
        return list(pool.map(lambda server: _ask_one(question, server, seconds), servers))


def _ask_one(question: Question, server: Nameserver, seconds: float) -> Reply:
    """Return the reply, or the message about what came in its place; raise nothing."""
    import dns.exception

    begin = clock.monotonic()
    exchange = _Exchange(question, server, begin + seconds)
    try:
        response = exchange.response()
        records = exchange.records_of(response)
    except _UnfitError as error:
        return Reply(server.peer, fault=f"{exchange.step}{error}")
    except TimeoutError:
        return Reply(server.peer, fault=f"{exchange.step}no response from {server.peer} within {in_words(seconds)}")
    except OSError as error:
        words = describe_failed_connection(error, Progress(server.address, server.port))
        return Reply(server.peer, fault=f"{exchange.step}{words or f'connection closed at {server.peer}'}")
    except (dns.exception.DNSException, ValueError, EOFError) as error:
        return Reply(server.peer, fault=f"{exchange.step}response is not DNS at {server.peer}: {_words_of(error)}")
    return Reply(server.peer, records[0], records[1], clock.monotonic() - begin)


class _UnfitError(Exception):
    """No response came, but something else; the text is the message."""


class _Exchange:
    """One question to one server."""

    def __init__(self, question: Question, server: Nameserver, ends_at: float) -> None:
        import dns.message

        self._question, self._server, self._ends_at = question, server, ends_at
        self._query = dns.message.make_query(f"{question.name}.", question.type, use_edns=0, payload=_PAYLOAD)
        self._family = socket.AF_INET6 if ":" in server.address else socket.AF_INET
        self.step = ""
        """What went before, for the message."""
        self._unfit = ""
        """Message about the last response that does not belong to the question."""

    def response(self) -> "dns.message.QueryMessage":
        import dns.flags

        response = self._by_udp()
        if not response.flags & dns.flags.TC:
            return response
        self.step = "response cut off, and by TCP: "
        return self._by_tcp()

    def _by_udp(self) -> "dns.message.QueryMessage":
        for left in range(_ATTEMPTS, 0, -1):
            until = clock.monotonic() + (self._ends_at - clock.monotonic()) / left
            with socket.socket(self._family, socket.SOCK_DGRAM) as connection:
                connection.connect((self._server.address, self._server.port))  # nothing of others is received
                connection.settimeout(self._time_left())
                connection.send(self._query.to_wire())
                found = self._read_datagrams(connection, until)
            if found:
                return found
            if self._unfit:
                raise _UnfitError(self._unfit)
        raise TimeoutError

    def _read_datagrams(self, connection: socket.socket, until: float) -> "dns.message.QueryMessage | None":
        """Return the response, also after some that do not belong to the question: they may be forged."""
        for _ in range(_MOST_DATAGRAMS):
            if (left := until - clock.monotonic()) <= 0:
                return None
            connection.settimeout(left)
            try:
                data = connection.recv(_LARGEST_DATAGRAM)
            except TimeoutError:
                return None
            if response := self._parsed(data):
                return response
        return None

    def _by_tcp(self) -> "dns.message.QueryMessage":
        address = (self._server.address, self._server.port)
        with socket.create_connection(address, timeout=self._time_left()) as connection:
            wire = self._query.to_wire()
            connection.sendall(len(wire).to_bytes(2) + wire)
            length = int.from_bytes(self._read(connection, 2))
            data = self._read(connection, length)
        if response := self._parsed(data):
            return response
        raise _UnfitError(self._unfit)

    def _read(self, connection: socket.socket, count: int) -> bytes:
        data = b""
        while len(data) < count:
            connection.settimeout(self._time_left())
            part = connection.recv(count - len(data))
            if not part:
                raise EOFError("it ends early")
            data += part
        return data

    def _parsed(self, data: bytes) -> "dns.message.QueryMessage | None":
        """Return the message if it responds to the question; otherwise keep what it is."""
        import dns.exception
        import dns.message

        try:
            message = dns.message.from_wire(data, ignore_trailing=True)
        except (dns.exception.DNSException, ValueError):
            self._unfit = f"response is not DNS at {self._server.peer}: {first_bytes(data)}"
            return None
        if isinstance(message, dns.message.QueryMessage) and self._query.is_response(message):
            return message
        self._unfit = f"response to another question at {self._server.peer}"
        return None

    def records_of(self, response: "dns.message.QueryMessage") -> tuple[tuple[str, ...], str]:
        """Return the records, or a message about why there are none."""
        import dns.message
        import dns.rcode

        name, kind, peer = self._question.name, self._question.type, self._server.peer
        code = dns.rcode.to_text(response.rcode())
        if code == "NXDOMAIN":
            return (), f"{name} does not exist (NXDOMAIN) at {peer}"
        if code != "NOERROR":
            return (), f"{code} for {self._question} at {peer}"
        try:
            chain = response.resolve_chaining()
        except dns.message.ChainTooLong:
            return (), f"{name} is an alias in a loop, or of more than 16, at {peer}"
        if chain.answer is None:
            return (), f"no {kind} record of {name}{self._alias(chain)} at {peer}"
        found = [_text_of(kind, each) for each in list(chain.answer)[:_MOST_RECORDS]]
        return tuple(sorted(found)), ""

    def _alias(self, chain: "dns.message.ChainingResult") -> str:
        name = chain.canonical_name.to_text(omit_final_dot=True)
        return f", an alias of {scrub_and_cut(name, 100)}" if chain.cnames else ""

    def _time_left(self) -> float:
        return max(0.001, self._ends_at - clock.monotonic())


def _text_of(kind: str, record: "dns.rdata.Rdata") -> str:
    """Return a record as people write it: TXT as its text, names without the final dot and in lower case."""
    if kind == "TXT":
        return b"".join(getattr(record, "strings", ())).decode(errors="replace")[:_LONGEST_RECORD]
    text = record.to_text()[:_LONGEST_RECORD]
    return text if kind in _PLAIN_TEXT else _FINAL_DOT.sub("", text).lower()


def _words_of(error: BaseException) -> str:
    return scrub_and_cut(str(error) or type(error).__name__, 100)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
