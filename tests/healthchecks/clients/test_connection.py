"""The times of a client's steps, by a clock of the test's own."""

from types import SimpleNamespace

from healthchecks.clients import connection
from healthchecks.clients.connection import ConnectionStep, Progress, StepTimes


def test_times_of_steps(monkeypatch):
    """Each step lasts until the next one, of whichever connection; what is repeated is added up."""
    clock = iter([1, 11, 111, 1111, 11111])
    monkeypatch.setattr(connection, "clock", SimpleNamespace(monotonic=lambda: next(clock)))
    times = StepTimes()
    first, second = Progress("one", 1, times=times), Progress("two", 2, times=times)
    first.at(ConnectionStep.CONNECT)
    first.at(ConnectionStep.TLS)
    second.at(ConnectionStep.CONNECT)
    times.begin(None)
    assert times.seconds == {ConnectionStep.CONNECT: 10 + 1000, ConnectionStep.TLS: 100}
    times.begin(ConnectionStep.BODY)
    assert ConnectionStep.BODY not in times.seconds
