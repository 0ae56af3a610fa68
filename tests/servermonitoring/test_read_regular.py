"""A file is read without waiting and up to a bound, or it is said why not."""

import os
import socket
from pathlib import Path

import pytest

from servermonitoring.files import read_regular


@pytest.mark.parametrize(
    ("most", "part", "content"),
    [(6, "whole", b"abcdef"), (2, "start", b"ab"), (2, "end", b"ef"), (9, "start", b"abcdef"), (9, "end", b"abcdef")],
)
def test_parts(tmp_path, most, part, content):
    path = tmp_path / "file"
    path.write_bytes(b"abcdef")
    assert read_regular(path, most, part=part) == content


def test_larger_than_the_bound(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"abcdef")
    with pytest.raises(OSError, match="is larger than 5 B"):
        read_regular(path, 5)


def test_a_file_whose_size_nobody_knows():
    """Files below /proc say that they are empty."""
    assert b"Linux" in read_regular(Path("/proc/version"), 10_000)
    with pytest.raises(OSError, match="is larger than 3 B"):
        read_regular(Path("/proc/version"), 3)


@pytest.mark.parametrize("part", ["whole", "start", "end"])
def test_what_is_no_file(tmp_path, part):
    os.mkfifo(tmp_path / "pipe")
    for path, words in (
        (tmp_path / "pipe", "is a named pipe, not a file"),
        (tmp_path, "is a directory, not a file"),
        (Path("/dev/zero"), "is a device, not a file"),
        (Path("/dev/full"), "is a device, not a file"),
        (tmp_path / "missing", "No such file or directory"),
    ):
        with pytest.raises(OSError, match=words) as raised:
            read_regular(path, 100, part=part)
        assert raised.value.strerror == words


def test_a_socket(tmp_path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        with pytest.raises(OSError, match="socket"):
            read_regular(tmp_path / "socket", 100)
