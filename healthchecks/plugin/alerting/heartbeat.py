"""The heartbeat of a run: a ping at its start and one at its end, for a service that alerts when none arrives."""

import contextlib
import threading
import uuid
from collections.abc import Callable, Iterator

from servermonitoring import clock, threads
from servermonitoring.delivery.heartbeat import Ping, PingRequest, PingService, PingSignal

_ALL_PASSED, _SOME_FAILED = 0, 1  # pytest's statuses of a run that did its work
_SHARE = 0.5  # of the time at the end that the first ping may still take


class RunHeartbeat:
    """Pings the service of `[heartbeat]`. A failure is a run that could not do its work, as for Sentry's check-ins.

    `error` says after the end why the service does not know of it.
    """

    def __init__(self, service: PingService, report: Callable[[], str], *, failing_is_failure: bool = False) -> None:
        """`failing_is_failure`: a run with failing checks is a failure, too."""
        self._service, self._report = service, report
        self._succeeds = (_ALL_PASSED,) if failing_is_failure else (_ALL_PASSED, _SOME_FAILED)
        self._run, self._began = str(uuid.uuid4()), clock.monotonic()
        self._first: PingRequest | None = None
        self._thread: threading.Thread | None = None
        self.error = ""

    def begin(self) -> None:
        """Send the start in the background, where the service knows starts. Its loss is none of the heartbeat."""
        self._began = clock.monotonic()
        if self._service.expects(PingSignal.START):
            self._first = PingRequest(self._service, Ping(PingSignal.START, run=self._run))
            self._thread = threads.start(self._first.send, name="healthchecks-heartbeat")

    def end(self, exitstatus: int, ends_at: float) -> None:
        """Send success or failure, until `ends_at` (monotonic) at most; never before the start."""
        signal = PingSignal.SUCCESS if exitstatus in self._succeeds else PingSignal.FAILURE
        if not self._service.expects(signal):
            return
        self.error = f"the service ({self._service.format}): no response in time"
        self._end_first(ends_at)
        request = PingRequest(self._service, self._ping(signal, exitstatus))
        with _cut_at(request, ends_at):
            self.error = request.send(ends_at)

    def summary(self) -> str:
        """Return nothing: what went wrong is a suite error."""
        return ""

    def _end_first(self, ends_at: float) -> None:
        """Wait for the first ping, and give it up in time for the last: a start that comes late would hide the end."""
        if self._thread and self._first:
            self._thread.join(max(0.0, ends_at - clock.monotonic()) * _SHARE)
            self._first.cut()

    def _ping(self, signal: PingSignal, exitstatus: int) -> Ping:
        report = self._report()
        if exitstatus not in (_ALL_PASSED, _SOME_FAILED):
            report = f"the run ended with exit status {exitstatus}; {report}"
        return Ping(signal, report, self._run, clock.monotonic() - self._began)


@contextlib.contextmanager
def _cut_at(request: PingRequest, ends_at: float) -> Iterator[None]:
    """End the request when its time is over: a response that comes letter by letter meets every timeout of a step."""
    timer = threading.Timer(max(0.0, ends_at - clock.monotonic()), request.cut)
    timer.daemon, timer.name = True, "healthchecks-heartbeat-limit"
    with contextlib.suppress(RuntimeError):  # the system gives no more threads
        timer.start()
    try:
        yield
    finally:
        timer.cancel()
