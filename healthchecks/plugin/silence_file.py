"""The file of silences in the state directory, and how a run's results end them."""

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from healthchecks.plugin.result import Result
from healthchecks.plugin.silence import Silence, Silences, name_of_check
from servermonitoring import clock
from servermonitoring.files import read_regular, write_whole
from servermonitoring.state_directory import changing

NAME = "silences.json"
MOST = 2_000  # silences
LONGEST_TEXT = 500  # characters of a name, a reason, a user
_LARGEST = 10_000_000  # bytes of the file
_MOST_FAILING = 1_000  # checks of one silence: the recovery of more is not noticed
_VERSION = 1


def read(directory: Path, now: float | None = None) -> Silences:
    """Return the silences in force. Raise OSError or ValueError, which says what is wrong, for a file of another kind.

    `now`: unix seconds, for tests.
    """
    moment = clock.time() if now is None else now
    return Silences(each for each in _read(directory) if each.is_open(moment))


def change(directory: Path, change: Callable[[Silences], Iterable[Silence]]) -> Silences:
    """Replace the silences in force by what `change` makes of them, and return that.

    The directory must exist. Raise OSError, also where another process holds the lock for too long, and ValueError
    for a damaged file or more than MOST silences; the file is then as before.
    """
    with changing(directory):
        changed = [*change(read(directory))]
        if len(changed) > MOST:
            raise ValueError(f"{len(changed)} silences, maximum {MOST}: end some first, or use [maintenance.NAME]")
        document = {"version": _VERSION, "silences": [asdict(each) for each in changed]}
        write_whole(directory / NAME, json.dumps(document))
    return Silences(changed)


def follow(directory: Path, results: Iterable[Result]) -> Silences:
    """Store which silenced checks fail, and end the silences whose checks have all recovered. Return those left.

    Raise OSError or ValueError.
    """
    found = [*results]
    return change(directory, lambda silences: [each for old in silences if (each := _followed(old, found))])


def _followed(silence: Silence, results: Iterable[Result]) -> Silence | None:
    """Return the silence after a run; None if what failed under it has recovered."""
    failing = dict(silence.failing)
    for each in results:
        name = name_of_check(*each.key)
        if silence.name not in (each.extras.get("reference"), name):
            continue
        if each.status.is_failure and (name in failing or len(failing) < _MOST_FAILING):
            failing[name] = 0
        elif each.status.is_passing and name in failing:
            failing[name] += 1
            if failing[name] >= each.success_threshold:
                del failing[name]
    return None if silence.failing and not failing else replace(silence, failing=failing)


def _read(directory: Path) -> list[Silence]:
    try:
        document = json.loads(read_regular(directory / NAME, _LARGEST))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise OSError(error.errno, error.strerror, NAME) from None
    except (ValueError, RecursionError):
        raise ValueError(f"{NAME} is damaged, it is not JSON: remove it") from None
    try:
        return _silences_of(document)
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise ValueError(f"{NAME} is damaged ({str(error)[:200]}): remove it") from None


def _silences_of(document: dict[str, Any]) -> list[Silence]:
    if document["version"] != _VERSION:
        raise ValueError(f"it has version {str(document['version'])[:20]}")
    return [_silence(**each) for each in document["silences"][:MOST]]


def _silence(*, failing: dict[str, Any], until: Any, began: Any, **texts: Any) -> Silence:
    """Return a stored silence. Raise TypeError or ValueError for a wrong one."""
    if not all(isinstance(each, str) and len(each) <= LONGEST_TEXT for each in texts.values()):
        raise TypeError("a text is none")
    if not all(isinstance(each, int | float) and math.isfinite(each) for each in (until, began)):
        raise TypeError("a time is none")
    counts = {str(name): int(count) for name, count in failing.items()}
    return Silence(until=float(until), began=float(began), failing=counts, **texts)
