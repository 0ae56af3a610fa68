"""Channel, output and memory of a forked process, as the pytest process sees them."""

import os
import socket
import threading
from pathlib import Path

import pytest

from healthchecks.plugin.probes.forked_process import ForkedProcess
from healthchecks.plugin.probes.message import framed


@pytest.fixture
def process():
    made = ForkedProcess(memory=20_000_000)
    yield made
    made.close()


def test_messages_and_then_the_end(process):
    with process.its_ends() as (channel, _):
        channel.sendall(framed("a") + framed("b"))
    assert process.wait(60) == ["a", "b"]
    assert process.wait(60) is None


def test_the_last_of_its_output_is_kept(process):
    with process.its_ends() as (_, output):
        for each in ("x", "y"):
            os.write(output, each.encode() * 15_000)
            assert process.wait(60) == []
    assert process.output == "x" * 5_000 + "y" * 15_000


def test_output_that_has_ended_wakes_nobody(process):
    with process.its_ends() as (channel, output):
        with Path(os.devnull).open("w") as nothing:
            os.dup2(nothing.fileno(), output)
        assert process.wait(60) == []
        threading.Timer(0.2, channel.sendall, [framed("a")]).start()
        assert process.wait(60) == ["a"]


def test_memory_beyond_what_it_began_with(process):
    process.pid = os.getpid()
    assert not process.uses_too_much()
    grown = bytearray(b"x") * 60_000_000
    assert process.uses_too_much()
    process.pid = 0
    assert not process.uses_too_much(), len(grown)


def test_default_timeout_of_a_check():
    socket.setdefaulttimeout(0.001)
    try:
        process = ForkedProcess(memory=0)
    finally:
        socket.setdefaulttimeout(None)
    with process.its_ends() as (channel, _):
        assert process.channel.gettimeout() is channel.gettimeout() is None
    process.close()
