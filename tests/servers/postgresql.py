"""A PostgreSQL of our own: new database, own port, passwords asked for, three roles."""

import contextlib
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self
from urllib.parse import quote

import psycopg2

from tests.servers.server import HOST, Server, as_user, free_port, give_to, program, until

USER = "postgres"  # runs it where the tests are run by root


@dataclass(frozen=True)
class Role:
    name: str
    password: str


ADMIN = Role("admin", "of the tests")
MONITOR = Role("monitor", "p@ss w:rd/50%")  # may log in, and nothing else; every character that URLs dislike
READER = Role("reader", "reads")  # pg_monitor: sees everybody's connections and queries

# Small, and quick to start; what is lost with the power is no loss.
SETTINGS = {
    "listen_addresses": HOST, "unix_socket_directories": "", "password_encryption": "scram-sha-256",
    "fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off", "jit": "off",
    "shared_buffers": "16MB", "max_connections": "40", "max_logical_replication_workers": "0",
    "log_connections": "on", "lc_messages": "C",
}  # fmt: skip


class PostgreSQL(Server):
    """`postgresql.url(MONITOR)` and `.dsn(MONITOR)` are for a check; `.execute(sql)` is for its test."""

    stop_signal: ClassVar[signal.Signals] = signal.SIGINT  # its fast shutdown: waits for no client
    database = "postgres"

    def __init__(self) -> None:
        self.postgres = program("postgres", *_places())
        self.initdb = program("initdb", *_places())
        super().__init__()
        self.port = free_port()
        self.data = self.directory / "data"

    def url(self, role: Role = MONITOR, database: str = database) -> str:
        return f"postgresql://{role.name}:{quote(role.password, safe='')}@{HOST}:{self.port}/{database}"

    def dsn(self, role: Role = MONITOR, database: str = database) -> str:
        password = role.password.replace("\\", r"\\").replace("'", r"\'")
        return f"host={HOST} port={self.port} dbname={database} user={role.name} password='{password}'"

    def connect(self, role: Role = ADMIN, **options: Any) -> Any:
        """A connection that commits each statement. The caller closes it."""
        connection = psycopg2.connect(self.dsn(role), **{"connect_timeout": 10} | options)
        connection.autocommit = True
        return connection

    def forget(self) -> None:
        """Drop what an earlier test has left: tables of the schema public."""
        for (table,) in self.execute(
            "select format('%I.%I', schemaname, tablename) from pg_tables where schemaname = 'public'"
        ):
            self.execute(f"drop table if exists {table} cascade")

    def execute(self, sql: str, *values: Any, role: Role = ADMIN) -> list[tuple[Any, ...]]:
        """Run one statement as the superuser; gives its rows, if it has any."""
        with contextlib.closing(self.connect(role)) as connection, connection.cursor() as cursor:
            cursor.execute(sql, values or None)
            return cursor.fetchall() if cursor.description else []

    def command(self) -> list[str]:
        settings = SETTINGS | {"port": str(self.port)}
        words = [f"--{name}={value}" for name, value in settings.items()]
        return [*as_user(USER, "INT"), self.postgres, "-D", str(self.data), *words]

    def start(self) -> Self:
        new = not self.data.exists()
        if new:
            self._make_database()
        super().start()
        if new:
            self._make_roles()
        return self

    def await_ready(self) -> None:
        until(self._answers, 300, what="an answer of PostgreSQL")

    def _answers(self) -> bool:
        if self.process and self.process.poll() is not None:
            raise RuntimeError("PostgreSQL ended before it was ready")
        try:
            self.connect().close()
        except psycopg2.OperationalError:
            return False
        return True

    def _make_database(self) -> None:
        password = self.directory / "password"
        password.write_text(ADMIN.password)
        for path in (self.directory, password):
            give_to(USER, path)
        command = [
            *as_user(USER, "KILL"), self.initdb, "-D", str(self.data), "--username", ADMIN.name,
            "--pwfile", str(password), "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C",
            "--no-sync",
        ]  # fmt: skip
        with self.log_file.open("ab") as log:
            subprocess.run(command, cwd=self.directory, stdout=log, stderr=log, check=True)

    def _make_roles(self) -> None:
        self.execute(f"create role {MONITOR.name} login password %s", MONITOR.password)
        self.execute(f"create role {READER.name} login password %s in role pg_monitor", READER.password)


def _places() -> list[Path]:
    """Debian keeps them out of the PATH, by version; the newest first."""
    return sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))[::-1]
