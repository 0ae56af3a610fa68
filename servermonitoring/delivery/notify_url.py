"""URLs of `[alerts] notify`: each is a service of apprise with its account, and a secret as a whole.

The forms are those of https://appriseit.com/services/. Only apprise knows which is right: `notify_services` asks it.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from servermonitoring.configuration import nearest, relative_to_file
from servermonitoring.delivery.alert_filter import JSON_SCHEMA, AlertFilter
from servermonitoring.files import read_regular
from servermonitoring.scrubbing import looks_secret, remember
from servermonitoring.secret import FILE_PREFIX, Secret

MOST_URLS = 50
_LARGEST = 65_536  # bytes of a file
_LONGEST = 1000  # characters of a URL: all of them fit into a pipe
_URL = re.compile(r"([a-z0-9]{1,32})://\S.*", re.IGNORECASE)
_KEY = 8  # characters from which a part of a path may be a key
_LONG_KEY = 16  # of what stands where others have the host
_KEYS = ("url", "only")
_ENTRY_SCHEMA = {
    "anyOf": [
        {"type": "string"},
        {
            "type": "object",
            "properties": {"url": {"type": "string"}, "only": JSON_SCHEMA},
            "required": ["url"],
            "additionalProperties": False,
        },
    ]
}
_FORM = (
    'write the URL of a service as apprise has it, such as "slack://…", or file:PATH of a file with one in each line'
)


class NotifyUrl(Secret):
    """One URL, where it is configured ("entry 2", "line 3 of /etc/servermonitoring/notify"), and what it takes."""

    __slots__ = ("only", "place")

    def __init__(self, url: str, place: str, only: AlertFilter = AlertFilter()) -> None:  # noqa: B008 - frozen
        super().__init__(url)
        self.place, self.only = place, only
        for part in _keys_in(url):
            remember(part)

    @property
    def service(self) -> str:
        """The part before "://", in lower case: "slack"."""
        return self.reveal().partition("://")[0].lower()

    def __reduce__(self) -> tuple[Any, ...]:
        return NotifyUrl, (self.reveal(), self.place, self.only)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> Any:
        """Return pydantic's schema of one that is loaded already; called by pydantic only."""
        from pydantic_core import core_schema

        loaded = core_schema.is_instance_schema(cls)
        return core_schema.json_or_python_schema(json_schema=core_schema.any_schema(), python_schema=loaded)

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: Any, _handler: Any) -> dict[str, Any]:
        """Return the JSON schema of an entry; called by pydantic only."""
        return _ENTRY_SCHEMA


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
    if not isinstance(entries, list | tuple) or not all(isinstance(each, str | dict) for each in entries):
        return [], [f"is a list of texts: {_FORM}"]
    found: list[NotifyUrl] = []
    wrong: list[str] = []
    for number, entry in enumerate(entries, 1):
        try:
            text, only = _url_and_filter(entry, f"entry {number}", wrong)
            lines = [*_lines(text, f"entry {number}", configuration)]
        except ValueError as error:
            wrong.append(str(error))
            continue
        for text, place in lines:
            url = NotifyUrl(text, place, only)
            if not _is_url(text):
                wrong.append(f"{place}: {_FORM}")
            elif url in found:
                wrong.append(f"{place} is the same as {found[found.index(url)].place}")
            else:
                found.append(url)
    if len(found) > MOST_URLS:
        wrong.append(f"{len(found)} URLs are too many: write at most {MOST_URLS}")
    return found[:MOST_URLS], wrong


def _url_and_filter(entry: str | dict[str, Any], place: str, wrong: list[str]) -> tuple[str, AlertFilter]:
    """Return both of an entry; what is wrong with all but its URL is added to `wrong`. Raise ValueError without one."""
    if isinstance(entry, str):
        return entry, AlertFilter()
    wrong += [f'{place}: unknown key "{key}"{nearest(key, _KEYS)}' for key in entry if key not in _KEYS]
    if not isinstance(url := entry.get("url"), str):
        raise ValueError(f'{place}: needs a url: write {{ url = "slack://…", only = ["error"] }}')  # noqa: TRY004
    if "only" not in entry:
        return url, AlertFilter()
    try:
        return url, AlertFilter.parse(entry["only"])
    except ValueError as error:
        wrong.append(f"{place}: only: {error}")
        return url, AlertFilter()


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
