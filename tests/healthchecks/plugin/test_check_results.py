"""Retries, needs, slow, maintenance, logs, attachments, history: what becomes of a probe."""

import json
import sqlite3

import pytest

from tests.reliability import reliability

COUNTED = """
    import logging
    from pathlib import Path
    from healthchecks import Target, Unhealthy, attach, probe

    class Job(Target):
        succeed_at: int = 1
        silent: bool = False

    @probe
    def attempt(job: Job) -> int:
        file = Path(f"{job.name}.attempts")
        with file.open("a") as lines:
            lines.write("x")
        number = len(file.read_text())
        logging.getLogger("jobs").warning("attempt %s of %s", number, job.name)
        attach("notes", f"attached by {job.name}")
        if job.silent:
            raise Unhealthy("nothing there")
        return number

    def test_job(job: Job, attempt: int) -> None:
        assert attempt >= job.succeed_at, f"attempt {attempt} is too early"
"""


@pytest.fixture
def jobs(suite):
    suite.write("test_mine.py", COUNTED)
    return suite


def attempts(suite, name):
    return len((suite.folder / f"{name}.attempts").read_text())


def test_retry_recovers(jobs):
    """A check with retries is probed again at once, and only its last result counts."""
    jobs.configure("[job.shaky]\nretries = 2\nsucceed_at = 3\n[job.steady]\nretries = 2\n")
    outcome = jobs.run()
    assert outcome.status == 0, outcome.output
    assert {name: each["status"] for name, each in outcome.checks.items()} == {"job[shaky]": "ok", "job[steady]": "ok"}
    assert (attempts(jobs, "shaky"), attempts(jobs, "steady")) == (3, 1)
    assert "2 passed" in outcome.output


@reliability(
    "Checks",
    fault="a check fails, and a retry saves it",
    promise="terminal, page and status.json say at which try it passed, and what the first one said",
)
def test_retry_leaves_a_trace(jobs):
    jobs.configure("[job.shaky]\nretries = 2\nsucceed_at = 3\n[job.steady]\nretries = 2\n")
    outcome = jobs.run()
    saved = "passed at try 3; at first: attempt 1 is too early"
    assert outcome.checks["job[shaky]"]["message"] == saved
    assert outcome.checks["job[steady]"]["message"] == ""
    assert f"ok      job[shaky]  {saved}" in outcome.output
    page = (jobs.page / "index.html").read_text()
    assert f'<span class="why"><bdi>{saved}</bdi></span>' in page
    assert page.count(saved) >= 2, "the log of the test has it, too"


def test_retries_run_out(jobs):
    """After the last retry it is a failure, reported once."""
    jobs.configure("[job.bad]\nretries = 1\nsucceed_at = 9\n[job.silent]\nretries = 2\nsilent = true\n")
    outcome = jobs.run()
    assert outcome.status == 1
    assert outcome.checks["job[bad]"]["message"] == "attempt 2 is too early"
    assert outcome.checks["job[silent]"]["message"] == "nothing there"
    assert (attempts(jobs, "bad"), attempts(jobs, "silent")) == (2, 3)
    assert "2 failed" in outcome.output


def test_needs(jobs):
    """What lies behind a failing target is blocked, and so is what lies behind that."""
    jobs.configure("""
        [job.child]
        needs = ["job.parent"]
        [job.grandchild]
        needs = ["job.child"]
        [job.other]
        [job.parent]
        succeed_at = 9
    """)
    outcome = jobs.run()
    reported = {name: (each["status"], each["message"]) for name, each in outcome.checks.items()}
    assert reported == {
        "job[parent]": ("failed", "attempt 1 is too early"),
        "job[child]": ("blocked", "behind job[parent]"),
        "job[grandchild]": ("blocked", "behind job[child]"),
        "job[other]": ("ok", ""),
    }
    assert outcome.status == 1
    assert "1 of 4 checks failed, 2 blocked" in outcome.output


def test_needs_of_deselected(jobs):
    """A parent that was not selected blocks nothing."""
    jobs.configure('[job.child]\nneeds = ["job.parent"]\n[job.parent]\nsucceed_at = 9\n')
    assert jobs.run("test_mine.py", "-k", "child").checks["job[child]"]["status"] == "ok"


def test_slow(suite):
    """Above `slow` the check passes, and is shown as slow with both times."""
    suite.write(
        "test_mine.py",
        """
        import threading
        from healthchecks import Target, probe

        class Lazy(Target):
            pass

        @probe
        def rest(lazy: Lazy) -> None:
            threading.Event().wait(0.3)

        def test_lazy(lazy: Lazy, rest: None) -> None:
            pass
        """,
    )
    suite.configure("[lazy.a]\nslow = '200ms'\n[lazy.b]\nslow = 20\n")
    outcome = suite.run()
    assert outcome.status == 0
    assert outcome.checks["lazy[a]"]["status"] == "slow"
    assert outcome.checks["lazy[a]"]["message"].endswith("more than 0.2 s")
    assert outcome.checks["lazy[b]"]["status"] == "ok"


def test_runbook(jobs):
    """Of a target and of a mark, in status.json, without a password."""
    jobs.write("test_marked.py", MARKED)
    jobs.configure("[job.a]\nrunbook = ' https://me:hunter22@wiki.example.com/a '\n[job.b]\n")
    outcome = jobs.run(".")
    assert outcome.status == 0, outcome.output
    found = {name: each["runbook"] for name, each in outcome.checks.items()}
    assert found["job[b]"] == ""
    assert found["marked[]"] == "call the night shift, 2½ rings"
    assert found["job[a]"].startswith("https://")
    assert found["job[a]"].endswith("@wiki.example.com/a")
    assert "hunter22" not in outcome.output + (jobs.page / "status.json").read_text()


