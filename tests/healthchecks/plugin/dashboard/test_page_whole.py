"""A reader gets the whole old page or the whole new one, whatever happens to the run."""

import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import time

import pytest

from tests.healthchecks.plugin.dashboard.scenes import CHECKS, ROOT, Scene

_RUNS = """
import sys, pytest
for number in range(int(sys.argv[1])):
    for name in [name for name in sys.modules if name == "test_scene"]:
        del sys.modules[name]
    assert pytest.main(["-q", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", "test_scene.py"]) == 0
"""
SMALL = Scene(checks=CHECKS[:3], days=0)


def assert_whole(page):
    assert page.startswith("<!DOCTYPE html>"), page[:80]
    assert page.endswith("</html>"), page[-80:]
    assert re.search("<h1>All 3 checks are ok</h1>", page)


def test_a_reader_of_a_hundred_runs_never_sees_half_a_page(tmp_path):
    """The runs follow each other as fast as they can in one process; the reader looks each millisecond for a change."""
    SMALL.lay_out(tmp_path)
    SMALL.run(tmp_path)
    page, seen, reads, read = tmp_path / "html" / "index.html", set(), 0, None
    with (tmp_path / "output").open("w") as output:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(
            [sys.executable, "-c", _RUNS, "100"], cwd=tmp_path, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        while process.poll() is None:
            status = page.stat()
            if read != (read := (status.st_ino, status.st_size, status.st_mtime_ns)):
                text = page.read_text()
                assert_whole(text)
                seen.add(hash(text))
                reads += 1
            time.sleep(0.001)  # the runs need the processor, too
    assert process.returncode == 0, (tmp_path / "output").read_text()[-2000:]
    assert len(seen) > 50, f"{len(seen)} different pages in {reads} reads"


def test_a_run_that_is_killed_leaves_a_whole_page_and_the_history_sound(tmp_path):
    """SIGKILL at twenty random moments, most of them near the end of the run, where page and history are written."""
    SMALL.lay_out(tmp_path)
    SMALL.run(tmp_path)  # the first compiles templates
    started = time.monotonic()
    assert SMALL.run(tmp_path) == 0
    length, page = time.monotonic() - started, tmp_path / "html" / "index.html"
    killed = 0
    while killed < 20:
        process = SMALL.start(tmp_path)
        try:
            process.wait(length * random.uniform(0.5, 1))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            killed += 1
        else:
            length *= 0.9  # the machine has less to do than it had
        assert_whole(page.read_text())
    assert SMALL.run(tmp_path) == 0, (tmp_path / "output").read_text()
    assert "damaged" not in (tmp_path / "output").read_text()
    assert_whole(page.read_text())


def test_unfinished_files_of_a_killed_run_are_removed_later(tmp_path):
    """Not at once: another run may be writing it."""
    SMALL.lay_out(tmp_path)
    SMALL.run(tmp_path)
    old, new = (tmp_path / "html" / f".servermonitoring.{name}" for name in ("0123456789ab", "ba9876543210"))
    for path in (old, new):
        path.write_text("half a pa")
    os.utime(old, (time.time() - 4000,) * 2)
    SMALL.run(tmp_path)
    assert (old.exists(), new.exists()) == (False, True)


@pytest.fixture
def small_disk(tmp_path):
    """The page's directory on a file system of its own, of half a megabyte."""
    if os.geteuid() != 0:
        pytest.skip("missing: root, to mount a small disk")
    folder = tmp_path / "html"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k,mode=700", "none", folder], check=False).returncode:
        pytest.skip("missing: mount, to mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_keeps_the_old_page_and_changes_no_result(tmp_path, small_disk):
    SMALL.lay_out(tmp_path)
    assert SMALL.run(tmp_path) == 0
    page = (small_disk / "index.html").read_text()
    with contextlib.suppress(OSError), (small_disk / "fill").open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    assert SMALL.run(tmp_path) == 0
    output = (tmp_path / "output").read_text()
    assert "the page could not be written, the old one is still there: [Errno 28] No space left" in output
    assert (small_disk / "index.html").read_text() == page
    assert_whole(page)
    assert [path.name for path in small_disk.iterdir() if path.name.startswith(".")] == []
    (small_disk / "fill").unlink()
    assert SMALL.run(tmp_path) == 0
    assert (small_disk / "index.html").read_text() != page
