"""A program that is run once: what it gets, what is kept of it, and that nothing of it is left."""

import os
import shlex
import time
from pathlib import Path

import pytest

from healthchecks import CheckError, ProbeTimeout
from healthchecks.clients import command
from healthchecks.clients.command import LARGEST_OUTPUT, run_command

ROOT_DIRECTORY = Path("/")


@pytest.fixture(autouse=True)
def _timeout(monkeypatch):
    """As in a probe: what is not ended in another way is, before a flood has filled the memory."""
    ends_at = time.monotonic() + 60
    monkeypatch.setattr(command, "remaining", lambda: max(0.001, ends_at - time.monotonic()))


@pytest.fixture
def script():
    """`script("…")` runs lines of a shell, and gives what came of it."""

    def run(text, directory=ROOT_DIRECTORY, **variables):
        return run_command(["/bin/sh", "-c", text], variables, directory)

    return run


@pytest.fixture
def hurried(monkeypatch):
    """The timeout expires as soon as this file is there: what the program does before is its own time."""

    def after(file):
        monkeypatch.setattr(command, "remaining", lambda: 0.001 if file.exists() else 0.05)

    return after


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except OSError:
        return False


def assert_gone(file, count):
    """All processes whose numbers are in the file have ended; a killed one takes a moment."""
    pids = file.read_text().split()
    assert len(pids) == count
    ends_at = time.monotonic() + 60
    while any(map(is_alive, pids)) and time.monotonic() < ends_at:
        time.sleep(0.01)
    assert [pid for pid in pids if is_alive(pid)] == []


def descriptors():
    return len([*Path("/proc/self/fd").iterdir()])


def test_output_and_exit_status(script):
    found = script("echo out; echo err >&2; exit 3")
    assert (found.exit_status, found.text, found.errors) == (3, "out\n", "err\n")


def test_ended_by_a_signal(script):
    assert script("kill -SEGV $$").exit_status == -11


def test_output_of_a_pipe_is_whole(script):
    """Although the end of the program is known before its output was read."""
    assert len(script("head -c 60000 /dev/zero").text) == 60_000


def test_closed_output(script):
    """It is awaited nevertheless."""
    assert script("exec >&- 2>&-; sleep 0.1; exit 2").exit_status == 2


def test_environment_is_small(script, monkeypatch, tmp_path):
    """Credentials of the suite's own environment do not reach it."""
    monkeypatch.setenv("SENTRY_DSN", "https://key@sentry.example.com/1")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    names = {line.partition("=")[0] for line in script("exec env", tmp_path, OWN="x y").text.splitlines()}
    assert names <= {*command._INHERITED, "LC_ALL", "OWN", "SERVERMONITORING_FAMILY", "PWD", "OLDPWD", "SHLVL", "_"}
    found = script('echo "$OWN|$LC_ALL|$PWD"', tmp_path, OWN="x y")
    assert found.text == f"x y|C|{tmp_path}\n"
    assert script('echo "$LC_ALL"', LC_ALL="C.UTF-8").text == "C.UTF-8\n"


def test_descriptors(script):
    """An empty input, and no other descriptor, also of those that are inheritable."""
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    try:
        found = script("cat; ls /proc/self/fd")
    finally:
        os.close(reading)
        os.close(writing)
    assert found.text.split() == ["0", "1", "2", "3"]  # 3 is the directory itself


def test_session_of_its_own(script):
    assert script("cut -d ' ' -f 6 /proc/self/stat").text.strip() != str(os.getsid(0))


HANGING = {
    "it alone": "echo $$ >> FILE; sleep 600",
    "deaf to signals": "trap '' TERM HUP INT; echo $$ >> FILE; while :; do sleep 600; done",
    "stopped": "echo $$ >> FILE; kill -STOP $$",
    "with a child": "sleep 600 & echo $! $$ >> FILE; wait",
    "with a child in a session of its own": "setsid sleep 600 & echo $! $$ >> FILE; wait",
    "with a daemon": "(setsid sleep 600 > /dev/null 2>&1 < /dev/null & echo $! >> FILE); echo $$ >> FILE; sleep 600",
    "silent": "exec > /dev/null 2>&1; echo $$ >> FILE; sleep 600",
}


