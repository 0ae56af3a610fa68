"""libpq's prose, in one line for a person on call: what is wrong, and where."""

import re
from typing import TYPE_CHECKING

from healthchecks.clients.progress import Progress

if TYPE_CHECKING:
    import psycopg2

_ATTEMPT = re.compile(r"(?:connection to server (?:at|on) [^\n]*? failed: |could not connect to server: )")
_TIMED_OUT = re.compile(r"statement timeout|timeout expired|Connection timed out")
_SEVERITY = re.compile(r"^(?:FATAL|ERROR|PANIC): +")

_CLEARTEXT = (
    "the server asks for the password in clear text and did not get it, since TLS is not verified, at ADDRESS: "
    'let it ask for scram-sha-256 (pg_hba.conf), or write sslmode = "verify-full"'
)
# The first that is found; {} takes the pattern's group. None says that the address adds nothing.
_WORDS: list[tuple[str, str]] = [
    (r'(password authentication failed for user "[^"]*")', "{} at ADDRESS"),
    (r"server requested a cleartext password", _CLEARTEXT),
    (r'invalid connection option "require_auth"', "libpq is older than 16, use psycopg2-binary, to ask at ADDRESS"),
    (r"no password supplied", "USER needs a password at ADDRESS"),
    (r'database "([^"]*)" does not exist', 'no database "{}" at ADDRESS'),
    (r'role "([^"]*)" does not exist', 'no role "{}" at ADDRESS'),
    (r'permission denied for database "([^"]*)"', 'USER may not connect to database "{}" at ADDRESS'),
    (r"no pg_hba.conf entry", "USER is not let in from here (pg_hba.conf) at ADDRESS"),
    (r'too many connections for role "([^"]*)"', 'role "{}" has used up its own CONNECTION LIMIT at ADDRESS'),
    (r'too many connections for database "([^"]*)"', 'database "{}" has used up its own CONNECTION LIMIT at ADDRESS'),
    (r"too many (?:clients|connections)|connection slots are reserved", "too many connections at ADDRESS"),
    (r"database system is starting up", "the server is starting up at ADDRESS"),
    (r"database system is shutting down", "the server is shutting down at ADDRESS"),
    (r"in recovery mode|not yet accepting connections", "the server is recovering at ADDRESS"),
    (r"terminating connection due to administrator command", "the server ended the connection at ADDRESS"),
    (r"Connection refused", "connection refused at ADDRESS"),
    (r"No route to host|Network is unreachable|Invalid argument", "no route to ADDRESS"),
    (r'could not translate host name "([^"]*)"', "cannot resolve {}"),
    (r"server does not support SSL", "the server offers no TLS, which sslmode asks for, at ADDRESS"),
    (r"certificate verify failed", "the certificate is not trusted at ADDRESS"),
    (r'root certificate file "([^"]*)"', "sslrootcert {} does not exist"),
    (r"server certificate for .* does not match", "the certificate is for another name at ADDRESS"),
    (r"closed the connection|Connection reset|EOF detected", "CLOSED"),
    (r"invalid response|expected authentication|lost synchronization", "not a PostgreSQL server at ADDRESS"),
]  # fmt: skip


def is_timeout(error: "psycopg2.Error") -> bool:
    """Whether the time was over, as libpq, the system or the server has it."""
    return _TIMED_OUT.search(str(error)) is not None


def in_words(error: "psycopg2.Error", progress: Progress, user: str) -> str:
    """What is wrong, and where. A host of several addresses fails several times: what a server said comes first."""
    reasons = [part.strip() for part in _ATTEMPT.split(str(error)) if part.strip()]
    reasons.sort(key=lambda reason: _SEVERITY.match(reason) is None)
    reason = reasons[0] if reasons else type(error).__name__
    for pattern, words in _WORDS:
        if found := re.search(pattern, reason):
            text = words.format(found[1]) if "{}" in words else words
            text = text.replace("USER", f'user "{user}"' if user else "the user").replace("ADDRESS", progress.peer)
            return text.replace("CLOSED", progress.closed)
    return f"{_SEVERITY.sub('', reason).splitlines()[0]} at {progress.peer}"  # a server may speak another language
