"""What Alertmanager sends: a receiver in this process."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.servers.server import HOST


class Inbox:
    """Alertmanager's webhook receiver; `notifications` are the documents it has sent."""

    def __init__(self) -> None:
        self.notifications: list[dict[str, Any]] = []
        inbox = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                inbox.notifications.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
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
        groups = [each for each in self.notifications if each["groupLabels"] == {"alertname": name, **labels}]
        return [sum(alert["status"] == "firing" for alert in group["alerts"]) for group in groups]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
