"""The pages of the test website, and the program that serves them.

A page is a function of the request that gives an Answer, registered by its path; a path below it that has
no page of its own is its too: /status/503 is answered by /status.
"""

import base64
import gzip
import html
import itertools
import json
import secrets
import ssl
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

from tests.servers import child
from tests.servers.server import HOST
from tests.servers.website import BOOKMARKLET_TEXT, PASSWORD, USER

TEXT = {"Content-Type": "text/html; charset=utf-8"}


@dataclass
class Answer:
    """What a page gives; a body that is an iterator is sent until the client has enough."""

    body: bytes | Iterator[bytes] = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Visit:
    """A request as the pages see it."""

    method: str
    path: str
    rest: str  # of the path, below the page
    query: dict[str, str]
    headers: dict[str, str]
    cookies: dict[str, str]
    body: bytes

    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))


Page = Callable[[Visit], Answer]
PAGES: dict[str, Page] = {}
SESSIONS: dict[str, dict[str, str]] = {}  # cookie → what is known of the visitor
FAILURES: Counter[str] = Counter()


def page(path: str) -> Callable[[Page], Page]:
    def register(function: Page) -> Page:
        PAGES[path] = function
        return function

    return register


def document(title: str, content: str, status: int = 200, **headers: str) -> Answer:
    text = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f"<body><h1>{title}</h1>{content}</body></html>"
    )
    return Answer(text.encode(), status, TEXT | headers)


def redirect(to: str, status: int = 303, **headers: str) -> Answer:
    return Answer(b"", status, {"Location": to} | headers)


@page("/")
def home(visit: Visit) -> Answer:
    if visit.rest:
        return document("Not found", "<p>There is no such page.</p>", 404)
    return document("Welcome", '<p>Grüße!</p><a href="/login">Log in</a>')


@page("/login")
def login(visit: Visit) -> Answer:
    """A session of its own for each visitor; the token in its form is asked for; a wrong password is 200."""
    cookie = visit.cookies.get("session", "")
    session = SESSIONS.get(cookie)
    if visit.method != "POST" or session is None:
        cookie = secrets.token_hex(8)
        session = SESSIONS[cookie] = {"token": secrets.token_hex(8)}
        return login_form(session, "", **{"Set-Cookie": f"session={cookie}; Path=/; HttpOnly"})
    form = visit.form()
    if form.get("csrf_token") != session["token"]:
        return document("Forbidden", "<p>The form has no valid token.</p>", 403)
    if (form.get("user"), form.get("password")) != (USER, PASSWORD):
        return login_form(session, "Wrong name or password.")
    session["user"] = USER
    return redirect("/members")


def login_form(session: dict[str, str], message: str, **headers: str) -> Answer:
    return document(
        "Log in",
        f'<form action="/search"><input name="q"><button>Search</button></form>'
        f'<p role="alert">{html.escape(message)}</p><form method="post" action="/login">'
        f'<input type="hidden" name="csrf_token" value="{session["token"]}">'
        '<input name="user"><input name="password" type="password">'
        '<input type="checkbox" name="remember" value="yes"><button>Log in</button></form>',
        **headers,
    )


@page("/members")
def members(visit: Visit) -> Answer:
    """Behind the login; strangers are sent there."""
    user = SESSIONS.get(visit.cookies.get("session", ""), {}).get("user")
    return document("Members", f"<p>Welcome back, {user}</p>") if user else redirect("/login", 302)


@page("/bookmarklet")
def bookmarklet(visit: Visit) -> Answer:
    """Where a bookmarklet may insert text; /never takes it out again; /hang is busy for ever."""
    script = {
        "never": "new MutationObserver(() => {const r = document.getElementById('result');"
        " if (r.textContent) r.textContent = ''}).observe(document.body, {childList: true, subtree: true})",
        "hang": "while(1){}",
        "error": "console.error('broken on purpose'); throw new Error('thrown on purpose')",
    }.get(visit.rest, "")
    return document("Bookmarklet", f'<p id="result"></p><script>{script}</script>')


@page("/bookmarklet/text")
def bookmarklet_text(_visit: Visit) -> Answer:
    return Answer(BOOKMARKLET_TEXT.encode(), headers={"Content-Type": "text/plain"})


@page("/attachment")
def attachment(_visit: Visit) -> Answer:
    """What browsers keep as a file: 60 MB, as long as they take it."""
    headers = {"Content-Type": "application/octet-stream", "Content-Disposition": "attachment; filename=file.bin"}
    return Answer(itertools.repeat(bytes(1_000_000), 60), headers=headers)


@page("/asked")
def asked(_visit: Visit) -> Answer:
    """For scripts of pages: the paths of all requests since the last `forget()`."""
    with Handler.lock:
        lines = (Handler.directory / "requests.jsonl").read_text().splitlines()
    return as_json([json.loads(line)["path"] for line in lines])


@page("/json")
def json_page(_visit: Visit) -> Answer:
    content = {"status": "ok", "workers": {"busy": 2, "idle": 6}, "queues": [{"name": "mail", "waiting": 3}]}
    return as_json(content)


@page("/echo")
def echo(visit: Visit) -> Answer:
    """What was sent: method, query, headers, body."""
    shown = {"method": visit.method, "query": visit.query, "headers": visit.headers}
    return as_json({**shown, "body": visit.body.decode(errors="replace")}, **{"X-Served-By": "test website"})


def as_json(content: Any, **headers: str) -> Answer:
    return Answer(json.dumps(content).encode(), headers={"Content-Type": "application/json"} | headers)


