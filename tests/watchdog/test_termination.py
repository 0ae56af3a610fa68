"""Browsers that hang or grow die, whole and in time; nobody else does.

Processes stand in for browsers where the browser's own doing does not matter; real ones are in
test_firefox and test_chromium.
"""

import os
import signal
import subprocess
import sys
import time

from tests.watchdog.kennel import GROWER, GROWS_WHEN_ENDED, family, living, megabytes, needed, wait_for
from watchdog import processes
from watchdog.validation import validate_process

HUNG = 'validated_within = 1\nrevalidated_every = 1\ngrace = 0.3\nmax_memory = "10GB"'
PATIENT = HUNG.replace("= 1\n", "= 4\n")  # a busy machine may delay a validation, too
TREE = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for _ in range(3):
    if os.fork() == 0:
        break
time.sleep(600)
"""


def test_never_validated_and_deaf_to_sigterm(kennel, watching):
    """The whole family is gone; how soon after its grace is for ci/benchmarks."""
    process = kennel.stand_in(TREE)
    pids = wait_for(lambda: len(family(process.pid)) == 4 and family(process.pid))
    watch = watching(HUNG)
    watch.said("killed firefox, process")
    wait_for(lambda: not living(pids))
    (kill,) = watch.kills()
    assert (kill["reason"], kill["pid"], kill["validated"]) == ("never validated", process.pid, None)
    assert 0.9 < kill["age"] < 60
    watch.said("has ended by SIGKILL")


def test_validated_once_and_then_silent(kennel, watching):
    process = kennel.stand_in()
    assert validate_process(process.pid)
    watch = watching(PATIENT)
    for _ in range(6):
        assert validate_process(process.pid)
        time.sleep(1)  # the browser works
        assert process.poll() is None
    watch.said("killed firefox")
    assert watch.kills()[0]["reason"] == "silent"
    assert 3.9 < watch.kills()[0]["validated"] < 60
    assert process.wait(60) == -signal.SIGTERM


def test_a_record_of_a_child_that_is_the_browser_counts(kennel, watching):
    """A launcher called firefox runs the browser below it, and the driver knows only the browser's pid."""
    code = "import subprocess, sys; subprocess.run([sys.argv[1], '-ISc', 'import time; time.sleep(600)'])"
    launcher = kennel.stand_in(code, str(kennel.home / "bin" / "firefox"))
    (child,) = wait_for(lambda: family(launcher.pid) - {launcher.pid})
    validate_process(child)
    watching(PATIENT)
    for _ in range(6):
        validate_process(child)
        time.sleep(1)
    assert launcher.poll() is None


def test_stopped_family(kennel, watching):
    """All stopped, as after SIGSTOP: no one survives."""
    process = kennel.stand_in(TREE)
    pids = wait_for(lambda: len(family(process.pid)) == 4 and family(process.pid))
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    watch = watching(HUNG)
    watch.said("killed firefox")
    wait_for(lambda: not living(pids))


def test_a_stopped_browser_can_still_end_by_itself(kennel, watching):
    """It is continued, or it could not hear the SIGTERM."""
    process = kennel.stand_in()
    os.kill(process.pid, signal.SIGSTOP)
    watch = watching("validated_within = 1\ngrace = 30")
    assert process.wait(60) == -signal.SIGTERM
    watch.said("has ended by SIGTERM")


def test_orphans_of_the_family_die_with_it(kennel, watching):
    """A child whose parent is gone was handed to init, and is still the browser's."""
    code = """
import os, sys, time
if os.fork() == 0:
    if os.fork() == 0:
        time.sleep(600)
    while not os.path.exists(sys.argv[1]):
        time.sleep(0.01)
    os._exit(0)
time.sleep(600)
"""
    process = kennel.stand_in(code, kennel.home / "leave")
    pids = wait_for(lambda: len(family(process.pid)) == 3 and family(process.pid))
    watch = watching(HUNG.replace("within = 1", "within = 4"))
    watch.said("watching firefox")
    (kennel.home / "leave").touch()
    watch.said("killed firefox")
    wait_for(lambda: not living(pids))


