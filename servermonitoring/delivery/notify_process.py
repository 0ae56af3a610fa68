"""The process that sends by apprise (`notifier`), as its caller sees it: started, asked, and killed at its time limit.

The URL goes through a pipe: it is in no argument and no environment variable.
"""

import contextlib
import json
import os
import select
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from servermonitoring import clock
from servermonitoring.delivery.attempt import DeliveryOutcome, DeliveryResponse, NoResponseError, UnreachableError
from servermonitoring.scrubbing import scrub_and_cut

_LIMIT = 30.0  # seconds for one message, and for the start: a mail server may greet after ten
_LONGEST_REPLY = 200_000  # bytes
_LONGEST_REASON = 300  # characters
_PORTION = 65_536  # bytes
_NEEDED = {
    "HOME", "USER", "LOGNAME", "PATH", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "SSL_CERT_FILE",
    "SSL_CERT_DIR", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy",
    "no_proxy",
}  # fmt: skip
_SCRIPT = """
import sys
sys.path.append(sys.argv[1])
from servermonitoring.delivery.notifier import main
main(int(sys.argv[2]))
"""
_WRONG_LOGIN = {530, 534, 535, 538}  # codes of SMTP about the login (RFC 4954): the next message would fail, too
_SMTP_FOR_GOOD = 500


class NotifyConnection:
    """A process that sends for one URL. Its `post` takes the JSON of a message: title, body, kind, id, delivered."""

    def __init__(self, url: str, keep: Callable[[str, list[str]], None] | None = None) -> None:
        """`keep` is called with the id of a message and who has it, where others of the URL have it not."""
        self._process, self._url, self._keep = NotifierProcess(), url, keep
        self._id = ""

    def post(self, body: bytes, headers: dict[str, str], timeout: float) -> DeliveryResponse:  # noqa: ARG002 - HTTP's
        """Send a message and return the response. Raise UnreachableError, NoResponseError.

        `timeout` is for one step of a connection of ours; here apprise's own are in force, and one limit of the whole.
        """
        self.send(body)
        return self.receive(clock.monotonic() + _LIMIT)

    def send(self, message: bytes) -> None:
        """Hand a message over; `receive` returns the response. Raise UnreachableError."""
        if self._process.start():
            self._process.write({"urls": [self._url]})
        request = json.loads(message)
        self._id = str(request.get("id", ""))
        self._process.write(request)

    def receive(self, ends_at: float) -> DeliveryResponse:
        """Return the response to a message. `ends_at`: monotonic seconds. Raise UnreachableError, NoResponseError."""
        while (reply := self._process.read(ends_at)).get("services"):
            (service,) = reply["services"]
            if "error" in service:
                raise UnreachableError(f"the URL {service['error']}")
        if self._keep and isinstance(delivered := reply.get("delivered"), list):
            self._keep(self._id, [*map(str, delivered)])
        return _response(reply)

    def cut(self) -> None:
        """End the request in progress, from another thread; nothing more can be sent."""
        self._process.cut()

    def close(self) -> None:
        """End the process; the next message starts another one."""
        self._process.close()


def services_of(urls: Sequence[str], limit: float = _LIMIT) -> list[dict[str, str]]:
    """Return for each URL the `name` of its service, or the `error`. Raise ValueError where apprise cannot be asked."""
    process = NotifierProcess()
    try:
        process.start()
        process.write({"urls": list(urls)})
        services = process.read(clock.monotonic() + limit)["services"]
    except (UnreachableError, NoResponseError, KeyError) as error:
        raise ValueError(f"apprise cannot be used: {error}") from None
    finally:
        process.close()
    if not isinstance(services, list) or len(services) != len(urls):
        raise ValueError("apprise cannot be used: its process responds with something else")
    return services


