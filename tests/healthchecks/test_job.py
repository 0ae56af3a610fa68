"""[job.NAME], by logs, files and times that a job may have written."""

import os
import re
import time
from datetime import UTC, datetime, timedelta

from tests.healthchecks.metrics import assert_agrees, metrics_of
from tests.reliability import reliability
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
    ({"max_age": "1h"}, "write one of log, files and timestamp"),
    (
        {"max_age": "1h", "log": "x", "files": "y"},
        "log and files exclude each other: write one of log, files and timestamp",
    ),
    ({"max_age": "1h", "log": "x", "min_size": 1}, "min_size has no meaning without files"),
    ({"max_age": "1h", "files": "x", "ok": "x"}, "ok has no meaning without log"),
    ({"max_age": "1h", "files": "x/**/y"}, "contains **, which is not supported: write each level of directories as *"),
    ({"max_age": "1h", "files": "x/"}, "ends with a slash: write which files of the directory are meant"),
    ({"max_age": "1h", "files": "x", "min_size": 2, "max_size": 1}, "min_size is more than max_size"),
    ({"max_age": "1h", "files": ["x"]}, 'write a text, in quotes: "text"'),
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


def put(path, size=0, age=0.0):
    """A file of this size in bytes, last written so many seconds ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    os.truncate(path, size)
    then = time.time() - age
    os.utime(path, (then, then))
    return path


def job(name, **keys):
    return table("job", name, **{"max_age": "26h", **keys})


HOUR = 3600


@reliability(
    "Messages",
    fault="a backup is old, empty, missing, unreadable, or there is a pipe, a directory or a broken link of its name",
    promise="the newest regular file counts, and the message has its name, age, size and the limit",
)
def test_files(run_suite, tmp_path):
    """The newest regular file counts; a link is followed, and * does not match a dot at the beginning."""
    put(tmp_path / "fresh" / "1.dump", 2_000_000, 50 * HOUR)
    put(tmp_path / "fresh" / "2.dump", 1_000_000, HOUR)
    put(tmp_path / "fresh" / ".3.dump")
    put(tmp_path / "fresh" / "4.dump.part")
    os.mkfifo(tmp_path / "fresh" / "5.dump")
    (tmp_path / "fresh" / "6.dump").mkdir()
    (tmp_path / "fresh" / "7.dump").symlink_to("nowhere.dump")
    put(tmp_path / "old" / "1.dump", 12_300_000, 50 * HOUR)
    put(tmp_path / "future" / "1.dump", 1, -2 * HOUR)
    put(tmp_path / "deep" / "a" / "b" / "1.dump", 1, 3 * HOUR)
    put(tmp_path / "deep" / "c" / "b" / "2.dump", 1, 2 * HOUR)
    put(tmp_path / "deep" / "file")
    (tmp_path / "link").symlink_to("fresh/2.dump")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "[x]").mkdir()
    put(tmp_path / "[x]" / "1.dump", 1, HOUR)
    small = {"min_size": "1.5MB"}
    tables = [
        job("fresh", files="fresh/*.dump", min_size="1MB", max_size="1MB"),
        job("old", files=f"{tmp_path}/old/*.dump", **small),
        job("small", files="fresh/*.dump", **small),
        job("large", files="fresh/*.dump", max_size="0.9MB"),
        job("future", files="future/?.dump"),
        job("deep", files="deep/*/b/[0-9].dump", max_age="150min"),
        job("link", files="link", min_size="1MB"),
        job("hidden", files="fresh/.*.dump"),
        job("brackets", files="[[]x]/*"),
        job("none", files="fresh/*.sql"),
        job("nowhere", files="nowhere/*.dump"),
        job("pipe", files="pipe"),
        job("directory", files=str(tmp_path)),
        job("broken", files="fresh/7*"),
    ]
    outcome = run_suite("\n".join(tables))
    passing = {name for name, each in outcome.checks.items() if each["status"] == "ok"}
    assert passing == {f"job_status[{name}]" for name in ("fresh", "deep", "link", "hidden", "brackets")}, (
        outcome.output
    )
    newest = f"newest file {tmp_path}"
    assert message(outcome, "old") == f"{newest}/old/1.dump, 12.3 MB, is 2 d 2 h old, maximum 1 d 2 h"
    assert message(outcome, "small") == f"{newest}/fresh/2.dump, 1 h old, has 1 MB, minimum 1.5 MB"
    assert message(outcome, "large") == f"{newest}/fresh/2.dump, 1 h old, has 1 MB, maximum 900 kB"
    ahead = (
        re.escape(f"{newest}/future/1.dump is ") + r"(2 h|1 h 5\d min) in the future"
    )  # at most, less the time since
    assert re.match(ahead, message(outcome, "future"))
    assert message(outcome, "none") == f"no file matches {tmp_path}/fresh/*.sql"
    assert message(outcome, "nowhere") == (
        f"no file matches {tmp_path}/nowhere/*.dump; {tmp_path}/nowhere: No such file or directory"
    )
    assert message(outcome, "pipe") == f"no file matches {tmp_path}/pipe; 1 of that name are no files"
    assert message(outcome, "directory") == f"no file matches {tmp_path}; 1 of that name are no files"
    assert message(outcome, "broken") == f"no file matches {tmp_path}/fresh/7*"
    found = metrics_of(outcome, "job_status[small]")
    assert [*found] == ["age", "size"]
    assert found["size"] == {"value": 1_000_000, "unit": "bytes", "limit": None, "lower_limit": 1_500_000}
    assert_agrees(outcome, "job_status[small]", "size")
    assert_agrees(outcome, "job_status[old]", "age")


def test_timestamp(run_suite, tmp_path):
    """Unix seconds or ISO time within it; with any other content the last write counts."""
    now = datetime.now(UTC)
    old = now - timedelta(hours=2)
    contents = {
        "unix": f"{now.timestamp():.0f}\n",
        "unix_fraction": f"{now.timestamp()}",
        "iso": now.isoformat(),
        "local": f"{now.astimezone():%Y-%m-%d %H:%M:%S}\n",
        "empty": "",
        "words": "done",
        "long": "9" * 100_000,
        "old_unix": f"{old.timestamp():.0f}\n",
        "old_iso": f"{old:%Y-%m-%dT%H:%M:%SZ}",
        "future": f"{(now + timedelta(hours=2, seconds=9)).timestamp():.0f}",
        "stale": "",
    }
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
    then = time.time() - 7300
    os.utime(tmp_path / "stale", (then, then))
    os.utime(tmp_path / "unix", (then, then))
    os.mkfifo(tmp_path / "pipe")
    names = [*contents, "pipe", "missing"]
    outcome = run_suite("\n".join(job(name, timestamp=name, max_age="1h") for name in names))
    passing = {name for name in names if outcome.checks[f"job_status[{name}]"]["status"] == "ok"}
    assert passing == {"unix", "unix_fraction", "iso", "local", "empty", "words", "long"}, outcome.output
    assert message(outcome, "old_unix").startswith(f"time in {tmp_path}/old_unix is 2 h")
    assert message(outcome, "old_iso").endswith(" old, maximum 1 h")
    assert message(outcome, "future").startswith(f"time in {tmp_path}/future is 2 h")
    assert message(outcome, "future").endswith(f" in the future: {contents['future']}")
    assert message(outcome, "stale").startswith(f"last write to {tmp_path}/stale is 2 h ")
    assert message(outcome, "pipe") == f"{tmp_path}/pipe: is a named pipe, not a file"
    assert message(outcome, "missing") == f"{tmp_path}/missing: No such file or directory"
    assert [*metrics_of(outcome, "job_status[old_unix]")] == ["age"]
