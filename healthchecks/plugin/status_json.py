"""status.json: the status of every check, for programs."""

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from healthchecks.plugin.dashboard.card import list_uptimes
from healthchecks.plugin.dashboard.publication import publish
from healthchecks.plugin.dashboard.run_charts import choose_colour
from healthchecks.plugin.history import CheckHistory, Streak
from healthchecks.plugin.result import Result, Status
from healthchecks.plugin.silence import Silence
from servermonitoring.values import iso

NAME = "status.json"
VERSION = 1  # changes with a key that is renamed, removed or means something else

Entries = Sequence[Mapping[str, Any]]


def write(  # noqa: PLR0913 - the keys of the document
    directory: Path, host: str, checks: Entries, others: Entries, *, interrupted: bool, without_result: int
) -> None:
    """Write the file atomically. Raises OSError.

    `others`: the checks that were not in this run, as `make_entries` has them, with `checked_at` as the time of their
    last result; they count for the status. `without_result`: how many checks an interrupted run left out.
    """
    document = {
        "version": VERSION,
        "generated": iso(datetime.now(UTC)),
        "host": host,
        "status": "failed" if any(Status(each["status"]).is_failure for each in (*checks, *others)) else "ok",
        "interrupted": interrupted,
        "without_result": without_result,
        "checks": checks,
        "others": others,
    }
    publish(directory / NAME, _format(document))


def _format(document: Mapping[str, Any]) -> str:
    """Return JSON with a line for each check; json itself takes ten times as long to break lines."""
    lines = ",\n".join(f" {_dump(key)}: {_format_value(value)}" for key, value in document.items())
    return f"{{\n{lines}\n}}\n"


def _format_value(value: object) -> str:
    if not isinstance(value, list) or not value:
        return _dump(value)
    return "[\n" + ",\n".join(f"  {_dump(each)}" for each in value) + "\n ]"


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


Key = tuple[str, str]


def make_entries(results: Iterable[Result], streaks: Mapping[Key, Streak], past: Mapping[Key, CheckHistory]) -> Entries:
    """Return the checks of a run."""
    return [_make_entry(each, streaks.get(each.key)) | make_past(past.get(each.key)) for each in results]


def _make_entry(result: Result, streak: Streak | None) -> dict[str, Any]:
    return {
        "check": result.check,
        "target": result.target,
        "label": result.label,
        "group": result.group,
        "status": str(result.status),
        "since": iso(streak.since if streak else result.started),
        "duration": result.duration,
        "message": result.message,
        "maintenance": result.maintenance,
        "silence": make_silence(result.silence),
        "runbook": result.runbook,
        "metrics": [{**vars(each)} for each in result.metrics],
    }


def make_past(past: CheckHistory | None) -> dict[str, Any]:
    """Return the last runs of a check, those in a row with the same status as one, and its uptimes."""
    if past is None:
        return {"recent": [], "uptimes": []}
    colours = itertools.groupby(map(choose_colour, past.recent))
    uptimes = [{"days": days, **uptime._asdict()} for days, uptime in list_uptimes(past)]
    return {
        "recent": [{"status": colour, "runs": len([*several])} for colour, several in colours],
        "uptimes": uptimes,
    }


def make_silence(silence: Silence | None) -> dict[str, str] | None:
    """Return until when a check is silenced, by which user and why."""
    if silence is None:
        return None
    return {"until": iso(silence.moment), "user": silence.user, "reason": silence.reason}
