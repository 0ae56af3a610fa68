"""What is stored of reports in the history."""

import sqlite3
import time
from dataclasses import replace

import pytest

from healthchecks.sql_reports import store
from healthchecks.sql_reports.store import State, Table

DAY = 86400.0


def state(path, number="1", asked=None, **changes):
    now = asked or time.time()
    table = Table(now, ["n"], [True], [[number]], 1, exact=True, number=number)
    values = {
        "name": "one", "path": str(path), "title": "One", "description": "", "database": "main", "group": "",
        "status": "ok", "message": "", "expect": "", "chart": ("bar", "n"), "ran": now, "duration": 0.1, "table": table,
    }  # fmt: skip
    return State(**values | changes)


@pytest.fixture
def opened(tmp_path):
    with store.opened(tmp_path) as opened:
        yield opened


def test_what_is_kept_comes_back(opened, tmp_path):
    kept = state(tmp_path)
    opened.keep([kept], 400)
    (found,) = opened.states()
    assert found == kept
    assert (tmp_path / "history.sqlite").stat().st_mode & 0o777 == 0o600


def test_without_an_answer_the_old_table_stays(opened, tmp_path):
    """With its own time; the number is not kept twice."""
    old = state(tmp_path, asked=time.time() - DAY)
    opened.keep([old], 400)
    opened.keep([replace(state(tmp_path), status="failed", message="away", table=None)], 400)
    (found,) = opened.states()
    assert (found.status, found.message, found.table) == ("failed", "away", old.table)
    assert [value for _, value in opened.numbers(90)["one"]] == [1.0]


def test_numbers_are_kept_for_some_days(opened, tmp_path):
    """Those before are dropped, those that are none are left out."""
    for days, number in ((401, "1"), (100, "2"), (3, "NaN"), (2, "-3.5"), (1, "Infinity"), (0.5, "1e3")):
        opened.keep([state(tmp_path, number, time.time() - days * DAY)], 400)
    assert [value for _, value in opened.numbers(500)["one"]] == [2.0, -3.5, 1000.0]
    assert [value for _, value in opened.numbers(90)["one"]] == [-3.5, 1000.0]


def test_a_removed_file_and_one_of_another_version_are_left_out(opened, tmp_path):
    opened.keep(
        [state(tmp_path, name="there"), state(tmp_path / "gone", name="gone"), state(tmp_path, name="odd")], 400
    )
    with sqlite3.connect(tmp_path / "history.sqlite") as database:
        database.execute("update reports set document = '{\"name\": \"odd\"}' where name = 'odd'")
    assert [each.name for each in opened.states()] == ["there"]
