"""A forked run is the run that `python -m pytest` would be."""

import os
import re
import signal
import subprocess

import pytest

from tests.fork_server import Run, start_pytest

OPTIONS = ["-p", "no:cacheprovider", "-p", "no:hypothesispytest"]
PRINTS = """
import atexit, importlib.metadata, os, signal, sys, threading, warnings, random, logging, pytest

class Last:
    def __del__(self):
        os.write(1, b"freed at the end of Python\\n")

last = Last()
atexit.register(lambda: os.write(1, b"libraries at the end %d\\n" % ("logging" in sys.modules)))

def test_prints():
    print("own", [name for name in sys.modules if name.startswith(("tests", "healthchecks.test_"))])
    print("plugin", type(sys.modules["healthchecks.plugin"].__loader__))
    print("path", sys.path, sys.argv[1:], sys.dont_write_bytecode)
    print("flags", str(sys.flags).replace("dont_write_bytecode=1", "dont_write_bytecode=0"))  # a fork cannot set it
    for each in (sys.__stdout__, sys.__stderr__):
        print("stream", each.encoding, each.errors, each.line_buffering, each.write_through)
    print("signals", [str(signal.getsignal(number)) for number in sorted(signal.valid_signals())])
    print("blocked", signal.pthread_sigmask(signal.SIG_BLOCK, []), threading.active_count())
    print("environment", sorted(os.environ.items()), os.getcwd(), logging.root.handlers)
    print("descriptors", sorted(os.listdir("/proc/self/fd")))
    print("metadata", [importlib.metadata.metadata(name).as_string() for name in ("pytest", "pluggy")])
    print("main", sys.modules["__main__"].__spec__.name)
"""

COMPILES = """
import jinja2, os

def rendered(**settings):
    return jinja2.Environment(**settings).from_string("{{ word }} & more").render(word="<b>")

def test_compiles(monkeypatch):
    if "AGAIN" in os.environ:
        monkeypatch.delattr(jinja2.Environment, "_parse")
    assert rendered() == "<b> & more"
    assert rendered(autoescape=True) == "&lt;b&gt; & more"
"""


@pytest.fixture
def environment():
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "SERVERMON"))}


def test_equals_a_usual_start(tmp_path, environment):
    """Plugins of this project, paths, streams, signals, environment and descriptors are those of a usual start."""
    (tmp_path / "test_prints.py").write_text(PRINTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    environment |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(tmp_path), "NEW": "1"}
    both = [start_pytest([*OPTIONS, "-s"], tmp_path, environment, forked=forked) for forked in (True, False)]
    forked, usual = (process.communicate(180)[0] for process in both)
    assert [type(each) for each in both] == [Run, subprocess.Popen]
    assert [each.returncode for each in both] == [0, 0], forked + usual
    assert "freed at the end" in forked
    assert _without_time(forked).splitlines() == _without_time(usual).splitlines()


def test_exit_status_and_signals(tmp_path, environment):
    (tmp_path / "test_ends.py").write_text(
        "import os, time\ndef test_ends():\n    os.write(1, b'here')\n    time.sleep(600)\n"
    )
    process = start_pytest([*OPTIONS, "-s", "-q"], tmp_path, environment)
    while process.stdout.read(1) != "h":
        pass
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.01)
    assert process.poll() is None
    process.kill()
    assert process.wait(60) == -signal.SIGKILL
    assert process.poll() == -signal.SIGKILL
    failing = start_pytest([*OPTIONS, "nowhere.py"], tmp_path, environment)
    assert "file or directory not found: nowhere.py" in failing.communicate(180)[0]
    assert failing.returncode == pytest.ExitCode.USAGE_ERROR


def test_what_changes_python_is_started_as_usual(tmp_path, environment):
    process = start_pytest(["--version"], tmp_path, environment | {"PYTHONHASHSEED": "1"})
    process.communicate(180)
    assert isinstance(process, subprocess.Popen)


def test_a_template_is_compiled_once(tmp_path, environment):
    """And once more for an environment with other settings."""
    (tmp_path / "test_compiles.py").write_text(COMPILES)
    for more in ({}, {"AGAIN": "1"}):
        process = start_pytest(OPTIONS, tmp_path, environment | more)
        output, _ = process.communicate(180)
        assert process.returncode == 0, output


def _without_time(text: str) -> str:
    return re.sub(r"in [\d.]+s", "", text)
