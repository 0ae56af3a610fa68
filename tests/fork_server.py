"""Starts `python -m pytest` without the start of Python: forked from a process that has imported pytest already.

The suite's tests start more than a thousand runs, and two thirds of the processor time of each was the import of
pytest, of the libraries that every run needs, and of this project. These are imported ahead, but no plugin of pytest,
so that a run finds, imports and rewrites it as it always does. A run whose environment changes how Python itself
starts is started the ordinary way, and so is one with `forked=False`, for tests of what is imported when.
"""

import atexit
import contextlib
import email
import functools
import gc
import hashlib
import importlib
import importlib.metadata
import io
import itertools
import json
import marshal
import os
import platform
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import types
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

_IMPORTED = (  # what every run imports
    "pytest", "cronsim", "csv", "decimal", "email.message", "email.utils", "execnet", "gettext", "graphlib", "hmac",
    "faulthandler", "html", "ipaddress", "jinja2", "lzma", "pdb", "pydantic", "pydantic.fields",
    "pydantic.functional_validators", "pydantic.main", "pydantic.types", "pygments.lexers.python", "py", "queue",
    "quopri", "readline", "secrets", "sqlite3", "tempfile", "tomllib", "typing_inspection", "urllib.request", "uuid",
    "xml.etree.ElementTree", "xml.dom.minidom", "zipfile", "zoneinfo",
    # what many runs import
    "psutil", "requests", "lxml.html", "sentry_sdk",
)  # fmt: skip
_ROOT = Path(__file__).parents[1]
# Modules of a run. Those of _PLUGINS are forgotten again: pytest warns of what it cannot import and rewrite itself.
_OURS = (
    "plugin.startup", "plugin.shutdown", "plugin.runtest", "plugin.makereport", "plugin.terminal", "plugin.hooks",
    "plugin.alerting.dispatcher", "plugin.dashboard.page", "clients.http.rehearsal", "clients.http.webpage",
)  # fmt: skip
_PLUGINS = (
    "healthchecks", "healthchecks.plugin", "healthchecks.sql_reports.hooks", "pytest_html", "pytest_metadata",
    "pytest_metadata.plugin",
)  # fmt: skip
_AT_RUN_TIME = ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH")  # variables of Python that a fork can follow
# Before any test changes it: a test may look for what has its variables.
_NOT_OURS = ("PYTEST", "SERVERMON", "PYTHONPATH")  # each run brings its own
_ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_OURS)}
_LIMIT = 180  # seconds; a run that takes longer hangs
_LARGEST = 1_000_000  # bytes of a request: arguments and environment

Stream = int | IO[Any] | None


