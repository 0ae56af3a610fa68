"""Values in JSON, by dotted path."""

import json
from collections.abc import Mapping
from typing import Any

from servermonitoring.scrubbing import scrub_and_cut

_LONGEST = 100  # characters of a value in a message


class MissingPathError(LookupError):
    """There is no value at this path."""


def first_difference(text: str, expected: Mapping[str, Any]) -> str:
    """Return a message for the first value that is not as expected; empty where all are."""
    if not expected:
        return ""
    try:
        document = json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return "the body is not JSON"
    for path, value in expected.items():
        try:
            found = at(document, path)
        except MissingPathError:
            return f"the JSON has no {path}"
        if not _equal(found, value):
            return f"{path} is {_shown(found)} instead of {_shown(value)}"
    return ""


def at(document: Any, path: str) -> Any:
    """Return the value at "workers.0.state"; keys with dots are found as well. Raise MissingPathError."""
    if isinstance(document, dict) and path in document:
        return document[path]
    head, _, rest = path.partition(".")
    while True:
        if (inner := _inner(document, head)) is not None:
            return at(inner[0], rest) if rest else inner[0]
        if not rest:
            raise MissingPathError(path)
        more, _, rest = rest.partition(".")
        head = f"{head}.{more}"


def _inner(document: Any, key: str) -> tuple[Any] | None:
    if isinstance(document, dict) and key in document:
        return (document[key],)
    if isinstance(document, list) and key.isascii() and key.isdigit() and int(key) < len(document):
        return (document[int(key)],)
    return None


def _equal(found: Any, expected: Any) -> bool:
    """Compare as JSON does: 1 is 1.0, but true is not 1."""
    return isinstance(found, bool) == isinstance(expected, bool) and bool(found == expected)


def _shown(value: Any) -> str:
    return scrub_and_cut(json.dumps(value, ensure_ascii=False, default=str), _LONGEST)
