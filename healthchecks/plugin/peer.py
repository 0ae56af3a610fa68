"""Peers: other servers with this suite, as their status.json describes them, cut and scrubbed for the page.

A record is made in the worker that has read the document. The last one of each peer is kept in the state directory, so
that the page shows it while the peer is silent.
"""

import functools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from healthchecks.plugin.metric import Metric, make_metric
from servermonitoring.files import read_regular, write_whole
from servermonitoring.scrubbing import scrub_and_cut

if TYPE_CHECKING:
    from pydantic import TypeAdapter

NAME = "peers.json"
MOST_CHECKS = 100  # of one peer
_MOST_PEERS = 1_000
_MOST_RUNS = 60  # of one check, as the page shows of its own
_MOST_UPTIMES = 10
_LONGEST_NAME, _LONGEST_MESSAGE, _LONGEST_LINK = 100, 200, 500  # characters
_LARGEST = 100_000_000  # bytes of the file
_LATEST = 2.0**32  # unix seconds; a later time would not be shown as a date
_FIRST = ("failed", "error", "blocked")
_CONTROL = re.compile(r"[\s\x00-\x1f\x7f-\x9f\ud800-\udfff]+")

PeerStatus = Literal["ok", "slow", "failed", "error", "blocked", "skipped"]
PeerRunStatus = Literal[PeerStatus, "maintenance"]


@dataclass(frozen=True)
class PeerCheck:
    """A check of a peer; times in unix seconds."""

    check: str
    target: str
    label: str
    group: str
    status: PeerStatus
    maintenance: bool
    is_silenced: bool
    message: str
    since: float
    checked_at: float | None
    """When it was last checked, if not in the peer's last run."""
    duration: float
    """Seconds."""
    metric: Metric | None
    """The main one."""
    recent: tuple[tuple[PeerRunStatus, int], ...]
    """Its last runs, the oldest first: status, and number of runs in a row."""
    uptimes: tuple[tuple[int, int, int], ...]
    """Days, runs that passed, runs."""

    @property
    def needs_attention(self) -> bool:
        return self.status in _FIRST and not self.maintenance and not self.is_silenced


@dataclass(frozen=True)
class PeerRecord:
    """What is known of a peer; times in unix seconds."""

    link: str
    """Its page."""
    max_age: float
    """Seconds after which its status.json is stale."""
    host: str = ""
    generated: float | None = None
    """When its last run ended; None if it never had a status.json."""
    is_silent: bool = True
    """Whether the last run of this server did not get its status.json."""
    checks: tuple[PeerCheck, ...] = ()
    """Those that need attention first."""
    counts: tuple[tuple[PeerStatus, int], ...] = ()
    """The number of all its checks by status."""


Peers = Mapping[str, PeerRecord]
"""By reference: peer.web2."""


@dataclass(frozen=True)
class _PeerFile:
    version: Literal[1]
    peers: dict[str, PeerRecord]


def make_record(link: str, max_age: float, document: Mapping[str, Any] | None) -> PeerRecord:
    """Return the record of a status.json with checked types; None stands for a peer that has not sent it.

    Raise KeyError, TypeError or ValueError for what is no such document.
    """
    record = PeerRecord(_text(link, _LONGEST_LINK), float(max_age))
    if document is None:
        return record
    every = sorted(filter(_has_target, (*document["checks"], *document["others"])), key=_needs_no_attention)
    counts = Counter(each["status"] for each in every)
    return replace(
        record,
        host=_text(document["host"], _LONGEST_NAME),
        generated=_seconds(document["generated"]),
        is_silent=False,
        checks=tuple(map(_make_check, every[:MOST_CHECKS])),
        counts=tuple(counts.items()),
    )


def _has_target(entry: Mapping[str, Any]) -> bool:
    """Return False for what stands for a kind without a table: "no [website.NAME] in …"."""
    return entry["status"] != "skipped" or not entry["message"].startswith("no [")


def _needs_no_attention(entry: Mapping[str, Any]) -> bool:
    return entry["status"] not in _FIRST or entry["maintenance"] or entry["silence"] is not None


def _make_check(entry: Mapping[str, Any]) -> PeerCheck:
    check, target = (entry[key][:_LONGEST_NAME] for key in ("check", "target"))  # never scrubbed: the link needs them
    return PeerCheck(
        check=check,
        target=target,
        label=_text(entry["label"] or (f"{check}[{target}]" if target else check), _LONGEST_NAME),
        group=_text(entry["group"], _LONGEST_NAME),
        status=entry["status"],
        maintenance=entry["maintenance"],
        is_silenced=entry["silence"] is not None,
        message=_text(entry["message"], _LONGEST_MESSAGE),
        since=_seconds(entry["since"]),
        checked_at=None if entry["checked_at"] is None else _seconds(entry["checked_at"]),
        duration=entry["duration"],
        metric=_make_metric(*entry["metrics"][:1]),
        recent=_last_runs(entry["recent"]),
        uptimes=tuple((each["days"], each["passed"], each["total"]) for each in entry["uptimes"][:_MOST_UPTIMES]),
    )


def _text(text: str, longest: int) -> str:
    """Return one line without secrets."""
    return scrub_and_cut(_CONTROL.sub(" ", text[: 10 * longest]).strip(), longest)


def _seconds(moment: datetime) -> float:
    """Return unix seconds that can be shown as a date, whatever another server has sent."""
    known = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(max((known - datetime.fromtimestamp(0, UTC)).total_seconds(), 0.0), _LATEST)


def _make_metric(entry: Mapping[str, Any] | None = None) -> Metric | None:
    try:
        return make_metric(**entry) if entry else None
    except ValueError:
        return None


def _last_runs(stretches: Iterable[Mapping[str, Any]]) -> tuple[tuple[PeerRunStatus, int], ...]:
    """Return the last runs, as many as are shown."""
    found: list[tuple[PeerRunStatus, int]] = []
    room = _MOST_RUNS
    for each in reversed([*stretches]):
        if room:
            found.append((each["status"], min(room, each["runs"])))
            room -= found[-1][1]
    return tuple(found[::-1])


def update(known: Peers, found: Peers, is_gone: Callable[[str], bool]) -> Peers:
    """Return the records after a run that has `found` some; one without a document keeps the last checks.

    `is_gone` says of a reference whether its table is no longer configured.
    """
    kept = {name: record for name, record in known.items() if not is_gone(name)}
    for name, record in found.items():
        if record.is_silent and name in kept:
            kept[name] = replace(kept[name], link=record.link, max_age=record.max_age, is_silent=True)
        else:
            kept[name] = record
    return dict(sorted(kept.items())[:_MOST_PEERS])


def read(directory: Path) -> Peers:
    """Return what is known since earlier runs. Raise OSError or ValueError, which says what is wrong."""
    try:
        content = read_regular(directory / NAME, _LARGEST)
    except FileNotFoundError:
        return {}
    try:
        return _adapter().validate_json(content).peers
    except ValueError:
        raise ValueError(f"{NAME} is damaged or of another version") from None


def write(directory: Path, peers: Peers) -> None:
    """Store the records for later runs. Raise OSError."""
    write_whole(directory / NAME, _adapter().dump_json(_PeerFile(1, dict(peers))), durable=False)


@functools.cache
def _adapter() -> "TypeAdapter[_PeerFile]":
    from pydantic import TypeAdapter  # only where there are peers

    return TypeAdapter(_PeerFile)
