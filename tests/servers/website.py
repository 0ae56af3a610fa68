"""A website with what websites have: a login behind a form, slow pages, wrong pages, TLS good and bad.

What is on it stands in pages.py; here is how a test holds it.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tests.servers import certificates
from tests.servers.server import HOST, PythonServer, free_port

USER = "monitor"
PASSWORD = "s3cret p@ss:w/rd%"

# Inserts what the server gives for /bookmarklet/text into the page: "The bookmarklet works".
BOOKMARKLET = (
    "javascript:(()=>{fetch('/bookmarklet/text').then(answer=>answer.text())"
    ".then(text=>{document.getElementById('result').textContent=text})})()"
)
BOOKMARKLET_TEXT = "The bookmarklet works"
BOOKMARKLET_HANGING = "javascript:while(1){}"

TLS = ("good", "expired", "expiring", "self_signed", "other_host")


@dataclass(frozen=True)
class Request:
    """One request, from the website's own log."""

    method: str
    path: str
    headers: dict[str, str]  # names in lower case
    body: str


class Website(PythonServer):
    """`website.url("/login")`; over TLS `website.url("/", tls="expired")`, with a name of TLS."""

    module = "tests.servers.pages"

    def __init__(self) -> None:
        super().__init__()
        self.port = free_port()
        self.tls_ports = {name: free_port() for name in TLS}
        self.certificates = certificates.make(self.directory)
        self._requests = self.directory / "requests.jsonl"
        self._answers = self.directory / "answers.json"
        self.forget()

    @property
    def authority(self) -> Path:
        """The file that a client has to trust."""
        return self.certificates.authority

    def url(self, path: str = "/", *, tls: str | None = None, user: tuple[str, str] | None = None) -> str:
        host = "localhost" if tls else HOST
        login = f"{quote(user[0], safe='')}:{quote(user[1], safe='')}@" if user else ""
        port = self.tls_ports[tls] if tls else self.port
        return f"http{'s' if tls else ''}://{login}{host}:{port}{path}"

    def answer(self, path: str, text: str = "", *, status: int = 200, headers: dict[str, str] | None = None) -> None:
        """From now on, this path (without query) answers so; `forget()` gives the page itself back."""
        self._overrides[path] = {"status": status, "text": text, "headers": headers or {}}
        self._write_overrides()

    def forget(self) -> None:
        """Empty the log of requests, and take back every `answer()`."""
        self._overrides: dict[str, object] = {}
        self._write_overrides()
        self._requests.write_bytes(b"")

    @property
    def requests(self) -> list[Request]:
        """Every request since the last `forget()`, in the order they came."""
        return [Request(**json.loads(line)) for line in self._requests.read_text().splitlines()]

    @property
    def paths(self) -> list[str]:
        return [request.path for request in self.requests]

    def arguments(self) -> list[str]:
        ports = {"": self.port, **self.tls_ports}
        return [json.dumps(ports), str(self.directory)]

    def _write_overrides(self) -> None:
        partial = self._answers.with_suffix(".new")
        partial.write_text(json.dumps(self._overrides))
        partial.replace(self._answers)
