"""How a wrong value is repeated in the message about it: in short, and never where it could be a secret."""

from collections.abc import Iterable, Iterator

from servermonitoring import credentials
from servermonitoring.scrubbing import is_sensitive, scrub_and_cut

_LONGEST = 100  # characters
_LIKE_A_KEY = 20  # characters of letters and digits without a break


def echo(value: object, path: Iterable[str | int] = ()) -> str:
    """Return the value's repr; nothing where the path of its key, or the value itself, says that it may be secret."""
    if any(is_sensitive(str(part)) for part in path) or any(map(_may_be_secret, _texts(value))):
        return ""
    return scrub_and_cut(repr(value), _LONGEST)


def told(message: str, value: object, path: Iterable[str | int] = ()) -> str:
    """Return a message about a value as it is, or without the value where that may be secret."""
    return message if echo(value, path) else without(message, value)


def without(message: str, value: object) -> str:
    """Return a message that others made without the value in it, and without the texts that the value holds."""
    for text in (repr(value), str(value), *_texts(value)):
        if text.strip():
            message = message.replace(text, "the value")
    return message


def _may_be_secret(text: str) -> bool:
    return any(credentials.values(text)) or any(_is_like_a_key(word) for word in text.split())


def _is_like_a_key(word: str) -> bool:
    """Long, of letters and digits, and no address or path: what services give out as tokens."""
    return len(word) >= _LIKE_A_KEY and credentials.looks_secret(word) and not set("/.") & set(word)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from (str(key), *_texts(each))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)
