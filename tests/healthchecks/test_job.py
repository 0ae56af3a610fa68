"""[job.NAME], by logs that a job may have written."""

import os
import time
from datetime import UTC, datetime, timedelta

from tests.healthchecks.metrics import assert_agrees, metrics_of
from tests.suite import table


def message(outcome, name):
    return outcome.message(f"job_status[{name}]")


def log(name, path, **keys):
    return table("job", name, log=path, **{"max_age": "10m", **keys})


def test_metrics(run_suite, tmp_path):
    """The age has the limit that is asserted; the size is that of the whole file."""
    path = tmp_path / "log"
    path.write_text("ok\n" * 100_000)
    then = time.time() - 600
    os.utime(path, (then, then))
    for limit in (300, 86_400):
        outcome = run_suite(log("nightly", path, max_age=limit))
        found = metrics_of(outcome, "job_status[nightly]")
        assert [*found] == ["age", "size"]
        assert 600 <= found["age"]["value"] < 86_400
        assert found["age"]["limit"] == limit
        assert found["size"] == {"value": 300_000, "unit": "bytes", "limit": None, "lower_limit": None}
        assert_agrees(outcome, "job_status[nightly]", "age")


def test_newest_line_decides(run_suite, tmp_path):
    """The newest of its ok and fail lines decides; one that is too old is a failure."""

    def write(name, *lines, age=timedelta()):
        path = tmp_path / f"{name}.log"
        path.write_text("".join(f"{line}\n" for line in lines))
        then = time.time() - age.total_seconds()
        os.utime(path, (then, then))
        return path

    now, old = datetime.now(UTC), datetime.now(UTC) - timedelta(hours=2)
    logs = {
        "fresh": write("fresh", f"{old.isoformat()} FAIL login", f"{now.isoformat()} OK 3 pages", "looking on"),
        "local": write("local", f"[{now.astimezone():%Y-%m-%d %H:%M:%S},123] ok", age=timedelta(hours=5)),
        "mtime": write("mtime", "ok", age=timedelta(minutes=9)),
        "long": write("long", "fail", *["x" * 99] * 10_000, "ok"),
        "failing": write("failing", "ok", "failed: no text"),
        "stale": write("stale", f"{old.isoformat()} ok"),
        "stale_file": write("stale_file", "ok", age=timedelta(minutes=11)),
        "future": write("future", f"{now + timedelta(hours=2):%Y-%m-%dT%H:%M:%SZ} ok"),
        "silent": write("silent", "token okay, nothing failsafe"),
        "missing": tmp_path / "missing.log",
        "directory": tmp_path,
    }
    own = write("own", "done: 3", "broken")
    tables = [log(name, path) for name, path in logs.items()]
    outcome = run_suite("\n".join([*tables, log("own", own, ok="^done", fail="^broken")]))
    passing = {name for name in logs if outcome.checks[f"job_status[{name}]"]["status"] == "ok"}
    assert passing == {"fresh", "local", "mtime", "long"}
    assert message(outcome, "failing") == f"failure in {logs['failing']}: failed: no text"
    assert message(outcome, "stale") == f"newest line of {logs['stale']} is 2 h old, maximum 10 min"
    assert message(outcome, "stale_file").startswith(f"newest line of {logs['stale_file']} is 11 min")
    assert " in the future: " in message(outcome, "future")
    assert message(outcome, "silent").startswith(f"no line of {logs['silent']} matches ok (")
    assert message(outcome, "missing") == f"{logs['missing']}: No such file or directory"
    assert message(outcome, "directory") == f"{tmp_path}: is a directory, not a file"
    assert message(outcome, "own") == f"failure in {own}: broken"


WRONG_KEYS = [
    ({"max_age": "1h"}, '"log" is missing'),
    ({"log": "x.log"}, '"max_age" is missing'),
    ({"log": "x.log", "max_age": "1h", "ok": "x", "url": "http://h/"}, 'unknown key "url"'),
    ({"log": "x.log", "max_age": "1h", "fail": "("}, "is not a regular expression"),
]


def test_wrong_keys(run_suite):
    tables = [table("job", f"n{i}", **keys) for i, (keys, _) in enumerate(WRONG_KEYS)]
    outcome = run_suite("\n".join(tables))
    assert outcome.status == 4, outcome.output
    for i, (_, expected) in enumerate(WRONG_KEYS):
        line = next(line for line in outcome.output.splitlines() if f"[job.n{i}]" in line)
        assert expected in line
