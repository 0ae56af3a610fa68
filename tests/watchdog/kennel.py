"""What the watchdog's tests share: real processes to watch, and the real watchdog to watch them.

Every rule is confined by `command` to a directory of the test's own, which only its browsers name.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue

import pytest

from tests.servers.browsers import UNUSED_FEATURES
from tests.servers.server import pause
from watchdog import memory, processes

WATCHDOG = [str(Path(sys.executable).with_name("watchdog"))]
CHROMIUM_OPTIONS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", UNUSED_FEATURES,
]  # fmt: skip
PREFERENCES = {
    "app.update.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "toolkit.telemetry.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "browser.safebrowsing.update.enabled": False,
    "extensions.update.enabled": False,
    "services.settings.server": "data:,",
    "browser.aboutwelcome.enabled": False,
    "browser.newtab.preload": False,  # a process of its own, for a tab that nobody opens
    "browser.newtabpage.enabled": False,
}
GROWS_WHEN_ENDED = """
import signal, time
held = []
def grow(*_):
    while len(held) < 1000:
        held.append(b"x" * 2 ** 20)
        time.sleep(0.01)
signal.signal(signal.SIGTERM, grow)
held.append(b"x" * 300_000_000)
time.sleep(600)
"""
GROWER = """
import sys, time
rate, limit, page = float(sys.argv[1]), float(sys.argv[2]), 2 ** 20
held, begun = [], time.monotonic()
while len(held) * page < limit:
    while len(held) * page < min(limit, (time.monotonic() - begun) * rate):
        held.append(b"x" * page)
    time.sleep(0.002)
time.sleep(600)
"""


def needed(name):
    """The path of a tool; the test is skipped where it is missing."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"missing: {name}")
    return path


def wait_for(condition, seconds=180.0, what=lambda: "it"):
    """The first true value of the condition, or a failure."""
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at:
        started = time.thread_time()
        value = condition()
        if value:
            return value
        pause(0.01, time.thread_time() - started)
    pytest.fail(f"{what()} did not come true within {seconds} s")
    return None


class Kennel:
    """Starts processes below one directory, and ends all of them, children included."""

    def __init__(self, home):
        self.home = home
        self.started = []
        self.seen = set()

    def start(self, arguments, **options):
        options = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **options}
        process = subprocess.Popen([str(each) for each in arguments], **options)
        self.started.append(process)
        return process

    def stand_in(self, code="import time; time.sleep(600)", *arguments, name="firefox", **options):
        """A process that is called like a browser, and names this test's directory."""
        program = self.home / "bin" / name
        program.parent.mkdir(exist_ok=True)
        if not program.exists():
            program.symlink_to(os.path.realpath(sys.executable))
        process = self.start([program, "-I", "-S", "-c", code, *arguments, f"--marker={self.home}"], **options)
        wait_for(lambda: is_named(process.pid, name), what=lambda: f"the process called {name}")
        wait_for(lambda: any(processes.arguments(process.pid)))  # exec sets it a moment after the name
        return process

    def firefox(self, page="about:blank", *more):
        """Firefox, without window, with a profile of its own."""
        profile = self.home / f"profile{len(self.started)}"
        profile.mkdir()
        lines = (f'user_pref("{key}", {json.dumps(value)});' for key, value in PREFERENCES.items())
        (profile / "user.js").write_text("\n".join(lines))
        arguments = ["--headless", "--no-remote", "--profile", profile, *more, page]
        process = self.start([needed("firefox-esr"), *arguments])
        wait_for(lambda: len(process_tree(process.pid)) >= 6, 60, lambda: "the processes of Firefox")
        return process

    def end(self):
        started = {process.pid: process for process in self.started}
        for pid in sorted(process_tree(*started)):
            if pid not in started or started[pid].poll() is None:
                signal_all([pid], signal.SIGKILL)
        for pid in processes.pids():  # orphans: they name this test's directory, as no one else does
            if str(self.home) in " ".join(processes.arguments(pid)):
                signal_all([pid], signal.SIGKILL)
        for process in self.started:
            process.wait(60)
            for stream in (process.stdout, process.stderr):
                if stream:
                    stream.close()


