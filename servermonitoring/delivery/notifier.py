"""The program that sends by apprise: a process of its own, started by `notify_process`, which ends it in time.

It reads lines of JSON from standard input: first the URLs, then one message per line, for the first URL; it responds to
each with one line. It alone imports apprise, in no other process: a service that hangs, floods or takes all memory
harms nothing else. What apprise and its plugins print or log is dropped, since a URL may be in it.
"""

import difflib
import hashlib
import json
import logging
import os
import resource
import signal
import smtplib
import ssl
import sys
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

import requests
from apprise import Apprise, AppriseAsset, NotifyFormat, NotifyType
from apprise.common import OverflowMode
from apprise.manager_plugins import NotificationManager
from requests.adapters import HTTPAdapter

from servermonitoring.tls import trusted_context

_MEMORY = 1 << 30  # bytes of address space
_MOST_RECIPIENTS = 1000
_MOST_READ = 4096  # bytes of a response that are passed on
_FAILED = 300  # statuses of HTTP from here on
_REFUSED = 400  # codes of SMTP from here on


def main(limit: int) -> None:
    """Serve until standard input ends. `limit`: seconds for one line, after which the process ends itself."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    serve = _Service()
    for line in sys.stdin.buffer:
        signal.alarm(limit)
        try:
            reply = serve(json.loads(line))
        except Exception as error:  # noqa: BLE001 - the text of a library's error may hold the URL
            reply = {"error": f"apprise failed: {type(error).__name__}"}
        signal.alarm(0)
        replies.write(f"{json.dumps(reply)}\n")
        replies.flush()


class _Service:
    """The service of the first URL."""

    def __init__(self) -> None:
        self._apprise = Apprise()
        self._outcomes = Outcomes()
        self._recipients = Recipients()
        self._asset = AppriseAsset(
            app_id="servermonitoring",
            app_desc="servermonitoring",
            app_url="",
            async_mode=False,
            default_service_retry=0,
            http_redirects=False,  # what is sent would go to an unknown server
            image_url_logo="",
            image_url_mask="",
        )

    def __call__(self, request: dict[str, Any]) -> dict[str, Any]:
        if "urls" in request:
            return {"services": [self._add(url) for url in request["urls"]]}
        return self._send(request)

    def _add(self, url: str) -> dict[str, str]:
        """Return the name of its service for people, or what is wrong with the URL."""
        plugins: Any = NotificationManager()  # type: ignore[no-untyped-call]
        scheme = url.partition("://")[0].lower()
        if scheme not in plugins:
            near = difflib.get_close_matches(scheme, plugins.schemas(), 1)
            return {"error": "apprise knows no such service" + (f'; did you mean "{near[0]}://…"?' if near else "")}
        plugin = plugins[scheme]
        if not plugin.enabled:
            packages = plugin.requirements.get("packages_required") or []
            needed = ", ".join(map(str, [packages] if isinstance(packages, str) else packages))
            return {"error": f"cannot be used on this machine{f': it needs {needed}' if needed else ''}"}
        service = Apprise.instantiate(url, asset=self._asset, suppress_exceptions=True)
        if service is None:
            return {"error": f"is not a complete URL of {plugin.service_name}: see {plugin.setup_url}"}
        if "overflow=" not in url:  # one message, cut to what the service takes
            service.overflow_mode = OverflowMode.TRUNCATE
        if not len(self._apprise):
            self._apprise.add(service)
            if "overflow=" not in url:  # of a message in several parts each recipient needs all
                self._recipients.watch(service)
        return {"name": str(service.service_name)}

    def _send(self, message: dict[str, Any]) -> dict[str, Any]:
        self._outcomes.forget()
        self._recipients.begin(str(message.get("id", "")), message.get("delivered", ()))
        kind = NotifyType(message["kind"])
        title, body = message["title"], message["body"]
        is_sent = self._apprise.notify(body=body, title=title, notify_type=kind, body_format=NotifyFormat.TEXT)
        return {"sent": True} if is_sent else self._outcomes.why() | self._recipients.found()


class Recipients:
    """Which recipients of a URL have a message already: one that others still wait for is not sent to them again.

    apprise's plugins ask and report that for its own repetitions, by two methods of every service.
    """

    def __init__(self) -> None:
        self._id = ""
        self._delivered: set[str] = set()

    def watch(self, service: Any) -> None:
        """Answer in place of the service from now on."""
        service.is_delivered = lambda key, per_message=False: self._digest(key, per_message) in self._delivered
        service.mark_delivered = lambda key, per_message=False: self._delivered.add(self._digest(key, per_message))

    def begin(self, identity: str, delivered: Iterable[str]) -> None:
        """Begin a message. `delivered`: what `found` has returned for this identity, if it was sent before."""
        self._id, self._delivered = identity, {*delivered}

    def found(self) -> dict[str, list[str]]:
        """Return who has the message, by digests that hold no address."""
        return {"delivered": sorted(self._delivered)[:_MOST_RECIPIENTS]} if self._id and self._delivered else {}

    def _digest(self, key: object, per_message: object) -> str:
        return hashlib.sha256(f"{self._id} {bool(per_message)} {key!r}".encode(errors="replace")).hexdigest()[:16]


class Outcomes:
    """What servers have said since the last message: apprise itself returns only whether all went well."""

    def __init__(self) -> None:
        self._said: list[dict[str, Any]] = []
        self._warnings: list[str] = []
        _around(HTTPAdapter, "send", self._see_response, self._see_error)
        _around(HTTPAdapter, "init_poolmanager", lambda _: None, lambda _: None, ssl_context=_context())
        _around(smtplib.SMTP, "getreply", self._see_reply, self._see_error)
        _around(smtplib.SMTP, "connect", lambda _: None, self._see_error)
        _around(smtplib.SMTP, "starttls", lambda _: None, self._see_error)
        logger = logging.getLogger("apprise")
        logger.addHandler(_Warnings(self._warnings))
        logger.propagate = False

    def forget(self) -> None:
        self._said.clear()
        self._warnings.clear()

    def why(self) -> dict[str, Any]:
        """Return the last failure: of a server if there is one, else in apprise's words."""
        if self._said:
            return _words_of(self._said[-1])
        return {"error": "; ".join(self._warnings)[:_MOST_READ] or "apprise does not say why"}

    def _see_response(self, response: requests.Response) -> None:
        if response.status_code >= _FAILED:
            self._said.append({"http": response})

    def _see_reply(self, reply: tuple[int, bytes]) -> None:
        code, text = reply
        if code >= _REFUSED:
            self._said.append({"smtp": code, "body": text[:_MOST_READ].decode(errors="replace")})

    def _see_error(self, error: Exception) -> None:
        self._said.append(_error_words(error))


