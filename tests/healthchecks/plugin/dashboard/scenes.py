"""Pages in the states that matter, each made by a real run of pytest on a history of ninety days.

folder = Scene("failing").make(tmp_path)          # folder / "html" / "index.html"
"""

import functools
import json
import random
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from sqlite3 import Connection
from typing import Any, NamedTuple

from healthchecks.plugin import peer
from healthchecks.plugin.history import FinishedRun, archive, metrics, opened
from healthchecks.plugin.history.migration import recount
from healthchecks.plugin.peer import PeerRecord, make_record
from healthchecks.plugin.result import Result, Status
from tests import ROOT
from tests.fork_server import Process
from tests.suite import Suite

INTERVAL = 600  # seconds
DAY = 86400
_LIMIT = 300  # seconds; a run that takes longer hangs
_KIND = """
class {title}(Target):
    pass

@probe
def {kind}_answer({kind}: {title}) -> str:
    return probe_target({kind})
"""
_TEST = """
def test_{check}({kind}, {kind}_answer):
    assert_not_failed("{check}", {kind}, {kind}_answer)
"""
_HEAD = """
import json, logging, os, signal, time
from pathlib import Path
from healthchecks import Target, attach, metric, probe

RUN = os.getpid()
SCRIPT = json.loads(Path("script.json").read_text())

def probe_target(target):
    entry = SCRIPT["probed"].get(target.reference, {})
    time.sleep(entry.get("seconds", 0.01))
    if "attach" in entry:
        attach("page source", entry["attach"])
    return entry.get("log", "")

def assert_not_failed(check, target, answer):
    if answer:
        logging.getLogger(check).warning(answer)
    message = SCRIPT["failures"].get(f"{check} {target.name}", "")
    if message == "SIGTERM":
        os.kill(RUN, signal.SIGTERM)
        time.sleep(5)
    for name, value, unit, limit, lower_limit in SCRIPT["numbers"].get(f"{check} {target.name}", ()):
        metric(name, value, unit, limit=limit, lower_limit=lower_limit)
    assert not message, message
"""


class Number(NamedTuple):
    """A metric that a check reports."""

    name: str
    value: float  # in this run
    unit: str = "none"
    limit: float | None = None
    lower_limit: float | None = None
    growth: float = 0  # each day
    noise: float = 0

    def list_values(self, first: float, count: int) -> Iterator[tuple[int, float]]:
        """Yield time and value of so many runs, the last of them at `first`."""
        chance = random.Random(self.name)
        for ago in range(count):
            change = chance.gauss(0, self.noise) - self.growth * ago * INTERVAL / DAY
            yield int(first) - ago * INTERVAL, max(0.0, self.value + change)


class Check(NamedTuple):
    check: str
    target: str
    seconds: float = 0.05  # what it usually takes
    keys: str = ""  # more lines of its table
    numbers: tuple[Number, ...] = ()

    @property
    def kind(self) -> str:
        return self.check.partition("_")[0]


def _response_time(seconds: float) -> tuple[Number, ...]:
    return (Number("response time", seconds, "seconds", 3, noise=seconds / 6),)


def _disk(used: float, growth: float = 0) -> tuple[Number, ...]:
    return (
        Number("used", used, "ratio", 0.9, growth=growth, noise=0.001),
        Number("free", (1 - used) * 2e11, "bytes"),
        Number("inodes used", 0.07, "ratio", 0.9),
    )


_CONNECTIONS = Number("connections used", 0.31, "ratio", 0.8, noise=0.05)
_SIZE = Number("size", 4.1e10, "bytes", growth=3e7)
CHECKS = (
    Check("website_access", "home", 0.12, numbers=_response_time(0.12)),
    Check("certificate_age", "home", 0.12, numbers=(Number("days left", 62, lower_limit=14, growth=-1),)),
    Check("website_access", "shop", 0.21, 'runbook = "https://wiki.example.com/shop"', _response_time(0.21)),
    Check("website_access", "api", 0.08, numbers=_response_time(0.08)),
    Check("website_access", "intranet", 0.1, 'needs = ["tcp.office"]', _response_time(0.1)),
    Check("login_access", "members", 0.4, numbers=_response_time(0.4)),
    Check("database_access", "main", 0.03, numbers=(_CONNECTIONS, _SIZE)),
    Check("replication_lag", "main", 0.03, numbers=(Number("lag", 0.4, "seconds", 60, noise=0.1),)),
    Check("database_access", "reporting", 0.04, numbers=(_CONNECTIONS,)),
    Check("rabbitmq_access", "main", 0.06, numbers=(Number("messages", 12, limit=1000, noise=6),)),
    Check("tcp_access", "gateway", 0.01),
    Check("tcp_access", "office", 0.01, 'runbook = "call the office"'),
    Check("disk_space", "root", 0.001, 'group = "this machine"', _disk(0.43)),
    Check("disk_space", "data", 0.001, 'group = "this machine"', _disk(0.807, 0.0075)),
)