class Watching:
    """The real `watchdog watch`, with rules in a real file, and what it says."""

    def __init__(self, kennel, rule="", *arguments, env=None, start=(), **rules):
        self.kennel, self.config = kennel, kennel.home / "servermonitoring.toml"
        self.state = kennel.home / "state"
        self.environment = {**os.environ, "WATCHDOG_VALIDATED_DIR": str(records(kennel.home)), **(env or {})}
        self.write_rules(rule, **rules)
        self.log = kennel.home / "watchdog.log"
        self.command = [*start, *WATCHDOG, "watch", "--config", self.config, *arguments]
        self.start()

    def start(self):
        with self.log.open("ab") as log:
            self.process = self.kennel.start(self.command, stderr=log, env=self.environment)
        return self

    def write_rules(self, rule="", **rules):
        rules = rules or {"firefox": ""}
        text = f'[state]\ndirectory = "{self.state}"\n'
        for name, more in rules.items():
            text += f'[watchdog.{name}]\ncommand = "{re.escape(str(self.kennel.home))}"\n{more}\n{rule}\n'
        self.config.write_text(text.replace("\\", "\\\\"))

    def text(self):
        return self.log.read_text()

    def said(self, pattern, seconds=60.0):
        return wait_for(lambda: re.search(pattern, self.text()), seconds, lambda: f"{pattern!r} in\n{self.text()}\n")

    def kills(self, *, none=False):
        """The kills on record; the line comes a moment after the signal."""
        path = self.state / "kills.jsonl"
        if not none:
            wait_for(lambda: path.exists() and path.read_text().endswith("\n"), what=self.text)
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def records(home):
    """The directory of validation records for tests in this directory."""
    return home / "validated"


def written(home, pid):
    """The validation records of this process."""
    return list(records(home).glob(f"{pid}-*"))


def failing(work, error):
    """Do it; it must fail with this error."""
    with pytest.raises(error):
        work()


def is_named(pid, name):
    process = processes.find(pid)
    return process is not None and process.name == name


def signal_all(pids, number):
    """Send a signal to each process that has not ended meanwhile: browsers end some by themselves."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def process_tree(*pids):
    """The pids of all living processes below and including these; one scan of all processes."""
    below, there = {}, {}
    for each in processes.pids():
        process = processes.find(each)
        if process is not None and not process.is_dead:
            there[each] = process
            below.setdefault(process.parent, []).append(each)
    found, rest = set(), [*pids]
    while rest:
        each = rest.pop()
        if each in there:
            found.add(each)
        rest += below.get(each, ())
    return found


def living(pids):
    """Those of these pids that are alive; a test is too short for a pid to come back."""
    return {pid for pid in pids if (process := processes.find(pid)) is not None and not process.is_dead}


def megabytes(pids, value_of=lambda pid: memory.measure(pid).proportional):
    return sum(value_of(pid) for pid in pids) / 1e6


def as_user(uid, work):
    """Do it in a child process as this user; what it returned (as text), or a failure."""
    if os.geteuid() != 0:
        pytest.skip("missing: root (to act as a second user)")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            outcome = f"={work()}"
        except BaseException as error:  # noqa: BLE001 - handed to the parent
            outcome = f"!{error!r}"
        os.write(writing, outcome.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        outcome = stream.read().decode()
    os.waitpid(child, 0)
    assert outcome.startswith("="), outcome
    return outcome[1:]


# Allocates as many MB as /go responds, and requests it again.
GROWING_PAGE = """<!doctype html><title>page</title><script>
const held = [];
const grow = () => fetch("/go").then(response => response.text()).then(megabytes => {
  for (let left = Number(megabytes); left > 0; left -= 4) held.push(new Uint8Array(4e6).fill(7));
  grow();
});
grow();
</script>"""


class Site:
    """A web server on this machine: a page, one that grows on request, and one that never responds."""

    def __init__(self):
        self.end, self.asked, self.hungry = threading.Event(), threading.Event(), threading.Semaphore(0)
        self.portions = Queue()  # MB
        self.sizes = []  # MB: of the browser before each portion
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self))
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/"

    def feed(self, pid, most):
        """Let the page in a browser grow towards `most` MB; true when the browser is gone.

        A portion is half of what is lacking, and small, so that one misread size, as that of a browser which is
        starting a process or dying, does not lead far beyond.
        """
        if self.hungry.acquire(timeout=0.1):  # it has eaten what it got before
            lacking = 0
            with suppress(OSError):  # it dies meanwhile
                self.sizes.append(megabytes(process_tree(pid)))
                lacking = most - self.sizes[-1]
            self.portions.put(min(16, max(4, lacking / 2)) if lacking > 0 else 0)
        return not living({pid})

    def close(self):
        self.end.set()
        self.portions.put(0)
        self.server.shutdown()
        self.server.server_close()


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, site, *args):
        self.site = site
        super().__init__(*args)

    def do_GET(self):
        if self.path == "/never":
            self.site.asked.set()
            self.site.end.wait()
            return
        body = GROWING_PAGE if self.path == "/growing" else "<title>page</title>"
        if self.path == "/go":
            self.site.hungry.release()
            body = f"{self.site.portions.get()}"
        with suppress(ConnectionError):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

    def log_message(self, *_args):
        pass
