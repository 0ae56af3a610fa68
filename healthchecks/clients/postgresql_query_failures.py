"""What PostgreSQL says against a query of a user's: whether the query is wrong, or its rights, or the server."""

from typing import TYPE_CHECKING

from healthchecks import CheckError, Unhealthy
from servermonitoring.values import in_words

if TYPE_CHECKING:
    import psycopg2

_RIGHTS = "42501"
_NOT_ONE_QUERY = "42P11"
_READ_ONLY = ("25006", "25001", "2D000")
_MISTAKES = ("0A", "21", "22", "25", "26", "2D", "34", "3F", "42")  # classes of SQLSTATE: what the text asks is wrong


def told(error: "psycopg2.Error", role: str) -> Exception:
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
