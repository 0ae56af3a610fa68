"""Reports of a test's own, run as a user does: `pytest reports` on a real PostgreSQL."""

import csv
import io
import subprocess
from dataclasses import dataclass
from pathlib import Path

import lxml.html
import pytest

from tests.fork_server import Process
from tests.servers.postgresql import READER, PostgreSQL, Role
from tests.servers.server import HOST, program
from tests.suite import Outcome, ProjectSuite, table


@dataclass
class Reports:
    """A folder `reports` in a new place, and the configuration of one database."""

    folder: Path
    postgresql: PostgreSQL
    role: Role = READER
    page_name: str = "database"

    def write(self, name: str, text: str) -> Path:
        path = self.folder / "reports" / f"{name}.sql"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def report(self, name: str, query: str, **header: str) -> Path:
        lines = [f"-- {key}: {value}\n" for key, value in {"title": name, **header}.items()]
        return self.write(name, "".join(lines) + query + "\n")

    @property
    def toml(self) -> str:
        keys = {"port": self.postgresql.port, "user": self.role.name, "password": self.role.password}
        return table("database", "main", host=HOST, **keys)

    def start(self, *arguments: str, toml: str | None = None) -> Process:
        named = any(not each.startswith("-") for each in arguments)
        places = () if named else (str(self.folder / "reports"),)
        return self._suite(toml).start(*places, *arguments)

    def finish(self, process: Process) -> Outcome:
        return self._suite().finish(process)

    def run(self, *arguments: str, toml: str | None = None) -> Outcome:
        return self._suite(toml).finish(self.start(*arguments, toml=toml))

    def _suite(self, toml: str | None = None) -> ProjectSuite:
        return ProjectSuite(self.folder, self.toml if toml is None else toml)

    def failure(self, name: str, query: str, **header: str) -> str:
        """Why this report alone fails."""
        path = self.report(name, query, **header)
        return self.run(str(path)).message(f"report[{name}]")

    def broken(self, name: str, query: str, **header: str) -> str:
        """Why this report alone is called broken."""
        outcome = self.run(str(self.report(name, query, **header)))
        entry = outcome.checks[f"report[{name}]"]
        assert (outcome.status, entry["status"]) == (1, "error"), outcome.output
        return entry["message"]

    @property
    def page(self) -> lxml.html.HtmlElement:
        return lxml.html.fromstring((self.folder / "html" / f"{self.page_name}.html").read_text())

    def section(self, name: str) -> lxml.html.HtmlElement:
        return self.page.get_element_by_id(name.replace("/", "."))

    def cells(self, name: str) -> list[list[str]]:
        rows = self.section(name).xpath(".//tbody/tr")
        return [[cell.text_content() for cell in row.xpath("td")] for row in rows]

    def csv(self, name: str) -> list[list[str]]:
        text = (self.folder / "html" / self.page_name / f"{name}.csv").read_bytes().decode("utf-8-sig")
        return list(csv.reader(io.StringIO(text, newline="")))


@pytest.fixture
def reports(tmp_path: Path, postgresql: PostgreSQL) -> Reports:
    return Reports(tmp_path, postgresql)


@pytest.fixture
def owned(postgresql: PostgreSQL):
    """An ordinary role that owns what it may destroy: a table of three rows, a sequence, a schema."""
    role = Role("owner", "owns")
    postgresql.execute("drop schema if exists shop cascade")
    postgresql.execute("drop role if exists owner")
    postgresql.execute(f"create role {role.name} login password '{role.password}'")
    postgresql.execute(f"create schema shop authorization {role.name}")
    for statement in ("create table shop.orders as select generate_series(1, 3) as id", "create sequence shop.numbers"):
        postgresql.execute(statement, role=role)
    yield role
    postgresql.revive().execute("drop schema shop cascade")
    postgresql.execute("drop role owner")


@pytest.fixture
def pgbench(postgresql: PostgreSQL):
    """Its tables of scale 1, and their name."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[::-1]
    command = [program("pgbench", *places), "--initialize", "--quiet", postgresql.dsn(_admin())]
    subprocess.run(command, check=True, capture_output=True)
    yield "pgbench_accounts"
    for name in ("accounts", "branches", "history", "tellers"):
        postgresql.execute(f"drop table pgbench_{name}")


def _admin() -> Role:
    from tests.servers.postgresql import ADMIN

    return ADMIN