@pytest.mark.parametrize("case", HANGING)
def test_hanging(script, hurried, tmp_path, case):
    """At the timeout it is killed with all that it has started, wherever that has gone."""
    numbers, ready = tmp_path / "numbers", tmp_path / "ready"
    hurried(ready)
    text = HANGING[case].replace("FILE", shlex.quote(str(numbers)))
    count = text.count("$$ >>") + text.count("$!")
    watcher = f"(until [ $(cat {numbers} 2>/dev/null | wc -w) = {count} ]; do sleep 0.01; done; touch {ready}) & "
    with pytest.raises(ProbeTimeout):
        script(watcher + text)
    assert_gone(numbers, count)


LEAVING = {
    "in its group": "sleep 600 & echo $! >> FILE; echo done",
    "in a session of its own": "setsid sleep 600 & echo $! >> FILE; echo done",
}


@pytest.mark.parametrize("case", LEAVING)
def test_leaving_processes_behind(script, tmp_path, case):
    """What holds the output open is not waited for."""
    numbers = tmp_path / "numbers"
    found = script(LEAVING[case].replace("FILE", shlex.quote(str(numbers))))
    assert (found.exit_status, found.text) == (0, "done\n")
    assert_gone(numbers, 1)


@pytest.mark.parametrize("text", ["exec yes", "exec yes >&2", "yes & wait", "head -c 65537 /dev/zero; exit 2"])
def test_flood(script, text):
    """It is ended as soon as it has written too much, and no more than one part of that was read."""
    with pytest.raises(CheckError, match=r"wrote more than 65\.5 kB of output, and was ended"):
        script(text)


def test_largest_output(script):
    assert len(script(f"head -c {LARGEST_OUTPUT - 1} /dev/zero; echo >&2").text) == LARGEST_OUTPUT - 1


def test_no_descriptor_is_left(script):
    script("true")
    before = descriptors()
    for _ in range(3):
        script("echo x")
        with pytest.raises(CheckError):
            script("exec yes")
        with pytest.raises(CheckError):
            run_command(["/none"], {}, ROOT_DIRECTORY)
    assert descriptors() == before


def test_many_open_descriptors(script):
    """Numbers above 1023 are none that select() takes."""
    opened = []
    try:
        while not opened or opened[-1] < 1100:
            opened.append(os.open(os.devnull, os.O_RDONLY))
        assert script("echo fine").text == "fine\n"
    except OSError:
        pytest.skip("missing: a limit of more than 1,100 descriptors")
    finally:
        for each in opened:
            os.close(each)


def test_programs_that_cannot_start(tmp_path):
    """Each reason is said in words."""
    files = {
        "plain": ("exit 0", 0o644), "no_line": ("exit 0", 0o755), "no_interpreter": ("#!/no/such/sh\n", 0o755),
    }  # fmt: skip
    for name, (text, mode) in files.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(mode)
    expected = {
        tmp_path / "plain": f"{tmp_path}/plain cannot be started: Permission denied",
        tmp_path / "no_line": f"{tmp_path}/no_line cannot be started: its first line must name its interpreter, "
        "such as #!/bin/sh",
        tmp_path / "no_interpreter": f"{tmp_path}/no_interpreter cannot be started: the interpreter that its first "
        "line names does not exist",
        tmp_path / "none": f"{tmp_path}/none cannot be started: No such file or directory",
        tmp_path: f"{tmp_path} cannot be started: Permission denied",
        "check_nonsense": "check_nonsense is not in /usr/lib/nagios/plugins, /usr/local/nagios/libexec or on the PATH: "
        "write its whole path",
    }
    found = {}
    for program in expected:
        with pytest.raises(CheckError) as error:
            run_command([str(program)], {}, ROOT_DIRECTORY)
        found[program] = str(error.value)
    assert found == expected
    with pytest.raises(CheckError, match=f"^directory {tmp_path}/none: No such file or directory$"):
        run_command(["true"], {}, tmp_path / "none")
