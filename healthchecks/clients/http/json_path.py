"""Values inside JSON, by their dotted paths."""

import json
from collections.abc import Mapping
from typing import Any

from servermonitoring.scrubbing import scrub_and_cut

_LONGEST = 100  # characters of a value in a message


class Absent(LookupError):  # noqa: N818 - it names what was found
    """There is nothing at this path."""


def first_difference(text: str, expected: Mapping[str, Any]) -> str:
    """What of a JSON text is not as expected, the first of it; empty if all is."""
    if not expected:
        return ""
    try:
        document = json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return "the body is not JSON"
    for path, value in expected.items():
        try:
            found = at(document, path)
        except Absent:
            return f"the JSON has no {path}"
        if not _equal(found, value):
            return f"{path} is {_shown(found)} instead of {_shown(value)}"
    return ""


def at(document: Any, path: str) -> Any:
    """The value at "workers.0.state"; a key that holds a dot itself is found as well. Raises Absent."""
    if isinstance(document, dict) and path in document:
        return document[path]
    head, _, rest = path.partition(".")
    while True:
        if (inner := _inner(document, head)) is not None:
            return at(inner[0], rest) if rest else inner[0]
        if not rest:
            raise Absent(path)
        more, _, rest = rest.partition(".")
        head = f"{head}.{more}"


def _inner(document: Any, key: str) -> tuple[Any] | None:
    if isinstance(document, dict) and key in document:
        return (document[key],)
    if isinstance(document, list) and key.isascii() and key.isdigit() and int(key) < len(document):
        return (document[int(key)],)
    return None


def _equal(found: Any, expected: Any) -> bool:
    """As JSON sees it: 1 is 1.0, but true is not 1."""
    return isinstance(found, bool) == isinstance(expected, bool) and bool(found == expected)


def _shown(value: Any) -> str:
    return scrub_and_cut(json.dumps(value, ensure_ascii=False, default=str), _LONGEST)
