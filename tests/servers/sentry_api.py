"""The two calls of Sentry's API that resolve an issue, in front of a real Bugsink, which has others for it.

As https://docs.sentry.io/api/organizations/resolve-an-event-id and https://docs.sentry.io/api/events/update-an-issue
have them; Sentry itself is no server that tests could start.
"""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from tests.servers.bugsink import Bugsink
from tests.servers.server import HOST

TOKEN = "of-the-tests-0123456789"


class SentryApi:
    """`with SentryApi(bugsink) as api: api.url`; `api.requests` are method and path of each."""

    def __init__(self, bugsink: Bugsink) -> None:
        self.requests: list[str] = []
        self._server = ThreadingHTTPServer((HOST, 0), _handler(self, bugsink))
        self.url = f"http://{HOST}:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(api: SentryApi, bugsink: Bugsink) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = re.fullmatch(r"/api/0/organizations/shop/eventids/(\w+)/", self.path)
            found = found or re.fullmatch(r"/api/0/projects/shop/web/events/(\w+)/", self.path)
            issues = {event.event_id.replace("-", ""): event.issue for event in bugsink.events()}
            issue = found and issues.get(found[1])
            self._answer(200 if issue else 404, {"groupId": issue} if "eventids" in self.path else {"groupID": issue})

        def do_PUT(self) -> None:
            content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            found = re.fullmatch(r"/api/0/organizations/shop/issues/([\w-]+)/", self.path)
            issue = next((each for each in bugsink.issues() if found and each.id == found[1]), None)
            if issue and content == {"status": "resolved"} and self._is_authorized():
                bugsink.resolve(issue)
            self._answer(200 if issue else 404, content)

        def _is_authorized(self) -> bool:
            return self.headers["Authorization"] == f"Bearer {TOKEN}"

        def _answer(self, status: int, content: dict[str, Any]) -> None:
            api.requests.append(f"{self.command} {self.path}")
            body = json.dumps(content).encode()
            self.send_response(status if self._is_authorized() else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    return Handler
