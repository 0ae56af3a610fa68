"""What went wrong on the way to a web server, in the words of a person on call; no URL's password, no query."""

import http.client
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import requests
import urllib3.exceptions

from healthchecks import NoAnswer, Unhealthy
from healthchecks.clients.addresses import address, peer
from healthchecks.clients.certificate import what_is_wrong

CLIENT_ERRORS = (OSError, urllib3.exceptions.HTTPError, http.client.HTTPException, UnicodeError)
"""Everything that a request raises; requests' own errors are OSErrors."""

_TIMEOUTS = (TimeoutError, requests.Timeout, urllib3.exceptions.TimeoutError)
"""Looked for after a refused connection, which is one of urllib3's timeouts."""


def told(error: BaseException, url: str, ca: Path | None, late: str) -> Unhealthy:
    """What to raise instead of a client's error: its first cause that says something; `late` for a time limit."""
    causes = list(_causes(error))
    for describe in (_of_tls, _of_connecting):
        for cause in causes:
            if message := describe(cause, url, ca):
                return Unhealthy(message)
    if any(isinstance(cause, _TIMEOUTS) for cause in causes):
        return NoAnswer(late)
    for cause in causes:
        if message := _of_talking(cause, url):
            return Unhealthy(message)
    return Unhealthy(f"{type(error).__name__} at {peer(url)}")


def _of_tls(cause: BaseException, url: str, ca: Path | None) -> str:
    if isinstance(cause, ssl.SSLCertVerificationError):
        return what_is_wrong(cause, url, ca)
    if isinstance(cause, ssl.SSLEOFError):
        return f"closed the connection before TLS was agreed on at {peer(url)}"
    if isinstance(cause, ssl.SSLError):
        speaks = cause.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE")
        reason = (cause.reason or str(cause)).lower().replace("_", " ")
        return f"speaks no TLS at {peer(url)}" if speaks else f"TLS fails at {peer(url)}: {reason}"
    return ""


def _of_connecting(cause: BaseException, url: str, _ca: Path | None) -> str:
    if isinstance(cause, socket.gaierror | urllib3.exceptions.NameResolutionError):
        host = getattr(cause, "_host", None) or address(url)[0]
        silent = " (its name server gives no answer)" if getattr(cause, "errno", 0) == socket.EAI_AGAIN else ""
        return f"cannot resolve {host}{silent}"
    if isinstance(cause, ConnectionRefusedError):
        return f"connection refused at {peer(url)}"
    if isinstance(cause, http.client.RemoteDisconnected | ConnectionResetError | BrokenPipeError):
        return f"closed the connection without an answer at {peer(url)}"
    return ""


def _of_talking(cause: BaseException, url: str) -> str:
    if isinstance(cause, urllib3.exceptions.IncompleteRead | http.client.IncompleteRead):
        return f"breaks off in the middle of the body at {peer(url)}"
    if isinstance(cause, urllib3.exceptions.DecodeError):
        return f"sends a body that cannot be unpacked at {peer(url)}"
    if isinstance(cause, requests.exceptions.InvalidSchema | requests.exceptions.InvalidURL):
        return f"{peer(url)} is not a place to ask by http"
    if isinstance(cause, http.client.HTTPException | requests.exceptions.InvalidHeader):
        return f"answers with something that is not HTTP at {peer(url)}"
    if isinstance(cause, OSError) and cause.errno and cause.strerror:
        return f"{cause.strerror} at {peer(url)}"
    return ""


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and those it was made of; urllib3 and requests hide them in different places."""
    waiting, seen = [error], set[int]()
    while waiting:
        each = waiting.pop(0)
        if id(each) not in seen:
            seen.add(id(each))
            yield each
            inner = (*each.args, getattr(each, "reason", None), each.__cause__, each.__context__)
            waiting += [one for one in inner if isinstance(one, BaseException)]
