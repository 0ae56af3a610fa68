"""The metrics of many servers, served by one process as their node_exporters would: /HOST.

Run as a program: PORT HOSTS CHECKS. Each host has CHECKS checks: `website_access` of `home`, which all share, and
`disk_usage` of `disk1` and further, each host's own. A POST to / with the JSON object `{"failing": {HOST: [TARGET, …]},
"gone": [HOST, …]}` changes what they report.
"""

import json
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.servers.child import end_with_parent, ready
from tests.servers.server import HOST, PythonServer, free_port

TIME = "@TIME@"


def exposition(count: int, failing: Sequence[str] = ()) -> str:
    """The text of one host, with TIME for the time of the last run."""
    families = [[*family] for family in zip(*(_samples(number, failing) for number in range(count)), strict=True)]
    lines = [line for family in families for line in family]
    lines += [f"healthcheck_last_run_timestamp_seconds {TIME}", "node_textfile_scrape_error 0"]
    return "".join(f"{line}\n" for line in lines)


def _samples(number: int, failing: Sequence[str]) -> Iterator[str]:
    check, target, scope = ("disk_usage", f"disk{number}", "local") if number else ("website_access", "home", "shared")
    labels = f'check="{check}",target="{target}",group=""'
    up = 0 if target in failing else 1
    yield f"healthcheck_up{{{labels}}} {up}"
    yield f"healthcheck_status{{{labels}}} {0 if up else 2}"
    yield f'healthcheck_info{{{labels},severity="critical",scope="{scope}",runbook=""}} 1'
    yield f"healthcheck_duration_seconds{{{labels}}} 0.02"
    unit = "seconds" if number % 5 else "ratio"  # a fifth of the numbers of a server are shares, as those of its disks
    yield f'healthcheck_metric{{{labels},metric="used",unit="{unit}"}} 0.5'
    yield f'healthcheck_metric{{{labels},metric="free",unit="bytes"}} 5e9'
    yield f'healthcheck_metric_limit{{{labels},metric="used",unit="{unit}",bound="upper"}} 0.9'


class Fleet(PythonServer):
    """`hosts` servers with `checks` checks each, the first of them named host0."""

    module = "tests.servers.fleet"

    def __init__(self, hosts: int, checks: int) -> None:
        super().__init__()
        self.hosts, self.checks, self.port = [f"host{number}" for number in range(hosts)], checks, free_port()

    def arguments(self) -> list[str]:
        return [*map(str, (self.port, len(self.hosts), self.checks))]

    def report(self, *, failing: Mapping[str, Sequence[str]] | None = None, gone: Sequence[str] = ()) -> None:
        """From now on: which targets fail on which host, and which hosts do not answer."""
        data = json.dumps({"failing": dict(failing or {}), "gone": list(gone)}).encode()
        with urllib.request.urlopen(f"http://{HOST}:{self.port}/", data, timeout=60):
            pass

    @property
    def job(self) -> str:
        """Of Prometheus' scrape_configs, with an instance for each host."""
        return (
            "{job_name: node, static_configs: [{targets: [" + ", ".join(self.hosts) + "]}], relabel_configs: ["
            "{source_labels: [__address__], target_label: instance}, "
            "{source_labels: [__address__], target_label: __metrics_path__, replacement: '/$1'}, "
            f"{{target_label: __address__, replacement: '{HOST}:{self.port}'}}]}}"
        )


def _serve(port: int, hosts: int, checks: int) -> None:
    healthy = exposition(checks)
    bodies: dict[str, str | None] = {}
    known = {f"host{number}" for number in range(hosts)}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            host = self.path.strip("/")
            body = bodies.get(host, healthy) if host in known else None
            self._answer(503 if body is None else 200, (body or "").replace(TIME, f"{time.time():.0f}").encode())

        def do_POST(self) -> None:
            wanted = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            bodies.clear()
            bodies.update({host: exposition(checks, failing) for host, failing in wanted["failing"].items()})
            bodies.update(dict.fromkeys(wanted["gone"]))
            self._answer(200, b"")

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer((HOST, port), Handler)
    end_with_parent()
    ready()
    server.serve_forever()


if __name__ == "__main__":
    _serve(*map(int, sys.argv[1:]))
