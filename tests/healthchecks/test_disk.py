"""[disk.NAME], on file systems small enough to be filled."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.healthchecks.past import store_metric
from tests.reliability import reliability
from tests.suite import table

CHECK = "disk_space[data]"
BYTES = 1_048_576
PAGE = 4096  # bytes


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB and 20 inodes."""
    path = tmp_path / "data"
    path.mkdir()
    options = f"size={BYTES},nr_inodes=20"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "test", str(path)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("missing: root")
    yield path
    subprocess.run(["umount", str(path)], check=True)


def failure(run_suite, path, **keys):
    outcome = run_suite(table("disk", "data", path=path, **keys))
    assert outcome.status == 1, outcome.output
    return outcome.message(CHECK)


def test_full(run_suite, disk):
    """Reported with what is left."""
    (disk / "file").write_bytes(b"x" * (BYTES * 15 // 16))
    assert failure(run_suite, disk) == f"93.8 % of space used on {disk} (65.5 kB of 1.0 MB free), maximum 90 %"
    assert run_suite(table("disk", "data", path=disk, max_used="95%")).status == 0


def test_metrics(run_suite, disk):
    """Each with the limit that the check asserts: `used` just at it passes, just above it fails."""
    (disk / "file").write_bytes(b"x" * (BYTES // 2))
    check = run_suite(table("disk", "data", path=disk, max_used="50%", max_inodes_used="80%")).checks[CHECK]
    assert check["status"] == "ok"
    assert check["metrics"] == [
        {"name": "used", "value": 0.5, "unit": "ratio", "limit": 0.5, "lower_limit": None},
        {"name": "free", "value": BYTES / 2, "unit": "bytes", "limit": None, "lower_limit": None},
        {"name": "inodes used", "value": pytest.approx(0.1), "unit": "ratio", "limit": 0.8, "lower_limit": None},
    ]
    assert failure(run_suite, disk, max_used="49.9%").startswith("50.0 % of space used")


def test_no_metrics_of_another_file_system(run_suite, tmp_path):
    """They would be charted, and a forecast made of them."""
    outcome = run_suite(table("disk", "data", path=tmp_path, mounted=True))
    assert outcome.checks[CHECK]["status"] == "failed"
    assert outcome.checks[CHECK]["metrics"] == []


def fill(disk: Path, used: float) -> float:
    """Return the share that is used then."""
    pages = round(used * BYTES / PAGE)
    (disk / "file").write_bytes(b"x" * (pages * PAGE))
    return pages * PAGE / BYTES


def store(folder: Path, used: Callable[[float], float]) -> None:
    store_metric(folder / "state", "disk_space", "data", "used", used)


@reliability(
    "Messages",
    fault="a disk fills slowly",
    promise="`min_days_left` makes it a failure some days before it is full; logs that are rotated and steps do not",
)
@pytest.mark.parametrize("left", [10, 4, 3.2, 2.8, 2, 1])
def test_growing_disk(run_suite, disk, tmp_path, left):
    """By 1 % a day: the check fails from the day on that is `min_days_left` before `max_used`."""
    used = fill(disk, 0.9 - left / 100)
    store(tmp_path, lambda day: used + 0.01 * day)
    outcome = run_suite(table("disk", "data", path=disk, min_days_left=3))
    if left > 3:
        outcome.assert_ok(CHECK)
        return
    days = (0.9 - used) * 100
    shown = "2 d" if days >= 2 else f"{int(days * 24)} h"
    expected = f"{used * 100:.1f} % of space used on {disk}, reaches 90 % in {shown}, min_days_left 3"
    assert outcome.message(CHECK) == expected


@pytest.mark.parametrize(
    "change",
    [
        lambda day: 0.1 * (day % 1) - 0.1,  # logs that are rotated each night, just before
        lambda day: -0.2 if day < -2 else 0.0,  # a large download
        lambda day: -0.01 * day,  # it empties
        lambda _: 0.0,
    ],
)
def test_disk_that_does_not_grow(run_suite, disk, tmp_path, change):
    used = fill(disk, 0.89)
    store(tmp_path, lambda day: used + change(day))
    run_suite(table("disk", "data", path=disk, min_days_left=30)).assert_ok(CHECK)


def test_no_forecast(run_suite, disk, tmp_path):
    """Without a history it passes, and whatever the history has without `min_days_left`."""
    used = fill(disk, 0.89)
    run_suite(table("disk", "data", path=disk, min_days_left=30)).assert_ok(CHECK)
    store(tmp_path, lambda day: used + 0.01 * day)
    run_suite(table("disk", "data", path=disk)).assert_ok(CHECK)


@pytest.mark.parametrize("days", [0, -1, 31])
def test_forecasts_are_of_30_days(run_suite, tmp_path, days):
    outcome = run_suite(table("disk", "data", path=tmp_path, min_days_left=days))
    assert outcome.status == 4
    assert "min_days_left" in outcome.output


def test_out_of_inodes(run_suite, disk):
    """Many small files fill a disk that has space left."""
    for number in range(19):
        (disk / str(number)).touch()
    assert failure(run_suite, disk) == f"100.0 % of inodes used on {disk}, maximum 90 %"


def test_read_only(run_suite, disk):
    """What the kernel does after an error; fine where it is meant to be."""
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    assert failure(run_suite, disk) == f"{disk} is mounted read-only"
    assert run_suite(table("disk", "data", path=disk, writable=False)).status == 0


def test_not_there(run_suite, tmp_path):
    missing = tmp_path / "missing"
    assert failure(run_suite, missing) == f"{missing}: No such file or directory"


@reliability(
    "Messages",
    fault="nothing is mounted where a disk should be, so that the system disk is checked in its place",
    promise="`mounted = true` makes it a failure",
)
def test_not_mounted(run_suite, disk, tmp_path):
    """A bind mount within one file system is one, too; so is a link to a mount point."""
    below, bound, link = disk / "below", tmp_path / "bound", tmp_path / "link"
    below.mkdir()
    bound.mkdir()
    link.symlink_to(disk)
    assert failure(run_suite, below, mounted=True) == f"{below} is not a mount point: nothing is mounted there"
    assert run_suite(table("disk", "data", path=below)).status == 0
    subprocess.run(["mount", "--bind", str(tmp_path), str(bound)], check=True)
    try:
        tables = [table("disk", path.name, path=path, mounted=True, max_used="100%") for path in (disk, bound, link)]
        assert run_suite("\n".join(tables)).status == 0
    finally:
        subprocess.run(["umount", str(bound)], check=True)


@reliability("Messages", fault="the path of a disk is a file", promise="an error that says so: it is not checked")
def test_file(run_suite, tmp_path):
    file = tmp_path / "file"
    file.touch()
    outcome = run_suite(table("disk", "data", path=file))
    assert outcome.status == 1
    assert outcome.checks[CHECK]["status"] == "error"
    assert outcome.checks[CHECK]["message"].startswith(f"{file} is not a directory: give the mount point")


def test_ok(run_suite, disk):
    assert run_suite(table("disk", "data", path=disk)).status == 0


def test_this_machine(run_suite):
    """Without a table the local file systems are checked, / among them."""
    outcome = run_suite("", "healthchecks/test_disk.py")
    assert "disk_space[/]" in outcome.checks
