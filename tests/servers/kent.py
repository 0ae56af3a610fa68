"""kent: keeps whatever is sent to it as Sentry's, check-ins included, and gives it back as it came."""

import contextlib
import json
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any, Self

from tests.servers.server import HOST, Server, ends_with_parent, free_port, tool, until

# As `kent-server run`, which would forget all but the last hundred, and answer otherwise than Sentry does.
_MAIN = """
import gzip, json
from flask import request
from kent import app

def as_sentry(response):
    if request.path.endswith("/envelope/") and response.status_code == 200:
        body = request.get_data()
        body = gzip.decompress(body) if request.headers.get("Content-Encoding") == "gzip" else body
        event_id = json.loads(body.partition(b"\\n")[0]).get("event_id")
        response.set_data(json.dumps({{"id": event_id}} if event_id else {{}}))
    return response

app.EventManager.MAX_EVENTS = 10_000
server = app.create_app()
server.after_request(as_sentry)
server.run({host!r}, {port})
"""


@dataclass
class Envelope:
    """What was sent in one request: events, check-ins; attachments are passed over."""

    header: dict[str, Any]
    items: list[tuple[dict[str, Any], Any]] = field(default_factory=list)  # its header, its body


class Kent(Server):
    """`kent.dsn` is for what is tested; `.envelopes()`, `.events()` and `.check_ins()` return what has come.

    Each test has a project of its own, and sees what came to that one only. All is forgotten by `stop()`.
    """

    def __init__(self) -> None:
        self.python = tool("kent", "python")
        super().__init__()
        self.port, self.project = free_port(), 1

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def dsn(self) -> str:
        return f"http://{'0123456789abcdef' * 2}@{HOST}:{self.port}/{self.project}"

    def fresh(self) -> Self:
        """A new project, with a DSN of its own."""
        self.project += 1
        return self

    def envelopes(self) -> list[Envelope]:
        """In the order in which they came."""
        found: list[Envelope] = []
        for each in self._get("eventlist/")["events"]:
            if each["project_id"] == self.project:
                self._add(found, each["event_id"])
        return found

    def events(self) -> list[dict[str, Any]]:
        return self._bodies("event")

    def check_ins(self) -> list[dict[str, Any]]:
        """Each with check_in_id, monitor_slug, status, and what was said of its schedule."""
        return self._bodies("check_in")

    def command(self) -> list[str]:
        return [*ends_with_parent("KILL"), self.python, "-c", _MAIN.format(host=HOST, port=self.port)]

    def await_ready(self) -> None:
        until(self._answers, 300, what="an answer of kent")

    def _answers(self) -> bool:
        if self.process and self.process.poll() is not None:
            raise RuntimeError("kent ended before it was ready")
        with contextlib.suppress(OSError):
            return "events" in self._get("eventlist/")
        return False

    def _bodies(self, kind: str) -> list[dict[str, Any]]:
        return [body for each in self.envelopes() for header, body in each.items if header.get("type") == kind]

    def _add(self, found: list[Envelope], event_id: str) -> None:
        try:
            payload = self._get(f"event/{event_id}")["payload"]
        except urllib.error.HTTPError:  # it cannot show what is not JSON
            return
        if not found or found[-1].header != payload["envelope_header"]:
            found.append(Envelope(payload["envelope_header"]))
        found[-1].items.append((payload["header"], payload["body"]))

    def _get(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.url}/api/{path}", timeout=60) as answer:
            return json.load(answer)
