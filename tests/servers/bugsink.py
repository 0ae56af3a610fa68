"""Bugsink: a server that speaks Sentry's protocol, and shows what it made of the events: issues, tags, texts."""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import urllib.request
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from tests.servers.server import HOST, ROOT, Server, ends_with_parent, free_port, tool, until

_EMPTY = ROOT / ".cache/bugsink/empty"  # databases without anything in them
_CONFIGURATION = """\
from bugsink.settings.default import *

SECRET_KEY = "of the tests only, and therefore long enough: 0123456789"
DATABASES["default"]["NAME"] = "db.sqlite3"
DATABASES["snappea"]["NAME"] = "snappea.sqlite3"
SNAPPEA = {{"TASK_ALWAYS_EAGER": True}}  # what was answered with 200 can be read at once
BUGSINK = {{
    "BASE_URL": "{url}",
    "PHONEHOME": False,
    "INGEST_STORE_BASE_DIR": "{directory}/ingestion",
    "KEEP_ENVELOPES": 10_000,
    **{{f"MAX_EVENTS_PER_{{each}}": 1_000_000 for each in ("5_MINUTES", "HOUR", "MONTH")}},
    **{{f"MAX_EVENTS_PER_PROJECT_PER_{{each}}": 1_000_000 for each in ("5_MINUTES", "HOUR", "MONTH")}},
}}
"""


@dataclass(frozen=True)
class Event:
    """One event as Bugsink stored it."""

    event_id: str
    issue: str  # the id of its issue
    message: str  # as the list shows it
    tags: dict[str, str]  # those that can be searched for, Bugsink's own (environment, …) included
    data: dict[str, Any]  # the whole event


@dataclass(frozen=True)
class Issue:
    """One line of Bugsink's list."""

    id: str
    title: str  # as the list shows it
    events: int
    resolved: bool


class Bugsink(Server):
    """`bugsink.dsn` is for what is tested; `.issues()`, `.events()` and `.raw()` return what has come.

    Each test has a project of its own, and sees what came to that one only.
    """

    stop_signal: ClassVar[signal.Signals] = signal.SIGQUIT  # at once, with requests under way

    def __init__(self) -> None:
        self.gunicorn = tool("bugsink", "gunicorn")
        super().__init__()
        self.port = free_port()
        self.url = f"http://{HOST}:{self.port}"
        self.dsn, self.project = "", 0
        self._database, self._team = self.directory / "db.sqlite3", ""

    def fresh(self) -> Self:
        """A new project, with a DSN of its own."""
        if not self._team:
            self._team = self._ask("teams", {"name": "tests"})["id"]
        self._ask("projects", {"team": self._team, "name": f"project {self.project + 1}"})
        ((self.project, key),) = self._rows("select id, sentry_key from projects_project order by id desc limit 1")
        self.dsn = f"http://{key}@{HOST}:{self.port}/{self.project}"
        return self

    def issues(self) -> list[Issue]:
        """In the order in which they were first seen."""
        rows = self._rows(
            "select id, calculated_type, calculated_value, digested_event_count, is_resolved from issues_issue"
            " where project_id = ? order by digest_order",
            self.project,
        )
        return [Issue(key, _title(kind, value), events, bool(resolved)) for key, kind, value, events, resolved in rows]

    def events(self) -> list[Event]:
        """In the order in which they came."""
        rows = self._rows(
            "select id, event_id, issue_id, calculated_type, calculated_value, data from events_event"
            " where project_id = ? order by project_digest_order",
            self.project,
        )
        tags = self._tags()
        return [
            Event(event_id, issue, _title(kind, value), tags.get(key, {}), json.loads(data))
            for key, event_id, issue, kind, value, data in rows
        ]

    def raw(self) -> str:
        """Everything that came for this project, as it came, attachments included, and what became of it."""
        came = self._rows("select data from ingest_envelope where project_pk = ? order by id", self.project)
        stored = self._rows("select data from events_event where project_id = ?", self.project)
        return "\n".join([row[0].decode(errors="replace") for row in came] + [row[0] for row in stored])

    def resolve(self, issue: Issue) -> None:
        """As a person does by the button."""
        self._ask(f"issues/{issue.id}/resolve", {})

    def command(self) -> list[str]:
        options = ["--bind", f"{HOST}:{self.port}", "--workers", "1", "--threads", "8", "--no-control-socket"]
        return [*ends_with_parent("QUIT"), self.gunicorn, *options, "bugsink.wsgi"]

    def environment(self) -> dict[str, str]:
        return {**os.environ, "DJANGO_SETTINGS_MODULE": "bugsink_conf", "PYTHONPATH": str(self.directory)}

    def start(self) -> Self:
        if not self._database.exists():
            text = _CONFIGURATION.format(url=self.url, directory=self.directory)
            (self.directory / "bugsink_conf.py").write_text(text)
            self._copy_empty_databases()
        return super().start()

    def await_ready(self) -> None:
        until(self._answers, 300, what="an answer of Bugsink")

    def _answers(self) -> bool:
        if self.process and self.process.poll() is not None:
            raise RuntimeError("Bugsink ended before it was ready")
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/health/ready", timeout=60):
            return True
        return False

    def _copy_empty_databases(self) -> None:
        """Made once and kept: making them takes eight seconds."""
        with _EMPTY.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not _EMPTY.exists():
                self._make_databases()
                new = shutil.copytree(self.directory, _EMPTY.with_suffix(".new"), dirs_exist_ok=True)
                new.rename(_EMPTY)
        for name in ("db.sqlite3", "snappea.sqlite3", "token"):
            shutil.copy(_EMPTY / name, self.directory)

    def _make_databases(self) -> None:
        manage = tool("bugsink", "bugsink-manage")
        options = {"cwd": self.directory, "env": self.environment(), "capture_output": True}
        for words in (["migrate"], ["migrate", "--database=snappea"]):
            subprocess.run([manage, *words], check=True, **options)
        token = subprocess.run([manage, "create_auth_token"], check=True, text=True, **options).stdout
        (self.directory / "token").write_text(token.strip())

    def _ask(self, path: str, document: dict[str, Any]) -> Any:
        request = urllib.request.Request(
            f"{self.url}/api/canonical/0/{path}/",
            json.dumps(document).encode(),
            {
                "Authorization": f"Bearer {(self.directory / 'token').read_text()}",
                "Content-Type": "application/json",
            },
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def _tags(self) -> dict[str, dict[str, str]]:
        tags: dict[str, dict[str, str]] = {}
        for event, key, value in self._rows(
            "select event_id, tags_tagkey.key, value from tags_eventtag"
            " join tags_tagvalue on tags_tagvalue.id = value_id join tags_tagkey on tags_tagkey.id = key_id"
            " where tags_eventtag.project_id = ?",
            self.project,
        ):
            tags.setdefault(event, {})[key] = value
        return tags

    def _rows(self, sql: str, *values: Any) -> list[Any]:
        """All rows, read now: a generator would read events later than the tags that are asked for after them."""
        with contextlib.closing(sqlite3.connect(self._database, timeout=60)) as connection:
            return connection.execute(sql, values).fetchall()


def _title(kind: str, value: str) -> str:
    return value if kind == "Log Message" else f"{kind}: {value}"