@dataclass
class Scene:
    """One page. `past` returns status, message and maintenance of a check so many runs ago."""

    checks: tuple[Check, ...] = CHECKS
    days: float = 90
    failures: dict[str, str] = field(default_factory=dict)
    """Messages of failures in the last run, by "check target"; "SIGTERM" ends the run there."""
    past: Callable[[Check, int], tuple[Status, str, bool]] = lambda _check, _ago: (Status.OK, "", False)
    probed: dict[str, dict[str, object]] = field(default_factory=dict)
    settings: str = ""
    kills: tuple[dict[str, object], ...] = ()
    peers: dict[str, PeerRecord] = field(default_factory=dict)
    """What is known of other servers since the run before."""

    def make(self, folder: Path) -> Path:
        """Write the files to a new folder, run it, and return the page."""
        self.lay_out(folder)
        self.run(folder)
        return folder / "html" / "index.html"

    def lay_out(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "test_scene.py").write_text("".join([_HEAD, *self._tests()]))
        (folder / "servermonitoring.toml").write_text(self._configuration(folder))
        usual = {f"{each.kind}.{each.target}": {"seconds": each.seconds} for each in self.checks if self.days}
        numbers = {f"{each.check} {each.target}": [one[:5] for one in each.numbers] for each in self.checks}
        script = {"probed": {**usual, **self.probed}, "failures": self.failures, "numbers": numbers}
        (folder / "script.json").write_text(json.dumps(script))
        state = folder / "state"
        state.mkdir(mode=0o700, exist_ok=True)
        if self.kills:
            (state / "kills.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in self.kills))
        if self.peers:
            peer.write(state, self.peers)
        if self.days:
            history = state / "history.sqlite"
            history.write_bytes(make_history(self.checks, self.days, self.past))
            history.chmod(0o600)

    def run(self, folder: Path, *arguments: str) -> int:
        """Run it as cron does; return the exit status."""
        process = self.start(folder, *arguments)
        return process.wait(_LIMIT)

    def start(self, folder: Path, *arguments: str) -> Process:
        suite = Suite(folder)
        suite.environment["PYTHONPATH"] = str(ROOT)
        with (folder / "output").open("wb") as output:
            return suite.start("-q", *(arguments or ("test_scene.py",)), stdout=output)

    def _tests(self) -> Iterator[str]:
        for kind in dict.fromkeys(each.kind for each in self.checks):
            yield _KIND.format(kind=kind, title=kind.title())
        for name, kind in dict.fromkeys((each.check, each.kind) for each in self.checks):
            yield _TEST.format(check=name, kind=kind)

    def _configuration(self, folder: Path) -> str:
        tables = {f"{each.kind}.{each.target}": each.keys for each in self.checks}
        tables |= {reference: f'url = "{each.link}"' for reference, each in self.peers.items()}
        settings = (
            f'[state]\ndirectory = "{folder}/state"\n[dashboard]\ndirectory = "{folder}/html"\ninterval = "10m"\n'
        )
        return settings + self.settings + "".join(f"[{name}]\n{keys}\n" for name, keys in tables.items())


@functools.cache
def make_history(checks: tuple[Check, ...], days: float, past: Callable[..., tuple[Status, str, bool]]) -> bytes:
    """Return a history of runs, the last of them one interval ago; scenes with the same past share it."""
    with tempfile.TemporaryDirectory() as folder:
        _fill(Path(folder), checks, days, past)
        return (Path(folder) / "history.sqlite").read_bytes()


def _fill(state: Path, checks: tuple[Check, ...], days: float, past: Callable[..., tuple[Status, str, bool]]) -> None:
    first, count = time.time() // 60 * 60 - INTERVAL, round(days * DAY / INTERVAL)
    with opened(state, 400) as history:
        history.add(FinishedRun([_result(each) for each in checks], datetime.fromtimestamp(first, UTC), 1.2))
        ids = {
            (name, target): each
            for each, name, target in history.connection.execute("SELECT id, name, target FROM checks")
        }
        with history.connection as connection:
            connection.execute("DELETE FROM results")
            connection.execute("DELETE FROM facts WHERE name = 'metrics rolled up'")
            connection.executemany(
                "INSERT OR IGNORE INTO runs (time, seconds, interrupted) VALUES (?, 1.2, 0)",
                [(first - ago * INTERVAL,) for ago in range(count)],
            )
            for each in checks:
                connection.executemany(
                    "INSERT INTO results (check_id, time, status, seconds, message, maintenance) VALUES (?,?,?,?,?,?)",
                    _rows(each, ids[each.check, each.target], first, count, past),
                )
                _fill_metrics(connection, each.numbers, ids[each.check, each.target], first, count)
            metrics.roll_up(connection, int(first), 400)
            oldest = first - metrics.VALUES_DAYS * DAY
            connection.execute("DELETE FROM metric_values WHERE time < ?", (oldest,))
            recount(connection)
            while archive.pack_old(connection, int(first)):
                pass


def _fill_metrics(connection: Connection, numbers: tuple[Number, ...], check: int, first: float, count: int) -> None:
    for place, each in enumerate(numbers):
        row = check, each.name, each.unit, each.limit, each.lower_limit, place, first
        query = (
            "INSERT INTO metrics (check_id, name, unit, upper_limit, lower_limit, place, seen) VALUES (?,?,?,?,?,?,?)"
        )
        metric = connection.execute(query, row).lastrowid
        values = ((metric, *one) for one in each.list_values(first, count))
        connection.executemany("INSERT INTO metric_values VALUES (?, ?, ?)", values)


def _rows(each: Check, check: int, first: float, count: int, past: Callable[..., Any]) -> Iterator[tuple[Any, ...]]:
    chance = random.Random(each.target)
    codes = {status: code for code, status in enumerate(Status)}
    for ago in range(count):
        status, message, maintenance = past(each, ago)
        usual = round(max(0.0005, chance.gauss(each.seconds, each.seconds / 6)), 6)
        seconds = {OFFICE: 10.0, SLOW: 3.4}.get(message, usual)
        yield check, first - ago * INTERVAL, codes[status], seconds, message, maintenance


def _result(each: Check) -> Result:
    extras = {"reference": f"{each.kind}.{each.target}"}
    label = f"{each.kind}[{each.target}]"
    return Result(each.check, each.target, label, Status.OK, "", 0.1, datetime.now(UTC), "here", extras=extras)


def now_and_then(each: Check, ago: int) -> tuple[Status, str, bool]:
    """Return a past with a few short failures, slow runs, and the weekly maintenance of one database."""
    chance = zlib.crc32(f"{each.check} {each.target} {ago // 4}".encode()) / 2**32
    if each.target == "reporting" and 700 < ago % 1008 < 712:
        return Status.OK, "", True
    if each.kind == "website" and chance > 0.9985:
        return Status.FAILED, "status 503 instead of 200", False
    if each.kind in ("login", "website") and chance < 0.004:
        return Status.SLOW, SLOW, False
    return Status.OK, "", False


def _failing(each: Check, ago: int) -> tuple[Status, str, bool]:
    key = f"{each.check} {each.target}"
    if key == "website_access shop" and ago < 100:
        return (Status.FAILED, SHOP, False) if ago < 8 else (Status.OK, "", False)
    if key == "tcp_access office" and ago < 61:
        return Status.FAILED, OFFICE, False
    if key == "website_access intranet" and ago < 61:
        return Status.BLOCKED, "behind tcp[office]", False
    if key == "database_access reporting" and ago < 3:
        return Status.FAILED, REPORTING, True
    return now_and_then(each, ago)


SHOP = "status 502 instead of 200: “upstream prematurely closed connection”"
SLOW = "took 3.4 s, more than 3 s"
OFFICE = "no response within 10 s"
REPORTING = "connection refused by db2.example.com:5432"


def _kills() -> tuple[dict[str, object], ...]:
    common = {"rule": "firefox", "pid": 4242, "name": "firefox-esr", "user": 33, "age": 5400, "command": "firefox-esr"}
    message = "uses 1.3 GB, more than 1.2 GB"
    kill = {**common, "time": time.time() - 9 * 3600, "reason": "memory", "message": message, "memory": 1.3e9}
    silent = {**common, "time": time.time() - 30 * 3600, "reason": "silent", "memory": 4e8, "validated": 200.0}
    return ({**silent, "message": "was not validated for 200 s"}, {**kill, "validated": 20.0})


def _other_server(name: str, age: float, *checks: dict[str, Any], is_silent: bool = False) -> dict[str, PeerRecord]:
    """Return a peer whose last run was so many seconds ago; checks have the keys of status.json that are special."""
    since = datetime.fromtimestamp(time.time() - age, UTC)
    usual = {
        "check": "website_access", "target": "home", "label": "", "group": "", "status": "ok", "since": since,
        "duration": 0.12, "message": "", "maintenance": False, "silence": None, "checked_at": None,
        "metrics": [{"name": "response time", "value": 0.12, "unit": "seconds", "limit": 3.0, "lower_limit": None}],
        "recent": [{"status": "ok", "runs": 44}, {"status": "slow", "runs": 1}, {"status": "ok", "runs": 15}],
        "uptimes": [{"days": days, "passed": 143 * days, "total": 144 * days} for days in (1, 7, 30, 90)],
    }  # fmt: skip
    document = {"host": name, "generated": since, "checks": [usual | each for each in checks], "others": []}
    record = make_record(f"https://{name}.example.com/", 1500, document)
    return {f"peer.{name}": replace(record, is_silent=is_silent)}


def _other_servers() -> dict[str, PeerRecord]:
    """Return one with a failure, one that is silent for three hours, and one that was never there."""
    down = {"target": "shop", "status": "failed", "message": SHOP, "recent": [{"status": "failed", "runs": 7}]}
    moved = {"check": "tcp_access", "target": "db", "status": "failed", "message": OFFICE, "maintenance": True}
    never = {"peer.web4": PeerRecord("https://web4.example.com/", 1500)}
    return {
        **_other_server("web2", 240, down, moved, {}, {"check": "disk_space", "target": "root", "status": "slow"}),
        **_other_server("web3", 10800, {}, {"check": "disk_space", "target": "root"}, is_silent=True),
        **never,
    }


def other_servers(count: int) -> dict[str, PeerRecord]:
    """Return so many peers with twenty checks each, one of which has failed on the second."""
    down = {"target": "shop", "status": "error", "message": "KeyError: 'price'"}
    found: dict[str, PeerRecord] = {}
    for number in range(2, 2 + count):
        checks: list[dict[str, Any]] = [{"target": f"n{each:03}"} for each in range(19)]
        found |= _other_server(f"web{number}", 240, *checks, down if number == 3 else {})
    return found


def many(count: int, failing: int) -> Scene:
    """Return so many checks, of which the first ones fail: a large outage."""
    checks = tuple(
        Check(f"{('website', 'database', 'tcp', 'login')[number % 4]}_access", f"n{number:03}")
        for number in range(count)
    )
    bad = {f"{each.check} {each.target}": OFFICE if each.kind == "tcp" else SHOP for each in checks[:failing]}
    return Scene(checks=checks, days=2, failures=bad, past=now_and_then)


def scenes() -> dict[str, Scene]:
    """Return the six scenes of the pictures."""
    log = "GET https://shop.example.com/ → 502 Bad Gateway\nserver: nginx"
    source = "<!DOCTYPE html>\n<title>502 Bad Gateway</title>\n<h1>502 Bad Gateway</h1>"
    return {
        "first": Scene(days=0),
        "ok": Scene(past=now_and_then),
        "failing": Scene(
            past=_failing,
            failures={
                "website_access shop": SHOP,
                "tcp_access office": OFFICE,
                "database_access reporting": REPORTING,
            },
            probed={"website.shop": {"seconds": 0.2, "log": log, "attach": source}},
            settings="[maintenance.move]\nstart = 2026-01-01T00:00:00Z\nend = 2099-01-01T00:00:00Z\n"
            'checks = ["database.reporting"]\n',
            kills=_kills(),
        ),
        "cut": Scene(past=now_and_then, failures={"database_access main": "SIGTERM"}, peers=_other_servers()),
        "storm": replace(many(200, 50), peers=other_servers(5)),
        "sixty": many(60, 0),
    }
