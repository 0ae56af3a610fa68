"""Files are whole at every moment, and belong to nobody else."""

import os
import subprocess
import sys
import threading

import pytest

from servermonitoring.files import append_line, at_home, private_directory, write_whole


def limited(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run code that may write files of at most 8 bytes: what a full disk does, without filling one."""
    script = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from servermonitoring.files import append_line, write_whole\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (8, 8))\n" + code
    )
    return subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False
    )  # fmt: skip


def test_what_cannot_be_written_whole_leaves_the_old_file(tmp_path):
    """A full disk keeps the last good page, and no litter."""
    path = tmp_path / "page"
    path.write_text("old")
    done = limited("write_whole(Path(sys.argv[1]), 'new and far too long')", str(path))
    assert "OSError" in done.stderr
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_directory_in_the_way_leaves_nothing_next_to_it(tmp_path):
    (tmp_path / "page").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_whole(tmp_path / "page", "new")
    assert [each.name for each in tmp_path.iterdir()] == ["page"]


def test_written_files_are_private_unless_said_otherwise(tmp_path):
    """Whatever the umask, and whatever the old file was."""
    path = tmp_path / "page"
    path.write_text("old")
    path.chmod(0o666)
    write_whole(path, "new")
    assert path.stat().st_mode & 0o777 == 0o600
    old = os.umask(0o077)
    try:
        write_whole(path, b"for all", mode=0o644)
    finally:
        os.umask(old)
    assert path.stat().st_mode & 0o777 == 0o644
    assert path.read_text() == "for all"


def test_a_planted_link_is_replaced_not_followed(tmp_path):
    victim, path = tmp_path / "victim", tmp_path / "page"
    victim.write_text("precious")
    path.symlink_to(victim)
    write_whole(path, "new")
    assert victim.read_text() == "precious"
    assert not path.is_symlink()


def test_a_reader_never_sees_half_a_file(tmp_path):
    path, seen, end = tmp_path / "page", set(), threading.Event()
    write_whole(path, "a" * 100_000)

    def read():
        while not end.is_set():
            text = path.read_text()
            seen.add((len(text), text[0], text[-1]))

    reader = threading.Thread(target=read)
    reader.start()
    for letter in "bcdefghij" * 5:
        write_whole(path, letter * 100_000)
    end.set()
    reader.join()
    assert all(length == 100_000 and first == last for length, first, last in seen)


def test_text_that_is_no_unicode_is_written_all_the_same(tmp_path):
    """A file's name may be any bytes; the page that shows it must not fail."""
    name = os.fsdecode(b"caf\xe9")
    write_whole(tmp_path / "page", name)
    append_line(tmp_path / "lines", name)
    assert (tmp_path / "page").read_text() == "caf\\udce9"
    assert (tmp_path / "lines").read_text() == "caf\\udce9\n"


def test_lines_stay_lines(tmp_path):
    path = tmp_path / "lines"
    for line in ("one", "two\n", "three\nfour"):
        append_line(path, line)
    assert path.read_text() == "one\ntwo\nthree four\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_lines_of_several_writers_never_mix(tmp_path):
    path = tmp_path / "lines"
    code = (
        "import sys; from pathlib import Path; from servermonitoring.files import append_line\n"
        "for _ in range(200): append_line(Path(sys.argv[1]), sys.argv[2] * 5000)"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(path), letter]) for letter in "abc"]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    lines = path.read_text().splitlines()
    assert len(lines) == 600
    assert {(len(line), len(set(line))) for line in lines} == {(5000, 1)}


def test_a_line_that_a_full_disk_cuts_short_is_an_error(tmp_path):
    path = tmp_path / "lines"
    done = limited("append_line(Path(sys.argv[1]), 'far too long')", str(path))
    assert "No space left on device" in done.stderr
    assert path.read_text() == "far too "


def test_a_planted_link_is_not_appended_to(tmp_path):
    victim, path = tmp_path / "victim", tmp_path / "lines"
    path.symlink_to(victim)
    with pytest.raises(OSError, match="symbolic links"):
        append_line(path, "line")
    assert not victim.exists()


def test_private_directories_are_private_with_those_made_above_them(tmp_path):
    path = tmp_path / "a" / "b" / "c"
    assert private_directory(path) == path
    assert {each.stat().st_mode & 0o777 for each in (path, path.parent, path.parent.parent)} == {0o700}


def test_an_open_directory_is_closed_to_others(tmp_path):
    tmp_path.chmod(0o755)
    private_directory(tmp_path)
    assert tmp_path.stat().st_mode & 0o777 == 0o700


def test_a_file_in_the_way_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(NotADirectoryError, match="Not a directory"):
            private_directory(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="missing: root")
@pytest.mark.parametrize("linked", [False, True])
def test_a_directory_of_another_user_is_refused(tmp_path, linked):
    """Also behind a link of our own: its files could be read, and ours planted."""
    theirs, path = tmp_path / "theirs", tmp_path / "link"
    theirs.mkdir()
    os.chown(theirs, 12345, -1)
    path.symlink_to(theirs)
    with pytest.raises(PermissionError, match="belongs to user 12345"):
        private_directory(path if linked else theirs)


def test_an_unknown_home_is_a_path_that_is_missing(monkeypatch):
    monkeypatch.setenv("HOME", "/somewhere")
    assert str(at_home("~/state")) == "/somewhere/state"
    assert str(at_home("~nosuchuser/state")) == "~nosuchuser/state"


@pytest.mark.skipif(os.geteuid() != 0, reason="missing: root")
def test_what_root_writes_for_another_user_is_theirs(tmp_path):
    """The watchdog of root writes its state for the suite of another user."""
    theirs = tmp_path / "theirs"
    theirs.mkdir(mode=0o700)
    os.chown(theirs, 1234, 5678)
    private_directory(theirs / "a" / "b", root_may_share=True)
    assert {((theirs / each).stat().st_uid, (theirs / each).stat().st_mode & 0o777) for each in ("a", "a/b")} == {
        (1234, 0o700)
    }
    (theirs / "a" / "b").rmdir()
    (theirs / "a").rmdir()
    write_whole(theirs / "whole", "text")
    append_line(theirs / "lines", "one")
    append_line(theirs / "lines", "two")
    assert {(each.stat().st_uid, each.stat().st_gid) for each in theirs.iterdir()} == {(1234, 5678)}
    assert {each.stat().st_mode & 0o777 for each in theirs.iterdir()} == {0o600}
    with pytest.raises(PermissionError, match="belongs to user 1234"):
        private_directory(theirs)


@pytest.mark.skipif(os.geteuid() != 0, reason="missing: root")
def test_root_follows_no_link_of_another_user(tmp_path):
    theirs, roots = tmp_path / "theirs", tmp_path / "roots"
    for each in (theirs, roots):
        each.mkdir()
    (theirs / "spool").symlink_to(roots)
    os.chown(theirs, 1234, -1)
    os.lchown(theirs / "spool", 1234, -1)
    with pytest.raises(PermissionError, match="is a link made by user 1234"):
        private_directory(theirs / "spool" / "watchdog", root_may_share=True)
    assert list(roots.iterdir()) == []


def test_a_line_is_not_added_to_a_file_of_another_name(tmp_path):
    """Who owns the directory may have put a second name of somebody's file there."""
    victim = tmp_path / "victim"
    victim.write_text("old")
    (tmp_path / "lines").hardlink_to(victim)
    with pytest.raises(PermissionError, match="more than one name"):
        append_line(tmp_path / "lines", "new")
    assert victim.read_text() == "old"
