"""Messages for the errors of a web client; without the password and query of a URL."""

import http.client
import ssl
from collections.abc import Iterator
from pathlib import Path

import requests
import urllib3.exceptions

from healthchecks import ProbeTimeout, Unhealthy
from healthchecks.clients.connection import ConnectionStep, Progress, describe_failed_connection, is_closed_by_peer
from healthchecks.clients.http.certificate import describe_verification_error

CLIENT_ERRORS = (OSError, urllib3.exceptions.HTTPError, http.client.HTTPException, UnicodeError)
"""All errors that a request raises; those of requests are OSErrors."""

_TIMEOUTS = (TimeoutError, requests.Timeout, urllib3.exceptions.TimeoutError)
_CUT_BODY = (http.client.IncompleteRead, urllib3.exceptions.IncompleteRead)
_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")


def translate(error: BaseException, progress: Progress, url: str, ca: Path | None) -> Unhealthy:
    """Return the exception to raise instead, by the first cause with a known message."""
    causes = list(_causes(error))
    for describe in (_of_connection, _of_protocol):
        for cause in causes:
            if message := describe(cause, progress, url, ca):
                return Unhealthy(message)
    if any(isinstance(cause, _TIMEOUTS) for cause in causes):
        return ProbeTimeout()
    for cause in causes:
        if isinstance(cause, OSError) and cause.errno and (message := describe_failed_connection(cause, progress)):
            return Unhealthy(message)
    return Unhealthy(f"{type(error).__name__} at {progress.peer}")


def _of_connection(cause: BaseException, progress: Progress, url: str, ca: Path | None) -> str:
    if isinstance(cause, ssl.SSLCertVerificationError):
        return describe_verification_error(cause, url, ca) + (f" at {progress.peer}" if progress.via else "")
    if is_closed_by_peer(cause) or isinstance(cause, _CUT_BODY):
        return progress.closed_message
    if isinstance(cause, ssl.SSLError):
        is_plain = progress.step is ConnectionStep.TLS and cause.reason in _NO_TLS
        reason = (cause.reason or str(cause)).lower().replace("_", " ")
        return f"no TLS at {progress.peer}" if is_plain else f"TLS handshake failed at {progress.peer}: {reason}"
    return ""


def _of_protocol(cause: BaseException, progress: Progress, _url: str, _ca: Path | None) -> str:
    if isinstance(cause, requests.exceptions.InvalidSchema | requests.exceptions.InvalidURL):
        return f"not an HTTP URL: {progress.peer}"
    if isinstance(cause, http.client.HTTPException | requests.exceptions.InvalidHeader):
        return f"response is not HTTP at {progress.peer}"
    return ""


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and its causes; urllib3 and requests keep them in different attributes."""
    waiting, seen = [error], set[int]()
    while waiting:
        each = waiting.pop(0)
        if id(each) not in seen:
            seen.add(id(each))
            yield each
            inner = (*each.args, getattr(each, "reason", None), each.__cause__, each.__context__)
            waiting += [one for one in inner if isinstance(one, BaseException)]