def _context() -> ssl.SSLContext:
    """Return one that trusts what all parts of this program trust; urllib3 compares host names itself."""
    context = trusted_context()
    context.check_hostname = False  # else urllib3 could not obey "verify=no" of a URL
    return context


def _words_of(said: dict[str, Any]) -> dict[str, Any]:
    """Return it as JSON takes it; the body of a response was read meanwhile."""
    response = said.get("http")
    if response is None:
        return said
    headers = {name.lower(): value for name, value in response.headers.items()}
    wanted = {name: headers[name] for name in ("retry-after",) if name in headers}
    body = response.content[:_MOST_READ].decode(errors="replace")
    return {"http": response.status_code, "headers": wanted, "body": body}


def _error_words(error: BaseException) -> dict[str, str]:
    """Return what went wrong without a library's own words, in which the URL may be."""
    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) and cause not in chain:
        chain.append(cause)
    reasons = {type(each).__name__: each for each in (*chain, *_reasons(chain))}
    for name, words in _CONNECTING.items():
        if name in reasons:
            return {"unreachable": words}
    for name in ("SSLCertVerificationError", "SSLError"):
        if name in reasons:
            return {"unreachable": f"TLS: {getattr(reasons[name], 'verify_message', '') or 'not accepted'}"}
    if any("Timeout" in name for name in reasons):
        return {"error": "no response in time"}
    closed = {
        "ConnectionResetError",
        "BrokenPipeError",
        "RemoteDisconnected",
        "ProtocolError",
        "SMTPServerDisconnected",
    }
    if closed & reasons.keys():
        return {"error": "connection closed before a complete response"}
    strerror = next((text for each in reasons.values() if (text := getattr(each, "strerror", None))), "")
    return {"error": strerror.lower() or type(error).__name__}


_CONNECTING = {
    "gaierror": "unknown host name",
    "NameResolutionError": "unknown host name",
    "ConnectionRefusedError": "connection refused",
    "ConnectTimeoutError": "no response in time",
    "ConnectTimeout": "no response in time",
    "ProxyError": "the proxy refuses the connection",
}


def _reasons(chain: list[BaseException]) -> list[BaseException]:
    """Return the errors that libraries keep within their own."""
    inner = [part for each in chain for part in (*each.args, getattr(each, "reason", None))]
    inner += [part for each in inner if isinstance(each, BaseException) for part in (*each.args, each.__cause__)]
    inner += [getattr(each, "reason", None) for each in inner if isinstance(each, BaseException)]
    return [each for each in inner if isinstance(each, BaseException)]


class _Warnings(logging.Handler):
    """Keeps what apprise warns of."""

    def __init__(self, kept: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._kept = kept

    def emit(self, record: logging.LogRecord) -> None:
        self._kept.append(record.getMessage())


def _around(
    owner: type, name: str, see: Callable[[Any], None], see_error: Callable[[Exception], None], **more: Any
) -> None:
    """Let `see` see what a method returns, and `see_error` what it raises; call it with `more` keywords."""
    method = getattr(owner, name)

    @wraps(method)
    def seen(*arguments: Any, **options: Any) -> Any:
        try:
            result = method(*arguments, **{**options, **more})
        except Exception as error:
            see_error(error)
            raise
        see(result)
        return result

    setattr(owner, name, seen)
