"""Runs one query of a user's on PostgreSQL, and fetches no more of its result than is wanted.

The server's own parser decides that it is one query: it is opened as a cursor by PL/pgSQL, which refuses a text of
several statements, or one that gives no rows, before any of it runs. Rows are made text, cut and counted in the server,
so that a cell of 100 MB never travels, and every type that it knows arrives as it writes it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from healthchecks import CheckError, Unhealthy, remaining
from healthchecks.clients.postgresql.connection import DatabaseAccess, session
from servermonitoring.scrubbing import scrub
from servermonitoring.values import in_words, size_in_words

if TYPE_CHECKING:
    import psycopg2
    from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a class, whatever its name

LONGEST_CELL = 1_000  # characters; of a longer one the beginning is shown
_FETCHED_CELL = 1_500  # characters: what follows the cut shows whether a secret is there
_LARGEST_RESULT = 300_000  # characters of all its rows: a page of ten such results must still open on a phone
_LONGEST_JSON = 10_000  # characters of such a cell with its size, each of which may be escaped as \u0001
_MOST_COLUMNS = 1664  # of PostgreSQL
_LONGEST_NAME = 500  # characters; PostgreSQL's own names have at most 63 bytes
_NUMERIC = {20, 21, 23, 26, 700, 701, 1700}  # the oids of int8, int2, int4, oid, float4, float8, numeric
_RIGHTS = """
select current_user::text, coalesce(
    (select case when rolsuper then 'is a superuser' else 'may create roles' end
     from pg_catalog.pg_roles where rolname = current_user and (rolsuper or rolcreaterole)),
    (select 'may run programs on the server' where pg_has_role('pg_execute_server_program', 'usage')),
    (select 'may write files on the server' where pg_has_role('pg_write_server_files', 'usage')),
    (select 'may write into ' || c.oid::regclass from pg_catalog.pg_class c
     join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where relkind in ('r', 'p', 'v', 'f') and nspname !~ '^pg_' and nspname <> 'information_schema'
     and has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE') limit 1),
    (select 'may create tables in schema ' || quote_ident(nspname) from pg_catalog.pg_namespace
     where nspname !~ '^pg_' and has_schema_privilege(oid, 'CREATE') limit 1),
    (select 'may create schemas' where has_database_privilege(current_database(), 'CREATE')),
    '')
"""
_OPEN = """
declare report refcursor := 'servermonitoring_report';
begin open report no scroll for execute current_setting('servermonitoring.query'); end
"""
_READ = """
declare
    report refcursor := 'servermonitoring_report';
    answer refcursor := 'servermonitoring_result';
    rows text[] := '{{}}';
    size bigint := 0;
    rest bigint;
    {variables}
begin
    while cardinality(rows) < {limit} and size < {largest} loop
        fetch report into {names};
        exit when not found;
        rows := array_append(rows, array_to_json(array[{cells}])::text);
        size := size + length(rows[cardinality(rows)]);
    end loop;
    move forward greatest(1, {counted} - cardinality(rows)) from report;
    get diagnostics rest = row_count;
    open answer for select unnest(array_append(rows, rest::text));
end
"""


@dataclass(frozen=True)
class Query:
    """A query of which `limit` rows are fetched; `counted` is the number up to which its rows are counted."""

    text: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    limit: int = 100
    counted: int = 0
    role: str = ""
    """A role whose member the user has to be, such as pg_monitor."""
    name: str = "report"
    """Shown in the server's list of sessions."""


@dataclass(frozen=True)
class Column:
    name: str
    numeric: bool


@dataclass(frozen=True)
class QueryResult:
    """Cells as the server writes them, None for NULL."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str | None, ...], ...]
    count: int
    """Rows, as far as they were counted."""
    exact: bool
    """Whether there are `count` rows; else there are more."""
    asked_by: str = ""
    rights: str = ""
    """What the role may do besides reading, such as "may write into orders"; empty for one that can only read."""


def ask(access: DatabaseAccess, query: Query) -> QueryResult:
    """Return the result of one query, in a read-only transaction that is rolled back.

    Raises Unhealthy for what is wrong with the server or its rights, ProbeTimeout at the timeout, and CheckError for a
    text that is not one query that reads.
    """
    import psycopg2

    with session(replace(access, options={**access.options, "client_encoding": "UTF8"})) as cursor:
        asked_by, rights = _check_rights(cursor, query)
        waits = _limit_locks(cursor)
        try:
            columns = _open(cursor, query)
            rows, rest = _read(cursor, len(columns), query)
        except psycopg2.errors.LockNotAvailable:
            raise _lock_failure(waits) from None
        except psycopg2.Error as error:
            raise _translate(error, asked_by) from None
        except UnicodeDecodeError:
            raise Unhealthy(
                "the result holds text that is not UTF-8, and the database does not know what it is"
            ) from None
    return QueryResult(columns, rows, len(rows) + rest, rest < max(1, query.counted - len(rows)), asked_by, rights)


def _check_rights(cursor: "Cursor", query: Query) -> tuple[str, str]:
    cursor.execute("select set_config('application_name', %s, true)", (f"healthchecks {query.name}"[:63],))
    cursor.execute(_RIGHTS)
    asked_by, rights = cursor.fetchall()[0]
    if query.role:
        cursor.execute(
            "select 1 from pg_catalog.pg_roles where rolname = %s and pg_has_role(oid, 'usage')", (query.role,)
        )
        if cursor.fetchone() is None:
            raise Unhealthy(f'the role "{asked_by}" may not see this: grant {query.role} to {asked_by}')
    return str(asked_by)[:_LONGEST_NAME], str(rights)[:_LONGEST_NAME]


def _limit_locks(cursor: "Cursor") -> float:
    """Return half of the time left, so that there is time to report that a lock took it."""
    seconds = remaining() / 2
    cursor.execute("select set_config('lock_timeout', %s, true)", (str(max(1, int(seconds * 1000))),))
    return seconds


def _open(cursor: "Cursor", query: Query) -> tuple[Column, ...]:
    text = query.text
    if query.parameters:
        text = cursor.mogrify(text, dict(query.parameters)).decode()
    cursor.execute("select set_config('servermonitoring.query', %s, true)", (text,))
    cursor.execute("do %s", (_OPEN,))
    cursor.execute("fetch forward 0 from servermonitoring_report")
    described = cursor.description or ()
    columns = tuple(Column(each.name[:_LONGEST_NAME], each.type_code in _NUMERIC) for each in described[:_MOST_COLUMNS])
    if not columns:
        raise CheckError("the query gives no columns")
    return columns


def _read(cursor: "Cursor", width: int, query: Query) -> tuple[tuple[tuple[str | None, ...], ...], int]:
    """Return the rows, and how many more there are: none, or as far as they are counted."""
    names = [f"v{number}" for number in range(width)]
    block = _READ.format(
        variables=" ".join(f"{name} text;" for name in names),
        names=", ".join(names),
        cells=", ".join(f"left({name}, {_FETCHED_CELL}), octet_length({name})::text" for name in names),
        limit=query.limit,
        largest=_LARGEST_RESULT,
        counted=query.counted,
    )
    cursor.execute("do %s", (block,))
    cursor.execute("fetch all from servermonitoring_result")
    return _rows(cursor.fetchall(), query.limit, _LARGEST_RESULT + width * _LONGEST_JSON)


def _rows(found: list[tuple[Any, ...]], most: int, largest: int) -> tuple[tuple[tuple[str | None, ...], ...], int]:
    """Raise Unhealthy for what no PostgreSQL sends: more than it was asked for, or something else."""
    try:
        *rows, (rest,) = found
        size = sum(len(row) for (row,) in rows)
        if len(rows) <= most and size <= largest:
            return tuple(_row(json.loads(row)) for (row,) in rows), int(rest)
    except (RecursionError, TypeError, ValueError):
        raise Unhealthy("the server sent something else than the rows that it was asked for") from None
    raise Unhealthy(f"the server sent more than it was asked for: {len(rows)} rows of {size_in_words(size)}")


def _row(cells: list[Any]) -> tuple[str | None, ...]:
    return tuple(_cell(text, int(size or 0)) for text, size in zip(cells[::2], cells[1::2], strict=True))


def _cell(text: str | None, size: int) -> str | None:
    """Say of a cell that the server has cut how large it is."""
    if text is None or len(text) <= LONGEST_CELL:
        return text
    return f"{scrub(text)[:LONGEST_CELL]}… ({size_in_words(size)} in all)"


_RIGHT_MISSING = "42501"
_NOT_ONE_QUERY = "42P11"
_READ_ONLY = ("25006", "25001", "2D000")
_MISTAKES = ("0A", "21", "22", "25", "26", "2D", "34", "3F", "42")  # classes of SQLSTATE: what the text asks is wrong


def _translate(error: "psycopg2.Error", role: str) -> Exception:
    """Return CheckError for a mistake in the query, Unhealthy for a right that is missing; else the error as it is."""
    code = error.pgcode or ""
    if code == _RIGHT_MISSING:
        return Unhealthy(f'the role "{role}" lacks a right: {_primary(error)}')
    if code == _NOT_ONE_QUERY:
        return CheckError(f"a report is exactly one query that gives rows: {_primary(error)}")
    if code in _READ_ONLY:
        return CheckError(f"a report only reads: {_primary(error)}")
    if code.startswith(_MISTAKES):
        return CheckError(f"{_place(error)}{_primary(error)}", _whole(error))
    return error


def _lock_failure(seconds: float) -> Unhealthy:
    return Unhealthy(f"a lock that it needs was not released within {in_words(round(seconds) or seconds)}")


def _primary(error: "psycopg2.Error") -> str:
    return error.diag.message_primary or str(error)


def _place(error: "psycopg2.Error") -> str:
    """Return where in the query: the server counts characters, people count lines."""
    query, position = error.diag.internal_query, error.diag.internal_position
    if not query or not position:
        return ""
    return f"line {query[: int(position) - 1].count(chr(10)) + 1}: "


def _whole(error: "psycopg2.Error") -> str:
    """Return a text for the author of the report: with the line in question, and the server's hint."""
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