class NotifierProcess:
    """The process, and what is read from it, within a bound of time and size."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._unread = b""
        self._cut = False

    def start(self) -> bool:
        """Start it if it does not run; return whether it was started. Raise UnreachableError."""
        if self._process is not None:
            return False
        root = str(Path(__file__).resolve().parents[2])
        command = [sys.executable, "-I", "-c", _SCRIPT, root, str(round(_LIMIT))]
        environment = {name: value for name, value in os.environ.items() if name in _NEEDED or name.startswith("LC_")}
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment,
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise UnreachableError(f"no process can be started: {error.strerror}") from None
        self._unread = b""
        if self._cut:
            self._kill()
        return True

    def write(self, request: dict[str, Any]) -> None:
        """Hand a line over; it fits into the pipe. Raise UnreachableError with the reason why the process has ended."""
        assert self._process
        assert self._process.stdin
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            raise UnreachableError(self._reason()) from None

    def read(self, ends_at: float) -> dict[str, Any]:
        """Return the next line. Raise NoResponseError, or UnreachableError where the process could not work at all."""
        while b"\n" not in self._unread:
            self._unread += self._portion(ends_at)
            if len(self._unread) > _LONGEST_REPLY:
                raise NoResponseError("a response too large")
        line, _, self._unread = self._unread.partition(b"\n")
        try:
            reply = json.loads(line)
        except ValueError:
            reply = None
        if not isinstance(reply, dict):
            raise NoResponseError("no response")
        return reply

    def cut(self) -> None:
        """Kill it, from another thread."""
        self._cut = True
        self._kill()

    def close(self) -> None:
        """Kill it if it runs; forget it."""
        process, self._process = self._process, None
        if process is None:
            return
        _kill_group(process)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream:
                with contextlib.suppress(OSError):
                    stream.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(1)

    def _portion(self, ends_at: float) -> bytes:
        assert self._process
        assert self._process.stdout
        descriptor = self._process.stdout.fileno()
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        rest = ends_at - clock.monotonic()
        if rest <= 0 or not poll.poll(rest * 1000):
            self.close()
            raise NoResponseError("no response in time")
        data = os.read(descriptor, _PORTION)
        if not data:
            reason = self._reason()
            self.close()
            raise UnreachableError(reason) if reason != _ENDED else NoResponseError(reason)
        return data

    def _reason(self) -> str:
        """Return why the process has ended."""
        if self._cut:
            return _ENDED
        process = self._process
        if process is None or process.stderr is None:
            return _ENDED
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(1)
        os.set_blocking(process.stderr.fileno(), False)
        text = (process.stderr.read(_PORTION) or b"").decode(errors="replace")
        if "No module named" in text:
            return "apprise is not installed: pip install 'servermonitoring[notify]'"
        last = scrub_and_cut(text.strip().rpartition("\n")[2], _LONGEST_REASON)
        return f"its process failed: {last}" if last else _ENDED

    def _kill(self) -> None:
        if (process := self._process) is not None:
            _kill_group(process)


_ENDED = "its process ended before it had sent the message"


def _kill_group(process: "subprocess.Popen[bytes]") -> None:
    """Kill the process and what it has started, unless it was waited for: then its pid may be another's."""
    if process.returncode is None:
        with contextlib.suppress(OSError):
            os.killpg(process.pid, 9)


class Acceptance(DeliveryResponse):
    """What a service has said is known to apprise only."""

    def in_words(self) -> str:
        return "sent by apprise"


class MailResponse(DeliveryResponse):
    """A reply of a mail server: https://www.rfc-editor.org/rfc/rfc5321#section-4.2."""

    @property
    def outcome(self) -> DeliveryOutcome:
        if self.status in _WRONG_LOGIN:
            return DeliveryOutcome.UNAVAILABLE
        return DeliveryOutcome.REFUSED if self.status >= _SMTP_FOR_GOOD else DeliveryOutcome.RETRY

    def in_words(self) -> str:
        return f"SMTP {self.status}"


def _response(reply: dict[str, Any]) -> DeliveryResponse:
    """Return it as the response of a server. Raise UnreachableError, NoResponseError."""
    if reply.get("sent") is True:
        return Acceptance(200)
    body = str(reply.get("body", "")).encode()
    match reply:
        case {"http": int(status)}:
            return DeliveryResponse(status, {str(k): str(v) for k, v in reply.get("headers", {}).items()}, body)
        case {"smtp": int(status)}:
            return MailResponse(status, {}, body)
        case {"unreachable": str(reason)}:
            raise UnreachableError(scrub_and_cut(reason, _LONGEST_REASON))
    raise NoResponseError(scrub_and_cut(str(reply.get("error", "no response")), _LONGEST_REASON))
