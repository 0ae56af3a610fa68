"""Knot: a name server of our own, with the zone that a test writes."""

import signal
from typing import ClassVar

import dns.exception
import dns.message
import dns.query

from tests.servers.server import HOST, Server, as_user, free_port, give_to, program, until

ZONE = "example.test"
USER = "nobody"  # runs it where the tests are run by root
HEAD = f"""
$ORIGIN {ZONE}.
$TTL 300
@ SOA ns1 admin 2026010101 7200 3600 1209600 3600
@ NS ns1
ns1 A 192.0.2.53
"""
MANY = 500  # addresses: too many for a datagram
RECORDS = """
www A 192.0.2.1
www A 192.0.2.2
www AAAA 2001:db8::1
alias CNAME www
elsewhere CNAME www.example.org.
loop CNAME pool
pool CNAME loop
@ MX 10 Mail
@ TXT "v=spf1 " "-all"
@ TXT "Other"
@ CAA 0 issue "letsencrypt.org"
_sip._udp SRV 10 5 5060 sip
""" + "".join(f"many A 10.0.{number // 250}.{number % 250}\n" for number in range(MANY))
CONFIGURATION = """
server:
    rundir: "{home}"
    listen: {host}@{port}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
database:
    storage: "{home}"
    journal-db-max-size: 5M
    kasp-db-max-size: 5M
    timer-db-max-size: 5M
    catalog-db-max-size: 5M
log:
  - target: stderr
    any: warning
zone:
  - domain: {zone}
    file: "{home}/zone"
    journal-content: none
"""


class Knot(Server):
    """`Knot("www A 192.0.2.1")` serves the zone example.test with these lines, on one port by UDP and TCP."""

    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    def __init__(self, records: str = RECORDS) -> None:
        self.knotd = program("knotd")
        super().__init__()
        self.port = free_port()
        self._write("zone", f"{HEAD}{records}\n")
        self._write("knot.conf", CONFIGURATION.format(home=self.directory, host=HOST, port=self.port, zone=ZONE))
        give_to(USER, self.directory)

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    def command(self) -> list[str]:
        return [*as_user(USER, "TERM"), self.knotd, "--config", str(self.directory / "knot.conf")]

    def await_ready(self) -> None:
        until(self._replies, what="reply of Knot")

    def _write(self, name: str, text: str) -> None:
        path = self.directory / name
        path.write_text(text)
        give_to(USER, path)

    def _replies(self) -> bool:
        if self.process and self.process.poll() is not None:
            raise RuntimeError("Knot ended before it was ready")
        try:
            return bool(dns.query.tcp(dns.message.make_query(f"{ZONE}.", "SOA"), HOST, 5, port=self.port).answer)
        except (OSError, EOFError, dns.exception.DNSException):
            return False
