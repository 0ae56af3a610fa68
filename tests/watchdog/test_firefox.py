"""Real Firefox: alive it lives, hung or bloated it dies with all its processes."""

import os
import re
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from tests.watchdog.kennel import PREFERENCES, living, megabytes, needed, process_tree, signal_all, wait_for
from watchdog import processes
from watchdog.validation import validate_process

HUNG = 'validated_within = "{}s"\nrevalidated_every = 8\ngrace = 2'


def test_resident_sum_over_the_limit_lives_and_growth_kills(kennel, watching, site):
    """Shared pages count once: a limit far below the resident sum spares it, until its page allocates on."""
    process = kennel.firefox(site.url + "growing")
    wait_for(lambda: started(process.pid), 60)
    pids = process_tree(process.pid)
    resident = megabytes(pids, lambda pid: processes.resident(pid)[0])
    proportional = megabytes(pids)
    limit = round((resident + 2 * proportional) / 3)
    assert proportional * 1.2 < limit < resident / 1.2
    watch = watching(f'max_memory = "{limit}MB"', "--poll-interval", "0.2")
    watch.said("watching firefox")
    for _ in range(10):
        validate_process(process.pid)
        time.sleep(0.25)  # a scan and more
        assert process.poll() is None
    wait_for(lambda: site.feed(process.pid, limit * 1.01), 90)
    process.wait(60)
    (kill,) = watch.kills()
    assert kill["reason"] == "memory"
    assert limit * 1e6 < kill["memory"] < limit * 1.05e6, (site.sizes, watch.text())
    wait_for(lambda: not living(pids))


@pytest.mark.parametrize("way", ["never validated", "silent", "main stopped", "all stopped"])
def test_hung_firefox_dies_whole(kennel, watching, site, way):
    process = kennel.firefox(site.url)
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - processes.find(process.pid).started_at
    if way != "never validated":
        validate_process(process.pid)
    watch = watching(HUNG.format(round(age) + 8))
    watch.said("watching firefox")
    pids = process_tree(process.pid)
    signal_all({"all stopped": pids, "main stopped": [process.pid]}.get(way, ()), signal.SIGSTOP)
    watch.said("killed firefox")
    wait_for(lambda: not living(pids | process_tree(process.pid)))
    process.wait(60)
    (kill,) = watch.kills()
    assert kill["reason"] == ("never validated" if way == "never validated" else "silent")
    assert kill["pid"] == process.pid


def started(pid):
    """Return whether it has all its processes, and their memory has settled."""
    names = {process.name for each in process_tree(pid) if (process := processes.find(each))}
    before = megabytes(process_tree(pid))
    time.sleep(1)
    return "Isolated Web Co" in names and megabytes(process_tree(pid)) < before * 1.01


MARIONETTE = textwrap.dedent("""
    import os, sys, threading
    from marionette_driver.marionette import Marionette
    from watchdog.selenium import watched

    client = Marionette(bin=sys.argv[1], port=0, headless=True, prefs=eval(sys.argv[3]))
    client.start_session()
    watched(client)
    print(client.process_id, client.instance.profile.profile, flush=True)
    client.navigate(sys.argv[2])
    print("loaded", flush=True)
    try:
        client.navigate(sys.argv[2] + "never")
    except Exception as error:
        print("failed", type(error).__name__, flush=True)
    os._exit(0)
""")


def test_firefox_driven_by_marionette(kennel, watching, site):
    """Started and loaded it is validated; blocked in a page that never responds it dies, its profile with it,
    and the program gets its error and goes on.
    """
    pytest.importorskip("marionette_driver", reason="missing: marionette-driver")
    (kennel.home / "tmp").mkdir()
    watch = watching(HUNG.format(30) + "\nautomated_only = true")
    program = kennel.start(
        [sys.executable, "-c", MARIONETTE, needed("firefox-esr"), site.url, repr(PREFERENCES)],
        stdout=subprocess.PIPE, text=True, start_new_session=True, cwd=kennel.home,
        env={**os.environ, "TMPDIR": str(kennel.home / "tmp")},
    )  # fmt: skip
    pid, profile = program.stdout.readline().split()
    assert re.search(r"mozrunner$", profile)
    assert program.stdout.readline() == "loaded\n"
    watch.said("killed firefox", 90)
    assert watch.kills()[0]["reason"] == "silent"
    assert watch.kills()[0]["pid"] == int(pid)
    assert program.stdout.readline().startswith("failed")
    assert program.wait(60) == 0
    watch.said("removed the profile")
    assert not os.path.lexists(profile)
