"""PostgreSQL servers that send more than they were asked for, or something else: the value stays small and plain."""

import pickle
import struct
from functools import partial

import pytest

from healthchecks import Unhealthy
from healthchecks import test_database as checks
from healthchecks.clients.postgresql.connection import DatabaseAccess
from healthchecks.clients.postgresql.query import Query, ask
from tests.servers.peers import peer
from tests.servers.server import HOST

BOOL, BYTEA, INT8, INT4, TEXT, FLOAT8 = 16, 17, 20, 23, 25, 701
ENCRYPTION = (struct.pack("!HH", 1234, 5679), struct.pack("!HH", 1234, 5680))  # TLS, GSSAPI
PARAMETERS = {
    "server_version": "15.0", "client_encoding": "UTF8", "DateStyle": "ISO, MDY", "integer_datetimes": "on",
    "standard_conforming_strings": "on",
}  # fmt: skip
LARGE = "x" * 1_000_000
TYPES, SEEN = [TEXT, BOOL, BOOL, INT8, INT4, INT8], ["reader", "t", "f", "3", "100", "8000000"]
CONNECTIONS = (TYPES, [[LARGE, *SEEN[1:]]])
OLDEST = ([FLOAT8, TEXT], [["1.5", LARGE]])
LAGS = ([TEXT, FLOAT8], [[f"{number}{'y' * 1_000}", "0.5"] for number in range(3_000)])
STATISTICS = {"pg_is_in_recovery": CONNECTIONS, "replay_lag": LAGS, "xact_start": OLDEST}
RESULT = {"pg_roles": ([TEXT, TEXT], [["reader", LARGE]]), "fetch forward 0": ([TEXT], [])}
ROW = '["a", "1"]'


def message(kind, body):
    return kind + struct.pack("!i", len(body) + 4) + body


def described(types):
    columns = (b"c\0" + struct.pack("!ihihih", 0, 0, each, -1, -1, 0) for each in types)
    return message(b"T", struct.pack("!h", len(types)) + b"".join(columns))


def row(cells):
    encoded = (cell.encode() for cell in cells)
    return message(b"D", struct.pack("!h", len(cells)) + b"".join(struct.pack("!i", len(e)) + e for e in encoded))


def response(answers, query):
    """Return the messages for the first answer whose words are in the query: types and rows of a result."""
    default = ([TEXT], [["1"]]) if query.startswith("select") else None
    found = next((answer for words, answer in answers.items() if words in query), default)
    result = described(found[0]) + b"".join(map(row, found[1])) if found else b""
    return result + message(b"C", b"DONE\0") + message(b"Z", b"T")


def talk(answers, connection):
    """Speak PostgreSQL's protocol, version 3."""
    with connection.makefile("rb") as incoming:
        while (startup := incoming.read(struct.unpack("!i", incoming.read(4))[0] - 4)) in ENCRYPTION:
            connection.sendall(b"N")
        assert startup
        parameters = [message(b"S", f"{name}\0{value}\0".encode()) for name, value in PARAMETERS.items()]
        connection.sendall(message(b"R", struct.pack("!i", 0)) + b"".join(parameters) + message(b"Z", b"I"))
        while incoming.read(1) == b"Q":
            query = incoming.read(struct.unpack("!i", incoming.read(4))[0] - 4).rstrip(b"\0").decode().strip()
            connection.sendall(response(answers, query))


@pytest.fixture
def access():
    """`access(answers)`: how a server is reached that answers so."""
    servers = []

    def access(answers):
        servers.append(peer(partial(talk, answers)))
        return DatabaseAccess(options={"host": HOST, "port": servers[-1].__enter__(), "sslmode": "disable"})

    yield access
    for each in servers:
        each.__exit__(None, None, None)


def statistics(access, answers):
    target = checks.Database(host=HOST, port=access(answers).options["port"], sslmode="disable")
    return checks.statistics._get_wrapped_function().healthchecks_probe.function(target)


def test_statistics_are_cut(access):
    """A server that sends 5 MB of names."""
    found = statistics(access, STATISTICS)
    assert (found.connections, found.most_connections, found.oldest_transaction) == (3, 100, 1.5)
    assert len(found.lags) == 1_000
    assert 200_000 < len(pickle.dumps(found, 5)) < 300_000


def test_statistics_are_plain(access):
    """psycopg2 makes a memoryview of bytes, which pickle refuses."""
    connections = ([BYTEA, BYTEA, BOOL, BYTEA, BYTEA, BYTEA], [["reader", "1", "f", "3", "100", "9"]])
    found = statistics(access, STATISTICS | {"pg_is_in_recovery": connections})
    assert pickle.loads(pickle.dumps(found, 5)) == found


@pytest.mark.parametrize(
    "connections",
    [
        pytest.param(([TEXT], []), id="no row"),
        pytest.param(([TEXT], [["reader"]]), id="one column"),
        pytest.param(([*TYPES[:3], TEXT, *TYPES[4:]], [[*SEEN[:3], "many", *SEEN[4:]]]), id="no number"),
        pytest.param(([*TYPES[:5], BYTEA], [[*SEEN[:5], "9" * 400]]), id="no size"),
        pytest.param((TYPES, [[*SEEN[:3], "-1", *SEEN[4:]]]), id="negative"),
    ],
)
def test_other_statistics(access, connections):
    with pytest.raises(Unhealthy, match=f"^not the statistics of a PostgreSQL server at {HOST}:"):
        statistics(access, STATISTICS | {"pg_is_in_recovery": connections})


@pytest.mark.parametrize(("words", "result"), [("xact_start", OLDEST), ("replay_lag", LAGS)])
def test_times_that_are_none(access, words, result):
    """NaN is below every limit."""
    rows = [[{"1.5": "NaN", "0.5": "Infinity"}.get(cell, "x") for cell in row] for row in result[1][:1]]
    with pytest.raises(Unhealthy, match=f"^not the statistics of a PostgreSQL server at {HOST}:"):
        statistics(access, STATISTICS | {words: (result[0], rows)})


def test_columns_and_rights_of_a_report_are_cut(access):
    found = ask(access(RESULT | {"fetch all": ([TEXT], [[ROW], [ROW], ["0"]])}), Query("select 1"))
    assert found.rows == (("a",), ("a",))
    assert len(pickle.dumps(found, 5)) < 1_500


@pytest.mark.parametrize(
    ("types", "rows", "words"),
    [
        pytest.param([TEXT], [[ROW]] * 3_000 + [["0"]], "more than it was asked for: 3000 rows of 30 kB", id="rows"),
        pytest.param([TEXT], [[f'["{LARGE}", "1"]'], ["0"]], "more than it was asked for: 1 rows of 1 MB", id="cell"),
        pytest.param([BYTEA], [[ROW], ["0"]], "something else", id="bytes"),
        pytest.param([TEXT], [["[" * 100_000], ["0"]], "something else", id="depth"),
        pytest.param([TEXT], [], "something else", id="nothing"),
        pytest.param([TEXT, TEXT], [[ROW, ROW]], "something else", id="columns"),
    ],
)
def test_other_rows_of_a_report(access, types, rows, words):
    with pytest.raises(Unhealthy, match=f"^the server sent {words}"):
        ask(access(RESULT | {"fetch all": (types, rows)}), Query("select 1"))
