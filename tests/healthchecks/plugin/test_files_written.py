"""What a run writes, in directories where somebody else may have put something first."""

import os
import subprocess
import sys

import pytest

from healthchecks.plugin.dashboard import publication
from tests.reliability import reliability

CHECK = """
    import pytest

    @pytest.mark.healthcheck
    def test_ok():
        pass
"""


@pytest.fixture
def checked(suite):
    suite.write("test_mine.py", CHECK)
    assert suite.run().status == 0
    return suite


def symbolic_link(target, victim):
    target.symlink_to(victim)


def hard_link(target, victim):
    target.hardlink_to(victim)


def readable_file(target, victim):
    target.write_text(victim.read_text())
    target.chmod(0o666)


def fifo(target, victim):
    assert victim.exists()
    os.mkfifo(target)


@reliability(
    "Files",
    fault="a link, a FIFO or a file for all to read has the name of an export",
    promise="the export is a new file for its owner only, and what was linked to stays as it was",
)
@pytest.mark.parametrize("plant", [symbolic_link, hard_link, readable_file, fifo])
@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_export_to_a_planted_name(checked, plant, suffix):
    victim, target = checked.folder / "victim", checked.folder / f"all.{suffix}"
    victim.write_text("precious")
    plant(target, victim)
    outcome = checked.run("test_mine.py", "--monitoring-export", target.name)
    assert (outcome.status, outcome.output) == (0, f"1 result written to {target.name}\n")
    assert victim.read_text() == "precious"
    assert not target.is_symlink()
    assert target.stat().st_mode & 0o777 == 0o600
    assert len(target.read_text().splitlines()) == (2 if suffix == "csv" else 1)


@reliability(
    "Files",
    fault="the disk is full when the history is exported",
    promise="the older export is still whole, and nothing else is left there",
)
def test_export_on_a_full_disk(checked):
    target = checked.folder / "all.csv"
    target.write_text("old")
    before = sorted(checked.folder.iterdir())
    script = (
        "import resource, sys; from pathlib import Path\n"
        "from healthchecks.plugin.history.export import export\n"
        "import healthchecks.plugin.history.export as module\n"
        "rows = module._rows\n"
        "def limited(connection):\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (8, 8))\n"
        "    return rows(connection)\n"
        "module._rows = limited\n"
        "export(Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, checked.state, target], capture_output=True, text=True, check=False
    )
    assert "OSError" in done.stderr
    assert target.read_text() == "old"
    assert sorted(checked.folder.iterdir()) == before


@reliability(
    "Files",
    fault="the umask of cron lets all users write to new files",
    promise="state, page, badges and kept pages are for their owner only",
)
def test_a_run_under_umask_0(suite):
    suite.write("test_mine.py", CHECK)
    suite.configure("[dashboard]\ndirectory = 'a/b/html'\n[metrics]\ntextfile = 'm/checks.prom'\n")
    (suite.folder / "m").mkdir()
    before = os.umask(0)
    try:
        outcome = suite.run()
    finally:
        os.umask(before)
    assert outcome.status == 0, outcome.output
    page = suite.folder / "a"
    assert (page / "b" / "html" / "badges" / "all.svg").exists()
    found = [page, *page.rglob("*"), suite.folder / "state", *(suite.folder / "state").rglob("*")]
    assert {str(each): oct(each.stat().st_mode & 0o777) for each in found if each.stat().st_mode & 0o077} == {}


@reliability(
    "Files",
    fault="a run is killed while it writes its page, badges or state",
    promise="the next run removes what is older than an hour from all of these directories",
)
def test_what_a_killed_run_left(checked):
    directories = [checked.page, checked.page / "badges", checked.state]
    for each in directories:
        half = each / ".servermonitoring.0123456789ab"
        half.touch()
        os.utime(half, (1, 1))
    assert checked.run().status == 0
    assert not [each for each in directories if (each / ".servermonitoring.0123456789ab").exists()]


@pytest.mark.skipif(os.geteuid() != 0, reason="missing: root")
@reliability(
    "Files",
    fault="another user put a link in the place of the folder of badges",
    promise="nothing is written or removed behind the link",
)
def test_folder_that_is_a_link_of_another_user(tmp_path):
    (tmp_path / "pictures").mkdir()
    link = tmp_path / "badges"
    link.symlink_to("pictures")
    os.lchown(link, 12345, -1)
    with pytest.raises(PermissionError, match="is a link made by user 12345"):
        publication.make_folder(link)
