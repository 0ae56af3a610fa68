"""A program that runs for the tests: on ports of its own, with a log, and stopped with all its family."""

import contextlib
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Self

import psutil
import pytest

from tests import ROOT

HOST = "127.0.0.1"
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
# Each worker's own, or two could find the same one free; below the kernel's ephemeral ports, which clients are given.
_PORTS = range(20000 + _WORKER % 8 * 1500, 20000 + (_WORKER % 8 + 1) * 1500)
_RARELY = 0.2  # seconds between two polls of a condition that takes long
_given: set[int] = set()  # to servers that may not listen yet


def free_port() -> int:
    """A port nobody listens on, another one each time; random, so that runs side by side seldom ask for the same."""
    for port in random.sample(_PORTS, 200):
        if port not in _given and is_free(port):
            _given.add(port)
            return port
    raise OSError("no free port found")


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port in TIME_WAIT will do
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def program(name: str, *places: Path) -> str:
    """Where a program is; the test that needs it is skipped where it is missing."""
    path = os.pathsep.join([*map(str, places), os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    found = shutil.which(name, path=path)
    if found is None:
        pytest.skip(f"missing: {name}")
    return found


def tool(package: str, name: str) -> str:
    """A program of a package that ci/install-test-tools keeps in an environment of its own."""
    path = ROOT / ".cache" / package / "bin" / name
    if not path.exists():
        pytest.skip(f"missing: {package}")
    return str(path)


def ends_with_parent(death_signal: str) -> list[str]:
    """The words before a command that let it end with the test run."""
    return [program("setpriv"), "--pdeathsig", death_signal, "--"]


def as_user(user: str, death_signal: str) -> list[str]:
    """The words before a command that let it end with the test run, and, run by root, be another user.

    Servers refuse to be root; a test run in a container often is.
    """
    *words, end = ends_with_parent(death_signal)
    if os.geteuid() == 0:
        group = str(pwd.getpwnam(user).pw_gid)
        words += ["--reuid", user, "--regid", group, "--init-groups"]
    return [*words, end]


def give_to(user: str, path: Path) -> None:
    """Let a server that root runs as another user write there."""
    if os.geteuid() == 0:
        shutil.chown(path, user)


def until(condition: Callable[[], Any], seconds: float = 180, *, what: str = "condition", every: float = 0.02) -> Any:
    """Poll a condition that no event announces `every` so many seconds; return the first true value.

    Raise TimeoutError after `seconds`.
    """
    end = time.monotonic() + seconds
    while True:
        started = time.thread_time()
        if value := condition():
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"{what} not met within {seconds} s")
        pause(every, time.thread_time() - started)


def pause(every: float, used: float) -> None:
    """Wait `every` seconds until the next poll, and longer after one that used much of the processor.

    A condition that reads all processes would hold up what it waits for.
    """
    time.sleep(max(every, min(_RARELY, 5 * used)))


class Server:
    """`with Website() as website: …` starts it, stops it, and removes what it wrote.

    In between it can be stopped and started again on the same ports, and paused (SIGSTOP: connections
    are still accepted by the kernel, and nobody answers).
    """

    stop_signal: ClassVar[signal.Signals] = signal.SIGKILL
    grace: ClassVar[float] = 60

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="servermonitoring-test-"))
        self.log_file = self.directory / "log"
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        return dict(os.environ)

    def home(self) -> Path:
        """The directory it runs in: one that another user can read, too."""
        return self.directory

    def await_ready(self) -> None:
        """Return when it answers. Raise where it will not."""
        assert self.process
        assert self.process.stdout
        if self.process.stdout.readline() != b"ready\n":
            raise RuntimeError("it ended before it was ready")

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    @property
    def pid(self) -> int:
        assert self.process, "not started"
        return self.process.pid

    def family(self) -> list[psutil.Process]:
        """The main process and all below it that are alive."""
        with contextlib.suppress(psutil.NoSuchProcess):
            main = psutil.Process(self.pid)
            return [main, *main.children(recursive=True)]
        return []

    def start(self) -> Self:
        """Start it; return when it answers."""
        assert self.process is None, "already started"
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), env=self.environment(), cwd=self.home(), start_new_session=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
            )  # fmt: skip
        try:
            self.await_ready()
        except BaseException as error:
            self.stop()
            error.add_note(f"{' '.join(self.command())}\n{self.log[-3000:]}")
            raise
        return self

    def stop(self) -> None:
        """End it and everything below it; return when none of them is left. Fine when it is not running."""
        if self.process is None:
            return
        family = self.family()
        _signal(family[:1], self.stop_signal)
        _signal(family, signal.SIGCONT)
        _, alive = psutil.wait_procs(family, timeout=self.grace)
        for each in alive:
            each.kill()
        psutil.wait_procs(alive, timeout=self.grace)
        self.process.wait(self.grace)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()
        self.process = None

    def revive(self) -> Self:
        """Whatever a test did to it, it runs again."""
        if self.process and self.process.poll() is not None:
            self.stop()
        if self.process is None:
            return self.start()
        self.resume()
        return self

    def pause(self) -> None:
        """Stop the whole family as SIGSTOP does; return when it stands still."""
        while running := [each for each in self.family() if not _stands(each)]:
            _signal(running, signal.SIGSTOP)
            for each in running:
                until(lambda each=each: _stands(each), what=f"stop of {each}")

    def resume(self) -> None:
        _signal(self.family()[::-1], signal.SIGCONT)

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        self.close()


class PythonServer(Server):
    """A server that is a module of this package: prints `ready`, and ends when its stdin does."""

    module: ClassVar[str]

    def arguments(self) -> list[str]:
        return []

    def home(self) -> Path:
        return ROOT

    def command(self) -> list[str]:
        return [sys.executable, "-m", self.module, *self.arguments()]


def _stands(process: psutil.Process) -> bool:
    try:
        return process.status() in {psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE}
    except psutil.NoSuchProcess:
        return True


def _signal(processes: list[psutil.Process], number: signal.Signals) -> None:
    for each in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.send_signal(number)
