"""What Alertmanager sends: a receiver in this process."""

import json
import re
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from tests.servers.server import HOST


class Notification(NamedTuple):
    """The document that Alertmanager has sent, and when: monotonic seconds."""

    document: dict[str, Any]
    time: float


class Inbox:
    """Alertmanager's webhook receiver."""

    def __init__(self) -> None:
        self.received: list[Notification] = []
        inbox = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                inbox.received.append(Notification(document, time.monotonic()))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer((HOST, 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://{HOST}:{self.server.server_port}/"

    def configure(self, configuration: str) -> str:
        """The text of alertmanager.yml with this receiver instead of its own."""
        return re.sub(r"email_configs:\n +- to: .*", f"webhook_configs:\n      - url: {self.url}", configuration)

    def firing(self, name: str, **labels: str) -> list[int]:
        """How many alerts each notification about this alert has, of those that fire."""
        wanted = {"alertname": name, **labels}
        groups = [each.document["alerts"] for each in self.received if each.document["groupLabels"] == wanted]
        return [sum(alert["status"] == "firing" for alert in alerts) for alerts in groups]

    def is_quiet_for(self, seconds: float) -> Callable[[], bool]:
        """Return what says whether nothing has come for so long, counted from now at the earliest."""
        began = time.monotonic()
        return lambda: time.monotonic() - max([began, *(each.time for each in self.received[-1:])]) > seconds

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