class Run:
    """A forked run, with what the tests use of `subprocess.Popen`."""

    def __init__(self, arguments: list[str], status: int, stdout: IO[str] | None) -> None:
        self.args, self._status, self.stdout = arguments, status, stdout
        self.pid = int(self._line())
        self.returncode: int | None = None
        self._output = b""

    def poll(self) -> int | None:
        """Return the exit status, negative for a signal, or None while it runs."""
        if self.returncode is None and select.select([self._status], [], [], 0)[0]:
            self.returncode = int(self._line())
            os.close(self._status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit status. Raise TimeoutExpired after `timeout` seconds."""
        if self.returncode is None and not select.select([self._status], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired(self.args, timeout or 0, self._output)
        self.poll()
        assert self.returncode is not None
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, None]:
        """Return all that it printed, when nobody can print any more and it has ended. Raise TimeoutExpired."""
        end = None if timeout is None else time.monotonic() + timeout
        while self.stdout and not self.stdout.closed:
            rest = None if end is None else max(0.0, end - time.monotonic())
            if not select.select([self.stdout], [], [], rest)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0, self._output)
            chunk = os.read(self.stdout.fileno(), 65536)
            self._output += chunk
            if not chunk:
                self.stdout.close()
        self.wait(None if end is None else max(0.0, end - time.monotonic()))
        return io.TextIOWrapper(io.BytesIO(self._output)).read(), None  # with the line ends of text=True

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # it has ended, and its status is on the way
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _line(self) -> bytes:
        """Read one number from the server: the pid, then the exit status."""
        line = b""
        while not line.endswith(b"\n"):
            byte = os.read(self._status, 1)
            if not byte:
                raise RuntimeError("the fork server has ended")
            line += byte
        return line


Process = Run | subprocess.Popen[str]


def start_pytest(
    arguments: list[str], cwd: Path, environment: Mapping[str, str], stdout: Stream = subprocess.PIPE, *,
    forked: bool = True,
) -> Process:  # fmt: skip
    """Start `python -m pytest ARGUMENTS`, with stderr in stdout; text comes out of a pipe."""
    if not forked or _changes_python(environment):
        return subprocess.Popen(
            [sys.executable, "-m", "pytest", *arguments], cwd=cwd, env=environment, text=True, stdout=stdout,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
    reading, writing = os.pipe() if stdout == subprocess.PIPE else (None, _descriptor(stdout))
    status, report = os.pipe()
    request = {"arguments": arguments, "cwd": str(cwd), "environment": dict(environment)}
    try:
        socket.send_fds(_server(), [json.dumps(request).encode()], [writing, report])
    finally:
        os.close(report)
        if reading is not None:
            os.close(writing)
    return Run(arguments, status, None if reading is None else os.fdopen(reading, encoding="utf-8"))


def run_pytest(*arguments: str, cwd: Path, **environment: str) -> tuple[int, str]:
    """Return exit status and output of `python -m pytest ARGUMENTS` for a user who has no other variables set."""
    options = "-p", "no:cacheprovider", "-p", "no:hypothesispytest"
    variables = {"PATH": "/usr/bin:/bin", "HOME": str(cwd), **_of_python(_ENVIRONMENT), **environment}
    process = start_pytest([*options, *arguments], cwd, variables)
    output, _ = process.communicate(_LIMIT)
    assert process.returncode is not None
    return process.returncode, output


def _descriptor(stdout: Stream) -> int:
    assert stdout is not None
    return stdout if isinstance(stdout, int) else stdout.fileno()


def _changes_python(environment: Mapping[str, str]) -> bool:
    """Whether Python would start differently with this environment than it did in the server."""
    return _of_python(environment) != _of_python(_ENVIRONMENT)


def _of_python(environment: Mapping[str, str]) -> dict[str, str]:
    names = [name for name in environment if name.startswith(("PYTHON", "LC_", "LANG", "LD_"))]
    return {name: environment[name] for name in names if name not in _AT_RUN_TIME}


@functools.cache
def _server() -> socket.socket:
    """Start the server of this process; it ends when this process does."""
    mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    mine.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _LARGEST)
    templates = tempfile.TemporaryDirectory(prefix="servermonitoring-templates-")
    command = [sys.executable, __file__, str(its.fileno()), templates.name]
    process = subprocess.Popen(command, pass_fds=[its.fileno()], env=_ENVIRONMENT)
    its.close()
    atexit.register(templates.cleanup)
    atexit.register(process.wait)
    atexit.register(mine.close)
    return mine


def _serve(requests: socket.socket) -> dict[str, Any] | None:
    """Fork a child for each request and write its exit status; in the child, return the request."""
    running: dict[int, int] = {}  # pid → where its exit status is written
    woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        ready = select.select([requests, woken], [], [])[0]
        if woken in ready:
            os.read(woken, 512)
            _reap(running)
        if requests in ready:
            message, descriptors, _, _ = socket.recv_fds(requests, _LARGEST, 2)
            if not message:
                return None
            pid = os.fork()
            if pid == 0:
                _become_child([requests.detach(), woken, wake, *running.values()], *descriptors)
                return json.loads(message)
            stdout, running[pid] = descriptors
            os.close(stdout)
            _write_number(running[pid], pid)


def _reap(running: dict[int, int]) -> None:
    for pid in list(running):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            _write_number(running[pid], os.waitstatus_to_exitcode(status))
            os.close(running.pop(pid))


def _write_number(descriptor: int, number: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # nobody asks any more
        os.write(descriptor, b"%d\n" % number)


def _become_child(others: list[int], stdout: int, status: int) -> None:
    """Leave nothing of the server but what is imported."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for descriptor in (1, 2):
        os.dup2(stdout, descriptor)
    for descriptor in (*others, stdout, status):
        os.close(descriptor)


def _run(request: dict[str, Any]) -> None:
    """Do what `python -m pytest` does."""
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))
    sys.path[0:1] = [request["cwd"], *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    sys.stdout, sys.stderr = _stream(1, sys.stdout), _stream(2, sys.stderr)
    sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr  # type: ignore[misc]
    sys.argv = ["pytest", *request["arguments"]]
    libraries, status = len(sys.modules), None
    try:
        runpy.run_module("pytest", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        status = end.code
    _end(status, libraries)


def _end(status: Any, libraries: int) -> None:
    """End as Python does, but leave the libraries in memory: to free all that copies 20 MB and takes 25 ms.

    Of the modules only those go that came last, by the run.
    """
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    if isinstance(status, int | None):
        for name in list(itertools.islice(reversed(sys.modules), len(sys.modules) - libraries)):
            del sys.modules[name]
        gc.collect()
        with contextlib.suppress(OSError, ValueError):  # Python ends with 120 when it cannot write all of its output
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status or 0)
    sys.exit(status)


def _stream(descriptor: int, like: Any) -> io.TextIOWrapper:
    """Make the standard stream as Python does at its start, for what the descriptor is now."""
    binary = open(descriptor, "wb", buffering=0 if like.write_through else -1, closefd=False)  # noqa: SIM115
    by_line = not like.write_through and (descriptor == 2 or os.isatty(descriptor))  # stderr
    return io.TextIOWrapper(
        binary, encoding=like.encoding, errors=like.errors, line_buffering=by_line, write_through=like.write_through
    )


def _keep_compiled(folder: Path) -> None:
    """Have `jinja2.Environment.compile` keep its code in the folder; what cannot be kept is compiled again."""
    environments = importlib.import_module("jinja2").Environment
    compile_uncached = environments.compile

    @functools.wraps(compile_uncached)
    def compile_once(environment: Any, source: Any, *arguments: Any, **named: Any) -> Any:
        settings = [(name, value) for name, value in sorted(vars(environment).items()) if isinstance(value, str | bool)]
        key = hashlib.sha256(repr((settings, source, arguments, named)).encode(errors="replace")).hexdigest()
        kept = folder / key
        with contextlib.suppress(OSError, EOFError, ValueError, TypeError):
            return marshal.loads(kept.read_bytes())
        code = compile_uncached(environment, source, *arguments, **named)
        with contextlib.suppress(OSError):
            partial = folder / f"{key}.{os.getpid()}"
            partial.write_bytes(marshal.dumps(code))
            partial.rename(kept)
        return code

    environments.compile = compile_once


def _keep_metadata() -> None:
    """Have `importlib.metadata` parse the same text once, and read once what pytest asks for in each run."""
    parsed = types.SimpleNamespace(message_from_string=functools.cache(email.message_from_string))
    importlib.metadata.email = parsed  # type: ignore[attr-defined]
    installed = list(importlib.metadata.distributions())
    for each in installed:
        each.metadata  # noqa: B018 - parsed now
    plugins = [each for each in installed if any(point.group == "pytest11" for point in each.entry_points)]
    _keep_property("entry_points", installed)
    _keep_property("files", plugins)


def _keep_property(name: str, distributions: list[Any]) -> None:
    """Have a property of these distributions keep its value; of others, which a run brings, it is read as always."""
    read = getattr(importlib.metadata.Distribution, name).fget
    kept = {str(each._path): read(each) for each in distributions}

    def read_once(distribution: Any) -> Any:
        path = str(getattr(distribution, "_path", ""))
        return kept[path] if path in kept else read(distribution)

    setattr(importlib.metadata.Distribution, name, property(read_once))


def _keep_fixtures() -> None:
    """Have pytest look for fixtures only where its own modules and classes have one, not at 2,000 names in each run."""
    fixtures = importlib.import_module("_pytest.fixtures")
    modules = [module for name, module in sys.modules.items() if name.startswith("_pytest.")]
    classes = {each for module in modules for each in vars(module).values() if _is_class_of_pytest(each)}
    kept = {
        id(holder): [
            name for name in dir(holder)
            if isinstance(fixtures.safe_getattr(holder, name, None), fixtures.FixtureFunctionDefinition)
        ]
        for holder in (*modules, *classes)
    }  # fmt: skip

    def names(holder: Any) -> list[str]:
        key = id(holder if isinstance(holder, types.ModuleType | type) else type(holder))
        return kept[key] if key in kept else dir(holder)

    fixtures.dir = names  # type: ignore[attr-defined]


def _keep_hooks() -> None:
    """Have pluggy look at each hook of pytest's own modules once, and at no name that cannot be a hook."""
    manager, implementation = importlib.import_module("pluggy._manager"), importlib.import_module("pluggy._impl")
    look_up = manager._static_hook_attr
    kept = {
        (id(module), name): look_up(module, name)
        for of_pytest, module in sys.modules.items() if of_pytest.startswith("_pytest.")
        for name in _names_of_hooks(module)
    }  # fmt: skip
    manager._static_hook_attr = lambda plugin, name: kept.get((id(plugin), name)) or look_up(plugin, name)
    manager.dir = _names_of_hooks
    read = implementation.varnames
    arguments = {function: read(function) for _, function in filter(None, kept.values())}
    implementation.varnames = lambda function: arguments.get(function) or read(function)


def _names_of_hooks(plugin: object) -> list[str]:
    return [name for name in dir(plugin) if name.startswith("pytest_")]


def _is_class_of_pytest(value: object) -> bool:
    return isinstance(value, type) and value.__module__.startswith("_pytest.")


def _import_project() -> None:
    """Import this project but for the plugins themselves, which pytest wants to import itself."""
    sys.path.insert(0, str(_ROOT))
    for name in _OURS:
        importlib.import_module(f"healthchecks.{name}")
    for name in ("pytest_html.plugin", "pytest_metadata.plugin"):
        importlib.import_module(name)
    for name in _PLUGINS:
        sys.modules.pop(name, None)
    sys.path.pop(0)


def _main(descriptor: int, templates: Path) -> None:
    for name in _IMPORTED:
        importlib.import_module(name)
    for name in importlib.import_module("_pytest.config").default_plugins:
        importlib.import_module(f"_pytest.{name}")
    importlib.import_module("pydantic").create_model("Model", number=(int, 0))  # imports what it builds models with
    _import_project()
    _keep_compiled(templates)
    _keep_metadata()
    _keep_fixtures()
    _keep_hooks()
    platform.platform()  # kept; the first call starts a process
    gc.collect()
    gc.freeze()  # or the first collection in each child would copy all of this
    request = _serve(socket.socket(fileno=descriptor))
    if request is not None:
        _run(request)


if __name__ == "__main__":
    _main(int(sys.argv[1]), Path(sys.argv[2]))