MARKED = """
    import pytest

    @pytest.mark.healthcheck(runbook="call the night shift, 2½ rings")
    def test_marked():
        pass
"""


def test_maintenance(jobs):
    """A target in maintenance, by its own key or by an open window, is checked and marked."""
    jobs.configure("""
        [job.own]
        maintenance = true
        [job.window]
        [job.closed]
        [job.repeated]
        [maintenance.now]
        start = 2020-01-01
        end = 2120-01-01T00:00:00Z
        checks = ["job.w*"]
        [maintenance.past]
        start = 2020-01-01T00:00:00Z
        end = 2020-01-02T00:00:00Z
        [maintenance.every_minute]
        cron = "* * * * *"
        hours = 1
        checks = ["job.repeated"]
    """)
    outcome = jobs.run()
    marked = {name for name, each in outcome.checks.items() if each["maintenance"]}
    assert marked == {"job[own]", "job[window]", "job[repeated]"}


def test_logs_belong_to_their_test(jobs):
    """What a probe logs stands in the report of its own test, whichever test was running meanwhile."""
    jobs.configure("[job.a]\nsucceed_at = 9\n[job.b]\nsucceed_at = 9\n")
    jobs.run("test_mine.py", "--junitxml", "junit.xml", "-o", "junit_logging=log")
    cases = (jobs.folder / "junit.xml").read_text().split("<testcase ")[1:]
    for case, name, other in zip(cases, "ab", "ba", strict=True):
        assert f"attempt 1 of {name}" in case
        assert f"attempt 1 of {other}" not in case


def test_attachments_are_on_the_page(jobs):
    """What a probe attaches is in the page."""
    jobs.configure("[job.a]\nsucceed_at = 9\n")
    jobs.run()
    assert "notes" in (jobs.page / "index.html").read_text()


def test_history_since(jobs):
    """A failure that lasts says since when and for how many runs; one run is one row for each check."""
    jobs.configure("[job.a]\nsucceed_at = 99\n[job.b]\n")
    first = jobs.run().checks["job[a]"]
    outcome = jobs.run()
    assert ", 2 runs)" in outcome.output
    assert outcome.checks["job[a]"]["since"] == first["since"]
    with sqlite3.connect(jobs.state / "history.sqlite") as database:
        assert database.execute("SELECT count(*) FROM results").fetchone() == (4,)
        assert database.execute("SELECT count(*) FROM checks").fetchone() == (2,)


def test_damaged_history(jobs):
    """A damaged history is renamed and replaced by a new one, and the run says so."""
    jobs.configure("[job.a]\n")
    jobs.run()
    (jobs.state / "history.sqlite").write_bytes(b"not a database " * 500)
    outcome = jobs.run()
    assert outcome.status == 0
    assert "the history was damaged: renamed to" in outcome.output
    assert len(list(jobs.state.glob("history-damaged-*.sqlite"))) == 1
    with sqlite3.connect(jobs.state / "history.sqlite") as database:
        assert database.execute("SELECT count(*) FROM results").fetchone() == (1,)


def test_page_that_cannot_be_written(jobs):
    """Where the page cannot be written the old one stays, and results and history are unharmed."""
    jobs.configure('[job.a]\n[dashboard]\ndirectory = "/proc/nowhere"\n')
    outcome = jobs.run()
    assert outcome.status == 0
    assert "no page: " in outcome.output
    with sqlite3.connect(jobs.state / "history.sqlite") as database:
        assert database.execute("SELECT count(*) FROM results").fetchone() == (1,)


def test_nothing_is_left_next_to_the_page(jobs):
    """Written to a new file and renamed: nothing else stays in the folder."""
    jobs.configure("[job.a]\n")
    jobs.run()
    assert sorted(path.name for path in jobs.page.iterdir()) == ["badges", "index.html", "status.json"]


def test_ids_are_escaped_on_the_page(suite):
    """An id of outside text cannot run in the page."""
    suite.write(
        "test_mine.py",
        """
        import pytest

        @pytest.mark.healthcheck
        @pytest.mark.parametrize("text", ["<img src=x onerror=alert(1)>"])
        def test_text(text):
            assert False, text
        """,
    )
    suite.run()
    page = (suite.page / "index.html").read_text()
    assert "<img src=x" not in page
    assert "img src=x" in page


def test_status_json_has_every_field(jobs):
    """status.json is what programs are promised."""
    jobs.configure("[job.a]\ngroup = 'shop'\n")
    document = jobs.run().document
    assert set(document) == {
        "version",
        "generated",
        "host",
        "status",
        "interrupted",
        "without_result",
        "checks",
        "others",
    }
    (entry,) = document["checks"]
    assert set(entry) == {
        "check", "target", "group", "status", "since", "duration", "message", "maintenance", "silence", "runbook",
        "metrics", "label", "recent", "uptimes",
    }  # fmt: skip
    assert (entry["label"], entry["recent"]) == ("job[a]", [{"status": "ok", "runs": 1}])
    assert entry["uptimes"] == [{"days": 1, "passed": 1, "total": 1}]
    assert (entry["check"], entry["target"], entry["group"]) == ("job", "a", "shop")
    assert json.dumps(document)
    assert document["generated"].endswith("Z")
