"""Pika's exceptions, which wrap each other and print their parts, in one line for a person on call."""

import re
import socket
import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from healthchecks.clients.amqp import Access

_REPLY = re.compile(r"\((\d{3})\) (['\"])(?P<text>.*?)\2")
_ACCESS_REFUSED, _NOT_ALLOWED = 403, 530
_ERRNO = re.compile(r"Error\(\d+, ['\"](?P<text>[^'\"]+)")


def in_words(error: Exception, access: "Access", *, connected: bool = False) -> str:
    """What is wrong, and where; `connected` says that AMQP was spoken before."""
    if isinstance(error, socket.gaierror):
        return f"cannot resolve {access.host}"
    text = repr(error).replace("\\", "")
    if reply := _REPLY.search(text):
        return _reply_words(int(reply[1]), reply["text"], access)
    unknown = "the connection broke" if connected else "not an AMQP server"
    return f"{_own_words(error, text) or unknown} at {access.address}"


def _own_words(error: Exception, text: str) -> str:
    """What there is to say when the server said nothing; empty for what is not known."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not trusted ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return "no TLS is spoken"
    if re.search("StreamLost|EOF|Connection reset|Broken pipe", text):
        return "closed the connection"
    if refused := _ERRNO.search(text) or re.search(r"\[Errno \d+\] (?P<text>.+?)(?:['\"]|$)", text):
        return refused["text"].lower()
    return ""


def _reply_words(code: int, text: str, access: "Access") -> str:
    """What the server itself gave as its reason; `text` is like "NOT_FOUND - no queue 'celery'"."""
    reason = text.partition(" - ")[2] or text
    if code == _ACCESS_REFUSED and "ogin was refused" in reason:
        return f'login refused for user "{access.user}" at {access.address}'
    if code == _NOT_ALLOWED and "not found" in reason:
        return f'no vhost "{access.vhost}" at {access.address}'
    if code == _NOT_ALLOWED:
        return f'user "{access.user}" may not use vhost "{access.vhost}" at {access.address}'
    if code == _ACCESS_REFUSED:
        return f'user "{access.user}" lacks a right at {access.address}: {reason}'
    return f"{reason} at {access.address}"