def test_the_program_in_the_same_process_group_lives(kennel, watching):
    """Selenium's Chromium shares the process group of the program that drives it."""
    code = (
        "import subprocess, sys; p = subprocess.Popen([sys.argv[1], '-ISc', 'import time; time.sleep(600)'])"
        "; print(p.wait(), flush=True); sys.stdin.read()"
    )
    (kennel.home / "bin").mkdir()
    (kennel.home / "bin" / "firefox").symlink_to(os.path.realpath(sys.executable))
    program = kennel.start(
        [sys.executable, "-c", code, kennel.home / "bin" / "firefox"],
        stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    watching(HUNG)
    assert program.stdout.readline() == f"-{int(signal.SIGTERM)}\n"
    assert program.poll() is None
    program.communicate("")
    assert program.returncode == 0


def test_a_growing_browser_has_no_grace(kennel, watching):
    """It grows on instead of ending; how soon one that grows steadily dies is for ci/benchmarks."""
    watch = watching('max_memory = "300MB"\ngrace = 600\nvalidated_within = false')
    process = kennel.stand_in(GROWS_WHEN_ENDED)
    wait_for(lambda: process.poll() is not None, 120, watch.text)
    assert process.returncode == -signal.SIGKILL
    (kill,) = watch.kills()
    assert kill["reason"] == "memory"
    assert 300e6 < kill["memory"] < 330e6, "the interpreter takes some"


def test_memory_of_a_child_with_another_name(kennel, watching):
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1], '300e6', '200e6'])"
    process = kennel.stand_in(code, GROWER)
    watch = watching('max_memory = "150MB"\nvalidated_within = false')
    process.wait(60)
    assert watch.kills()[0]["reason"] == "memory"


def test_shared_memory_counts_once(kennel, watching):
    """Ten processes that share 100 MB are 100 MB, not 1 GB."""
    code = """
import os, time
held = b"x" * 100_000_000
for _ in range(9):
    if os.fork() == 0:
        time.sleep(600)
time.sleep(600)
"""
    process = kennel.stand_in(code)
    pids = wait_for(lambda: len(family(process.pid)) == 10 and family(process.pid))
    assert megabytes(pids, lambda pid: processes.resident(pid)[0]) > 900
    watch = watching('max_memory = "400MB"\nvalidated_within = false', "--poll-interval", "0.1")
    watch.said("watching firefox")
    time.sleep(1.5)  # ten looks and more
    assert process.poll() is None
    assert watch.kills(none=True) == []


def test_others_are_looked_at_during_a_grace(kennel, watching):
    """A browser that takes its grace does not protect another."""
    deaf = "import signal, time; signal.signal(15, 1); time.sleep(600)"
    first = kennel.stand_in(deaf)
    watch = watching('validated_within = 1\ngrace = 90\nmax_memory = "100MB"')
    watch.said(f"killed firefox, process {first.pid}")
    second = kennel.stand_in(GROWER, "400e6", "400e6")
    second.wait(60)
    assert first.poll() is None
    assert len(watch.kills()) == 2


def test_one_that_execs_into_a_browser_is_found(kennel, watching):
    """An exec keeps pid and start: a shell that becomes a browser is watched."""
    watch = watching(HUNG)
    watch.said("matches no process")
    (kennel.home / "bin").mkdir()
    (kennel.home / "bin" / "firefox").symlink_to(os.path.realpath(sys.executable))
    shell = f"sleep 1.5; exec {kennel.home}/bin/firefox -c 'import time; time.sleep(600)'"
    process = kennel.start([needed("sh"), "-c", shell])
    process.wait(60)
    assert watch.kills()[0]["pid"] == process.pid


def test_dry_run_kills_nothing_and_writes_nothing(kennel, watching):
    process = kennel.stand_in()
    watch = watching(HUNG, "--dry-run")
    watch.said("would be killed: never validated")
    assert process.poll() is None
    assert not watch.state.exists()
