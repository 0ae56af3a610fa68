"""Names of the services of `[alerts] notify`, and of their spools, kept in a file: asking apprise takes half a second.

The file holds a key of this host, so that passwords cannot be tried out on it, or on the name of a spool.
"""

import hashlib
import hmac
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from servermonitoring.delivery.notify_process import services_of
from servermonitoring.delivery.notify_url import NotifyUrl
from servermonitoring.files import private_directory, read_regular, write_whole

NAME = "notify.json"
_LARGEST = 100_000  # bytes
_SHORT = 8  # hexadecimal digits in the name of a spool


class NotifyServices:
    """What is known of the URLs on this host; `directory` is the one of all spools."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / NAME
        self._key, self._known = _read(self._path)
        self.wrong: list[str] = []
        """What is wrong with URLs, in words, without the URL."""

    def names(self, urls: Sequence[NotifyUrl]) -> dict[NotifyUrl, str]:
        """Return a name for each right URL, for people: "Slack", of several "Slack 1" and "Slack 2".

        The others are left out and described in `wrong`. Raise ValueError if apprise cannot be asked.
        """
        digests = {url: self._digest(f"{_version()} {url.reveal()}") for url in urls}
        if not all(digest in self._known for digest in digests.values()):
            self._ask(digests)
        return _numbered({url: self._known[digest] for url, digest in digests.items() if digest in self._known})

    def spool(self, url: NotifyUrl) -> str:
        """Return the name of its spool: "notify-slack-1a2b3c4d", the same in each run."""
        return f"notify-{url.service}-{self._digest(url.reveal())[:_SHORT]}"

    def _ask(self, digests: Mapping[NotifyUrl, str]) -> None:
        services = dict(zip(digests, services_of([each.reveal() for each in digests]), strict=True))
        errors = {url: each["error"] for url, each in services.items() if "error" in each}
        self.wrong = [f"{url.place} ({url.service}://…) {error}" for url, error in errors.items()]
        self._known = {digests[url]: each["name"] for url, each in services.items() if url not in errors}
        with suppress(OSError):  # then it is asked again by the next run
            private_directory(self._path.parent, root_may_share=True)
            write_whole(self._path, json.dumps({"key": self._key.hex(), "services": self._known}), durable=False)

    def _digest(self, text: str) -> str:
        return hmac.new(self._key, text.encode(errors="replace"), hashlib.sha256).hexdigest()


def _read(path: Path) -> tuple[bytes, dict[str, str]]:
    """Return key and names by digest; new ones if the file cannot be read."""
    try:
        document: dict[str, Any] = json.loads(read_regular(path, _LARGEST))
        key = bytes.fromhex(document["key"])
        return key, {str(digest): str(name) for digest, name in document["services"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return os.urandom(16), {}


def _version() -> str:
    try:
        return version("apprise")
    except PackageNotFoundError:
        return ""


def _numbered(names: Mapping[NotifyUrl, str]) -> dict[NotifyUrl, str]:
    counts, seen, numbered = Counter(names.values()), Counter[str](), dict[NotifyUrl, str]()
    for url, name in names.items():
        seen[name] += 1
        numbered[url] = f"{name} {seen[name]}" if counts[name] > 1 else name
    return numbered
