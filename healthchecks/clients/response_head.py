"""The head of a response, up to its body: as http.client reads it, but for what browsers take and that refuses.

Interim responses (1xx) are skipped, hundreds of headers are fine, and a head that is cut or contradicts itself is none.
"""

import http.client
import re
from email.parser import Parser
from typing import Any

from healthchecks import Unhealthy
from healthchecks.clients.excerpt import first_bytes
from healthchecks.clients.progress import Progress, Step
from servermonitoring.values import size_in_words

_MOST_INTERIM = 20
_MOST_HEADERS = 1_000
_MOST_BYTES = 262_144  # of all headers together, as Chromium has it
_SWITCHING_PROTOCOLS, _FIRST_FINAL = 101, 200
_NO_BODY = (204, 304)
_LENGTH = re.compile(r"\d{1,19}", re.ASCII)


class Response(http.client.HTTPResponse):
    """Raises Unhealthy for what is no response."""

    def __init__(self, progress: Progress, *args: Any, **keys: Any) -> None:
        super().__init__(*args, **keys)
        self._progress = progress

    def begin(self) -> None:
        if self.headers is not None:
            return
        version, self.status, reason = self._read_status()
        self.code, self.reason = self.status, reason.strip()
        self.version = 10 if version in ("HTTP/1.0", "HTTP/0.9") else 11
        self.headers = self.msg = self._read_headers()
        self.chunked = (self.headers.get("transfer-encoding") or "").lower() == "chunked"
        self.chunk_left = None
        self.will_close = self._check_close()
        has_body = self.status not in _NO_BODY and self.status >= _FIRST_FINAL and self._method != "HEAD"
        self.length = self._content_length() if has_body else 0
        self.will_close = self.will_close or (not self.chunked and self.length is None)
        self._progress.at(Step.BODY)

    def _read_status(self) -> tuple[str, int, str]:
        """The final status; http.client's own tunnels ask for it, too."""
        for _ in range(_MOST_INTERIM + 1):
            begin = self.fp.peek(1)[:200]
            try:
                version, status, reason = super()._read_status()  # type: ignore[misc]
            except http.client.RemoteDisconnected:
                raise Unhealthy(self._progress.closed) from None
            except http.client.HTTPException:
                raise self._no_http(begin) from None
            if not version.startswith(("HTTP/1.", "HTTP/0.9")):
                raise self._no_http(begin)
            self._progress.at(Step.HEADERS, status)
            if status >= _FIRST_FINAL or status == _SWITCHING_PROTOCOLS:
                return version, status, reason
            self._read_headers()
        raise Unhealthy(f"sends more than {_MOST_INTERIM} interim responses (1xx) at {self._progress.peer}")

    def _read_headers(self) -> http.client.HTTPMessage:
        lines: list[bytes] = []
        size = 0
        while True:
            line = self.fp.readline(_MOST_BYTES + 1 - size)
            size += len(line)
            if not line:
                raise Unhealthy(self._progress.closed)
            if size > _MOST_BYTES:
                raise Unhealthy(f"sends more than {size_in_words(_MOST_BYTES)} of headers at {self._progress.peer}")
            if line in (b"\r\n", b"\n"):
                return Parser(_class=http.client.HTTPMessage).parsestr(b"".join(lines).decode("latin-1"))
            lines.append(line)
            if len(lines) > _MOST_HEADERS:
                raise Unhealthy(f"sends more than {_MOST_HEADERS} headers at {self._progress.peer}")

    def _content_length(self) -> int | None:
        found = {each.strip() for value in self.headers.get_all("content-length", []) for each in value.split(",")}
        if self.chunked or not found:
            return None
        if len(found) == 1 and _LENGTH.fullmatch(length := found.pop()):
            return int(length)
        shown = first_bytes((self.headers["content-length"] or "").encode())
        raise Unhealthy(f"sends a Content-Length that is no number, {shown}, at {self._progress.peer}")

    def _no_http(self, begin: bytes) -> Unhealthy:
        return Unhealthy(f"answers with something that is not HTTP at {self._progress.peer}: {first_bytes(begin)}")
