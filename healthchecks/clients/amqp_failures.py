"""Pika's exceptions, which wrap each other and print their parts, in one line for a person on call."""

import os
import re
import socket
import ssl
from typing import TYPE_CHECKING

from healthchecks.clients.connection import is_cut_off, not_connected
from healthchecks.clients.progress import Progress, Step

if TYPE_CHECKING:
    from healthchecks.clients.amqp import Access

_REPLY = re.compile(r"\((\d{3})\) (['\"])(?P<text>.*?)\2")
_ACCESS_REFUSED, _NOT_ALLOWED = 403, 530
_ERRNO = re.compile(r"(?:Error\(|\[Errno )(\d{1,3})[,\]]")


def in_words(error: Exception, access: "Access", progress: Progress) -> str:
    """What is wrong, and where."""
    text = repr(error).replace("\\", "")
    if reply := _REPLY.search(text):
        return _reply_words(int(reply[1]), reply["text"], access, progress.peer)
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not trusted ({error.verify_message}) at {progress.peer}"
    if is_cut_off(error) or re.search("StreamLost|EOF|Connection reset|Broken pipe", text):
        return progress.closed
    if isinstance(error, ssl.SSLError):
        return f"speaks no TLS at {progress.peer}"
    unknown = "the connection broke" if progress.step is Step.LOGGED_IN else "not an AMQP server"
    return _of_system(error, text, progress) or f"{unknown} at {progress.peer}"


def _of_system(error: Exception, text: str, progress: Progress) -> str:
    """The system's own error, which pika wraps in several ways and prints."""
    if isinstance(error, socket.gaierror):
        return not_connected(error, progress)
    number = _ERRNO.search(text)
    return not_connected(OSError(int(number[1]), os.strerror(int(number[1]))), progress) if number else ""


def _reply_words(code: int, text: str, access: "Access", where: str) -> str:
    """What the server itself gave as its reason; `text` is like "NOT_FOUND - no queue 'celery'"."""
    reason = text.partition(" - ")[2] or text
    if code == _ACCESS_REFUSED and "ogin was refused" in reason:
        return f'login refused for user "{access.user}" at {where}'
    if code == _NOT_ALLOWED and "not found" in reason:
        return f'no vhost "{access.vhost}" at {where}'
    if code == _NOT_ALLOWED:
        return f'user "{access.user}" may not use vhost "{access.vhost}" at {where}'
    if code == _ACCESS_REFUSED:
        return f'user "{access.user}" lacks a right at {where}: {reason}'
    return f"{reason} at {where}"
