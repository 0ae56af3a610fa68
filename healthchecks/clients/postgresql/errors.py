"""libpq's prose, in one line for a person on call: what is wrong, and where."""

import re
from typing import TYPE_CHECKING

from healthchecks import CheckError, Unhealthy
from healthchecks.clients.connection import Progress
from servermonitoring.values import in_words

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
    (r"server does not support SSL", "the server offers no TLS, required by sslmode, at ADDRESS"),
    (r"certificate verify failed", "the certificate is not trusted at ADDRESS"),
    (r'root certificate file "([^"]*)"', "sslrootcert {} does not exist"),
    (r"server certificate for .* does not match", "the certificate is for another name at ADDRESS"),
    (r"closed the connection|Connection reset|EOF detected", "CLOSED"),
    (r"invalid response|expected authentication|lost synchronization", "not a PostgreSQL server at ADDRESS"),
]  # fmt: skip


def is_timeout(error: "psycopg2.Error") -> bool:
    """Whether the time was over, as libpq, the system or the server has it."""
    return _TIMED_OUT.search(str(error)) is not None


def describe_connection_error(error: "psycopg2.Error", progress: Progress, user: str) -> str:
    """What is wrong, and where. A host of several addresses fails several times: what a server said comes first."""
    reasons = [part.strip() for part in _ATTEMPT.split(str(error)) if part.strip()]
    reasons.sort(key=lambda reason: _SEVERITY.match(reason) is None)
    reason = reasons[0] if reasons else type(error).__name__
    for pattern, words in _WORDS:
        if found := re.search(pattern, reason):
            text = words.format(found[1]) if "{}" in words else words
            text = text.replace("USER", f'user "{user}"' if user else "the user").replace("ADDRESS", progress.peer)
            return text.replace("CLOSED", progress.closed_message)
    return f"{_SEVERITY.sub('', reason).splitlines()[0]} at {progress.peer}"  # a server may speak another language


_RIGHTS = "42501"
_NOT_ONE_QUERY = "42P11"
_READ_ONLY = ("25006", "25001", "2D000")
_MISTAKES = ("0A", "21", "22", "25", "26", "2D", "34", "3F", "42")  # classes of SQLSTATE: what the text asks is wrong


def translate(error: "psycopg2.Error", role: str) -> Exception:
    """CheckError for a mistake in the query, Unhealthy for a right that is missing; else the error as it is."""
    code = error.pgcode or ""
    if code == _RIGHTS:
        return Unhealthy(f'the role "{role}" lacks a right: {_primary(error)}')
    if code == _NOT_ONE_QUERY:
        return CheckError(f"a report is exactly one query that gives rows: {_primary(error)}")
    if code in _READ_ONLY:
        return CheckError(f"a report only reads: {_primary(error)}")
    if code.startswith(_MISTAKES):
        return CheckError(f"{_place(error)}{_primary(error)}", _whole(error))
    return error


def lock_failure(seconds: float) -> Unhealthy:
    return Unhealthy(f"a lock that it needs was not released within {in_words(round(seconds) or seconds)}")


def _primary(error: "psycopg2.Error") -> str:
    return error.diag.message_primary or str(error)


def _place(error: "psycopg2.Error") -> str:
    """Where in the query: the server counts characters, people count lines."""
    query, position = error.diag.internal_query, error.diag.internal_position
    if not query or not position:
        return ""
    return f"line {query[: int(position) - 1].count(chr(10)) + 1}: "


def _whole(error: "psycopg2.Error") -> str:
    """For the author of the report: with the line in question, and the server's hint."""
    lines = [_place(error) + _primary(error)]
    query, position = error.diag.internal_query, error.diag.internal_position
    if query and position:
        before = query[: int(position) - 1]
        line = query.splitlines()[before.count("\n")]
        lines += [line, " " * len(before.rpartition("\n")[2]) + "^"]
    if error.diag.message_detail:
        lines.append(f"detail: {error.diag.message_detail}")
    if error.diag.message_hint:
        lines.append(f"hint: {error.diag.message_hint}")
    return "\n".join(lines)
