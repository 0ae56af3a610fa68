"""URLs of `[alerts] notify`: each is a service of apprise with its account, and a secret as a whole.

The forms are those of https://appriseit.com/services/. Only apprise knows which is right: `notify_services` asks it.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from servermonitoring.configuration import relative_to_file
from servermonitoring.files import read_regular
from servermonitoring.scrubbing import looks_secret, remember
from servermonitoring.secret import FILE_PREFIX, Secret

MOST_URLS = 50
_LARGEST = 65_536  # bytes of a file
_LONGEST = 1000  # characters of a URL: all of them fit into a pipe
_URL = re.compile(r"([a-z0-9]{1,32})://\S.*", re.IGNORECASE)
_KEY = 8  # characters from which a part of a path may be a key
_LONG_KEY = 16  # of what stands where others have the host
_FORM = (
    'write the URL of a service as apprise has it, such as "slack://…", or file:PATH of a file with one in each line'
)


class NotifyUrl(Secret):
    """One URL, and where it is configured: "entry 2", "line 3 of /etc/servermonitoring/notify"."""

    __slots__ = ("place",)

    def __init__(self, url: str, place: str) -> None:
        super().__init__(url)
        self.place = place
        for part in _keys_in(url):
            remember(part)

    @property
    def service(self) -> str:
        """The part before "://", in lower case: "slack"."""
        return self.reveal().partition("://")[0].lower()

    def __reduce__(self) -> tuple[Any, ...]:
        return NotifyUrl, (self.reveal(), self.place)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> Any:
        """Return pydantic's schema of one that is loaded already; called by pydantic only."""
        from pydantic_core import core_schema

        loaded = core_schema.is_instance_schema(cls)
        return core_schema.json_or_python_schema(json_schema=core_schema.str_schema(), python_schema=loaded)


def load(entries: object, configuration: Path | None = None) -> tuple[NotifyUrl, ...]:
    """Return the URLs of a list, with those of the files that it names. Raise ValueError with all that is wrong."""
    found, wrong = read(entries, configuration)
    if wrong:
        raise ValueError("; ".join(wrong))
    return tuple(found)


def read(entries: object, configuration: Path | None = None) -> tuple[list[NotifyUrl], list[str]]:
    """Return the right URLs, and in words what is wrong with the others, which are not shown.

    `configuration`: the file that the list is from; a relative path is relative to it.
    """
    if not isinstance(entries, list | tuple) or not all(isinstance(each, str) for each in entries):
        return [], [f"is a list of texts: {_FORM}"]
    found: list[NotifyUrl] = []
    wrong: list[str] = []
    for number, entry in enumerate(entries, 1):
        try:
            lines = [*_lines(entry, f"entry {number}", configuration)]
        except ValueError as error:
            wrong.append(str(error))
            continue
        for text, place in lines:
            url = NotifyUrl(text, place)
            if not _is_url(text):
                wrong.append(f"{place}: {_FORM}")
            elif url in found:
                wrong.append(f"{place} is the same as {found[found.index(url)].place}")
            else:
                found.append(url)
    if len(found) > MOST_URLS:
        wrong.append(f"{len(found)} URLs are too many: write at most {MOST_URLS}")
    return found[:MOST_URLS], wrong


def _lines(entry: str, place: str, configuration: Path | None) -> Iterator[tuple[str, str]]:
    """Yield each URL of an entry with its place; leave out lines of a file that are empty or begin with "#"."""
    if not entry.startswith(FILE_PREFIX):
        yield entry.strip(), place
        return
    path = relative_to_file(configuration, entry.removeprefix(FILE_PREFIX))
    try:
        lines = [line.strip() for line in read_regular(path, _LARGEST).decode("utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise ValueError(f"{place}: cannot read the file {path}: {reason}") from None
    urls = [(line, f"line {number} of {path}") for number, line in enumerate(lines, 1) if line and line[0] != "#"]
    if not urls:
        raise ValueError(f"{place}: the file {path} has no URL")
    yield from urls


def _is_url(text: str) -> bool:
    return len(text) <= _LONGEST and text.isprintable() and _URL.fullmatch(text) is not None


def _keys_in(url: str) -> Iterable[str]:
    """Return the parts that a service or a library may quote by themselves; never the name of a host."""
    rest = url.partition("://")[2].partition("?")[0]
    place, _, path = rest.partition("/")
    login = place.rpartition("@")[0]
    yield from (part for part in re.split(r"[@:]", place) if len(part) >= _LONG_KEY and "." not in part)
    yield from (part for part in [login.partition(":")[2]] if part)
    yield from (part for part in path.split("/") if len(part) >= _KEY and "@" not in part and looks_secret(part))
