"""What a writer that was killed leaves half-written goes, and nothing else does."""

import os
import signal
import subprocess
import sys

import pytest

from servermonitoring.files import make_directory, remove_abandoned, replacement, write_whole
from tests.reliability import reliability

KILLED = (
    "import os, signal, sys; from pathlib import Path; from servermonitoring.files import replacement\n"
    "with replacement(Path(sys.argv[1])) as file:\n"
    "    file.write(b'half'); file.flush(); os.kill(os.getpid(), signal.SIGKILL)"
)


def killed_writer(path):
    done = subprocess.run([sys.executable, "-c", KILLED, path], check=False)
    assert done.returncode == -signal.SIGKILL


def names(directory):
    return sorted(each.name for each in directory.iterdir())


@reliability(
    "Files",
    fault="a run is killed while it writes a file",
    promise="the old file is still whole, and a later run removes the half-written one",
)
def test_file_of_a_killed_writer(tmp_path):
    write_whole(tmp_path / "page", "old")
    killed_writer(tmp_path / "page")
    assert len(names(tmp_path)) == 2
    assert remove_abandoned(tmp_path) == 0  # it may be about to be renamed
    assert remove_abandoned(tmp_path, older_than=0) == 1
    assert names(tmp_path) == ["page"]
    assert (tmp_path / "page").read_text() == "old"


def test_other_names_and_kinds_stay(tmp_path):
    killed_writer(tmp_path / "page")
    (ours,) = names(tmp_path)
    others = [ours + "x", ours[1:], ".page.0123456789ab"]
    for name in others:
        (tmp_path / name).touch()
    directory, link = (f".servermonitoring.{'0' * 11}{digit}" for digit in "12")
    (tmp_path / directory).mkdir()
    (tmp_path / link).symlink_to(tmp_path / others[0])
    assert remove_abandoned(tmp_path, older_than=0) == 1
    assert names(tmp_path) == sorted([*others, directory, link])


@pytest.mark.skipif(os.geteuid() != 0, reason="missing: root")
def test_files_of_another_user_stay(tmp_path):
    killed_writer(tmp_path / "page")
    tmp_path.chmod(0o777)
    pid = os.fork()
    if not pid:
        os.setuid(12345)
        os._exit(remove_abandoned(tmp_path, older_than=0))
    assert os.waitpid(pid, 0)[1] == 0
    assert len(names(tmp_path)) == 1


def test_a_directory_that_is_missing_holds_none(tmp_path):
    assert remove_abandoned(tmp_path / "missing", older_than=0) == 0


def test_a_block_that_raises_leaves_the_old_file(tmp_path):
    write_whole(tmp_path / "page", "old")

    def fail():
        with replacement(tmp_path / "page") as file:
            file.write(b"new")
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        fail()
    assert names(tmp_path) == ["page"]
    assert (tmp_path / "page").read_text() == "old"


def test_the_longest_name_that_a_file_can_have(tmp_path):
    """The temporary file has a short name of its own."""
    write_whole(tmp_path / ("x" * 255), "text")
    assert names(tmp_path) == ["x" * 255]


@reliability(
    "Files",
    fault="the umask lets all users write to new directories",
    promise="directories that are made are for their owner only, those that are there keep their mode",
)
def test_directories_under_umask_0(tmp_path):
    (tmp_path / "shared").mkdir(mode=0o755)
    before = os.umask(0)
    try:
        make_directory(tmp_path / "shared" / "a" / "b")
    finally:
        os.umask(before)
    modes = [(tmp_path / "shared" / each).stat().st_mode & 0o777 for each in (".", "a", "a/b")]
    assert modes == [0o755, 0o700, 0o700]