@page("/slow")
def slow(visit: Visit) -> Answer:
    """/slow?seconds=2"""
    time.sleep(float(visit.query.get("seconds", "1")))  # a slow page is what it is for
    return document("Welcome", "<p>It took a while.</p>")


@page("/status")
def status(visit: Visit) -> Answer:
    """/status/503"""
    return document(f"Status {int(visit.rest)}", "", int(visit.rest))


@page("/flaky")
def flaky(visit: Visit) -> Answer:
    """/flaky/NAME?failures=2 answers 503 twice, then 200."""
    FAILURES[visit.rest] += 1
    failing = FAILURES[visit.rest] <= int(visit.query.get("failures", "1"))
    return document("Unavailable", "", 503) if failing else document("Welcome", "")


@page("/basic")
def basic(visit: Visit) -> Answer:
    expected = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    if visit.headers.get("authorization") != expected:
        return document("Unauthorized", "", 401, **{"WWW-Authenticate": 'Basic realm="test"'})
    return document("Welcome", "<p>You are known.</p>")


@page("/redirect")
def redirect_chain(visit: Visit) -> Answer:
    """/redirect/3 comes home after three steps."""
    left = int(visit.rest) - 1
    return redirect(f"/redirect/{left}" if left > 0 else "/", 302)


@page("/redirect/loop")
def redirect_loop(visit: Visit) -> Answer:
    """For ever, in steps of 0.9 s, or of ?seconds=."""
    seconds = float(visit.query.get("seconds", "0.9"))  # below the time limit of each single request
    time.sleep(seconds)
    return redirect(f"{visit.path}?seconds={seconds}", 302)


@page("/large")
def large(visit: Visit) -> Answer:
    """/large?bytes=10000000"""
    return Answer(b"a" * int(visit.query.get("bytes", "10000000")), headers=TEXT)


@page("/endless")
def endless(_visit: Visit) -> Answer:
    return Answer(itertools.repeat(b"a" * 65536), headers=TEXT)


@page("/bomb")
def bomb(_visit: Visit) -> Answer:
    """Compressed: each megabyte that is sent is a gigabyte when unpacked."""
    member = gzip.compress(bytes(10_000_000))
    return Answer(itertools.repeat(member), headers=TEXT | {"Content-Encoding": "gzip"})


def find(path: str) -> tuple[Page, str]:
    """The page of a path, and what of the path is below it."""
    name, rest = path, ""
    while name not in PAGES:
        name, _, last = name.rpartition("/")
        rest = f"{last}/{rest}".rstrip("/")
        name = name or "/"
    return PAGES[name], rest


class Handler(BaseHTTPRequestHandler):
    """Logs every request before it is answered, so that a test that has the answer finds it there."""

    protocol_version = "HTTP/1.1"
    directory: Path  # of the site: log of requests, answers set by tests
    lock = threading.Lock()

    def respond(self) -> None:
        visit = self.visit()
        self.record(visit)
        try:
            function, visit.rest = find(visit.path)
            answer = self.override(visit) or function(visit)
        except ValueError as error:
            answer = document("Bad request", html.escape(str(error)), 400)
        try:
            self.send(answer)
        except OSError:  # the client has enough, or is gone
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = respond  # noqa: N815 - http.server's names

    def visit(self) -> Visit:
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        headers = {name.lower(): value for name, value in self.headers.items()}
        cookies = {name: each.value for name, each in SimpleCookie(headers.get("cookie", "")).items()}
        body = self.rfile.read(int(headers.get("content-length", "0")))
        return Visit(self.command, url.path, "", query, headers, cookies, body)

    def record(self, visit: Visit) -> None:
        body = visit.body.decode(errors="replace")
        line = {"method": visit.method, "path": self.path, "headers": visit.headers, "body": body}
        with self.lock, (self.directory / "requests.jsonl").open("a") as log:
            log.write(json.dumps(line) + "\n")

    def override(self, visit: Visit) -> Answer | None:
        answers = json.loads((self.directory / "answers.json").read_bytes())
        if (found := answers.get(visit.path)) is None:
            return None
        return Answer(found["text"].encode(), found["status"], TEXT | found["headers"])

    def send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if isinstance(answer.body, bytes):
            self.send_header("Content-Length", str(len(answer.body)))
        else:
            self.send_header("Connection", "close")  # http.server then closes it, too
        self.end_headers()
        if self.command != "HEAD":
            for part in [answer.body] if isinstance(answer.body, bytes) else answer.body:
                self.wfile.write(part)


class Site(ThreadingHTTPServer):
    """Takes thousands of connections; says nothing about clients that break off, or distrust it."""

    daemon_threads = True
    request_queue_size = 4096

    def __init__(self, port: int, context: ssl.SSLContext | None) -> None:
        super().__init__((HOST, port), Handler)
        self.context = context

    def finish_request(self, request: Any, client_address: Any) -> None:
        """In the thread of the connection: a slow handshake keeps nobody else waiting."""
        if self.context:
            request = self.context.wrap_socket(request, server_side=True)
        super().finish_request(request, client_address)

    def handle_error(self, _request: Any, _client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):
            super().handle_error(_request, _client_address)


def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def serve(ports: dict[str, int], directory: Path) -> None:
    """One port without TLS (its name is empty), and one for each certificate."""
    Handler.directory = directory
    sites = [Site(port, tls(directory / f"{name}.pem") if name else None) for name, port in ports.items()]
    threads = [threading.Thread(target=site.serve_forever) for site in sites]
    for thread in threads:
        thread.start()
    child.ready()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    child.end_with_parent()
    child.raise_descriptor_limit()
    serve(json.loads(sys.argv[1]), Path(sys.argv[2]))
