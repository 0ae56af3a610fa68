"""An incoming webhook that takes and refuses a body as Slack's does.

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
Mattermost, Rocket.Chat and Discord take the same form.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from tests.servers.server import HOST

_LONGEST = 40_000  # characters of a text; Slack cuts what is longer


class Slack:
    """`with Slack() as slack: slack.url("/services/T0/B0/key"); slack.texts`."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []  # those that were taken
        self.refusals: list[str] = []
        self.paths: list[str] = []
        self._server = ThreadingHTTPServer((HOST, 0), _handler(self))
        self._server.daemon_threads = True

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def url(self, path: str) -> str:
        return f"http://{HOST}:{self.port}{path}"

    @property
    def texts(self) -> list[str]:
        return [each["text"] for each in self.messages]

    def take(self, content_type: str, body: bytes) -> str:
        """Return the words of Slack's response; "ok" for a message that it takes."""
        try:
            message = json.loads(body) if content_type.partition(";")[0] == "application/json" else None
        except ValueError:
            message = None
        if not isinstance(message, dict):
            return "invalid_payload"
        text = message.get("text")
        if not isinstance(text, str) or not text.strip():
            return "no_text"
        if len(text) > _LONGEST:
            return "msg_too_long"
        self.messages.append(message)
        return "ok"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(slack: Slack) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            words = slack.take(self.headers.get("Content-Type", ""), body)
            slack.paths.append(self.path)
            if words != "ok":
                slack.refusals.append(words)
            self.send_response(200 if words == "ok" else 400)
            self.send_header("Content-Length", str(len(words)))
            self.end_headers()
            self.wfile.write(words.encode())

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    return Handler
