"""The page after runs of all kinds: of a part of the checks, cut off, with checks that no longer exist."""

import contextlib
import os
import re
import sqlite3

import lxml.html
import pytest

from tests.reliability import reliability

CHECKS = """
    import os, signal, time
    from healthchecks import Target, metric, probe

    RUN = os.getpid()

    class Job(Target):
        fails: str = ""

    @probe
    def outcome(job: Job) -> str:
        metric("length", len(job.fails), limit=100)
        return job.fails

    def test_job(job, outcome):
        if outcome == "SIGTERM":
            os.kill(RUN, signal.SIGTERM)
            time.sleep(5)
        assert not outcome, outcome
"""


@pytest.fixture
def jobs(suite):
    suite.write("test_mine.py", CHECKS)
    return suite


def document(suite, name="index.html"):
    return lxml.html.parse(str(suite.page / name)).getroot()


def headline(suite):
    return document(suite).find(".//h1").text


def cards(suite):
    """Each check's words, by its label, in the order of the page."""
    found = document(suite).xpath("//article")
    return {each.xpath(".//h3//bdi")[0].text: " ".join(each.text_content().split()) for each in found}


def age_history(suite, seconds):
    """As if all that is stored were so much older."""
    with contextlib.closing(sqlite3.connect(suite.state / "history.sqlite")) as database, database:
        columns = ("results", "time"), ("runs", "time"), ("checks", "seen"), ("checks", "since")
        for table, column in (*columns, ("metrics", "seen"), ("metric_values", "time")):
            database.execute(f"UPDATE {table} SET {column} = {column} - {seconds}")


def test_a_run_of_a_part_keeps_the_others_on_the_page(jobs):
    """With their last state, and its age; a failure among them still counts."""
    jobs.configure('[job.a]\n[job.b]\nfails = "disk on fire"\n[job.c]\n')
    jobs.run()
    age_history(jobs, 60)
    jobs.run("test_mine.py::test_job[a]")
    assert headline(jobs) == "1 of 3 checks failed"
    shown = cards(jobs)
    assert list(shown) == ["job[b]", "job[c]", "job[a]"]
    assert "not in this run failed disk on fire" in shown["job[b]"]
    assert "status of" in shown["job[b]"]
    assert "new in this run" not in shown["job[b]"]
    assert "not in this run" not in shown["job[a]"]


def test_status_json_keeps_the_others_apart(jobs):
    """A program that waits for the failure of one check does not lose it to a run of another."""
    jobs.configure('[job.a]\n[job.b]\nfails = "disk on fire"\nrunbook = "call Ada"\n')
    whole = jobs.run().checks["job[b]"]
    document = jobs.run("test_mine.py::test_job[a]").document
    assert [each["target"] for each in document["checks"]] == ["a"]
    (other,) = document["others"]
    assert other.pop("checked_at") >= other["since"]
    assert other == whole
    assert (other["runbook"], other["metrics"][0]["value"]) == ("call Ada", len("disk on fire"))
    assert document["status"] == "failed"


def test_a_check_that_has_not_run_for_two_intervals_is_stale(jobs):
    """Not ok and not failed: grey, with the time of its last result; the headline does not count it."""
    jobs.configure('[dashboard]\ninterval = "10m"\n[job.a]\n[job.b]\nfails = "disk on fire"\n')
    jobs.run()
    age_history(jobs, 1500)
    jobs.run("test_mine.py::test_job[a]")
    assert headline(jobs) == "1 check is ok"
    assert "stale" in cards(jobs)["job[b]"]
    assert "last result of" in cards(jobs)["job[b]"]


def test_a_check_that_is_not_configured_any_more_leaves_the_page(jobs):
    jobs.configure('[job.a]\n[job.b]\nfails = "disk on fire"\n')
    jobs.run()
    jobs.configure("[job.a]\n")
    jobs.run()
    assert list(cards(jobs)) == ["job[a]"]
    assert "job[b]" not in document(jobs).text_content()


def test_a_check_that_nobody_knows_leaves_the_page_after_eight_days(jobs):
    """A plain test has no table that could be missing."""
    jobs.configure("[job.a]\n")
    other = jobs.write("test_other.py", "import pytest\n@pytest.mark.healthcheck\ndef test_plain():\n    pass\n")
    jobs.run("test_mine.py", "test_other.py")
    other.unlink()
    jobs.run()
    assert list(cards(jobs)) == ["job[a]", "plain"]
    age_history(jobs, 8 * 86400 + 60)
    jobs.run()
    assert list(cards(jobs)) == ["job[a]"]


def test_what_was_never_probed_says_so(jobs):
    """A first run that is cut off shows what it has, and what it has not."""
    jobs.configure('[job.a]\n[job.b]\nfails = "SIGTERM"\n[job.c]\n')
    assert jobs.run().status == 2
    assert headline(jobs) == "Cut off: 2 of 3 checks have no result"
    shown = cards(jobs)
    assert "never probed" in shown["job[c]"]
    assert "job[a] ok " in shown["job[a]"]
    assert "run cut off" in document(jobs).get_element_by_id("changes").getparent().text_content()


def test_every_check_has_a_link_of_its_own(jobs):
    """Also those whose names differ in what a link cannot hold."""
    jobs.configure('[job."a/b"]\n[job."a:b"]\n[job.a-b]\n')
    jobs.run()
    ids = [each.get("id") for each in document(jobs).xpath("//article")]
    assert len(set(ids)) == 3
    assert "check-job-a-b" in ids
    assert all(re.fullmatch(r"check-job-a-b(-[0-9a-f]{8})?", each) for each in ids)


def test_kinds_without_a_target_are_one_line(jobs):
    jobs.write("test_more.py", CHECKS.replace("Job", "Boat").replace("job", "boat"))
    jobs.configure("[job.a]\n")
    jobs.run("test_mine.py", "test_more.py")
    assert list(cards(jobs)) == ["job[a]"]
    assert "Not configured: [boat.NAME]" in document(jobs).text_content()


def test_pages_of_runs_in_which_something_changed_are_kept_and_linked(jobs):
    """A failure and a recovery are two; the run between them, in which it failed on, is none."""
    for fails in ("", "disk on fire", "disk on fire", ""):
        jobs.configure(f'[job.a]\nfails = "{fails}"\n')
        jobs.run()
    kept = sorted(path.name for path in (jobs.page / "runs").iterdir())
    assert len(kept) == 2
    links = document(jobs).xpath("//ol[@class='changes']//a[starts-with(@href, 'runs/')]/@href")
    assert sorted(links) == [f"runs/{name}" for name in kept]
    old = document(jobs, f"runs/{kept[0]}")
    assert old.find(".//h1").text == "1 of 1 check failed"
    assert old.xpath("//p[@class='only-archived']/a/@href") == ["../index.html"]
    assert "archived" in old.find("body").get("class")
    assert "archived" not in document(jobs).find("body").get("class")
    assert {path.stat().st_mode & 0o777 for path in (jobs.page / "runs").iterdir()} == {0o600}


def test_badges_show_the_status(jobs):
    jobs.configure('[job.a]\n[job.b]\nfails = "disk on fire"\n')
    jobs.run()
    badges = {
        path.name: lxml.html.fromstring(path.read_bytes()).findtext(".//title")
        for path in (jobs.page / "badges").iterdir()
    }
    assert badges == {"all.svg": "checks: 1 failed", "job-a.svg": "job[a]: ok", "job-b.svg": "job[b]: failed"}
    jobs.configure("[job.a]\n")
    jobs.run()
    assert sorted(path.name for path in (jobs.page / "badges").iterdir()) == ["all.svg", "job-a.svg"]


def test_the_page_of_the_reports_is_linked_with_its_age_and_what_it_says(jobs):
    jobs.configure("[job.a]\n")
    jobs.page.mkdir(parents=True)
    (jobs.page / "database.html").write_text('<meta name="description" content="1 of 9 reports failed">')
    jobs.run()
    nav = document(jobs).find(".//nav")
    assert "Database reports 1 of 9 reports failed (" in " ".join(nav.text_content().split())
    assert nav.xpath(".//a/@href")[0] == "database.html"
    (jobs.page / "database.html").unlink()
    os.mkfifo(jobs.page / "database.html")
    assert jobs.run().status == 0


def test_the_interval_is_of_the_configuration_or_the_last_runs(jobs):
    jobs.configure('[dashboard]\ninterval = "5m"\n[job.a]\n')
    jobs.run()
    assert document(jobs).find("body").get("data-late") == "600"
    jobs.configure("[job.a]\n")
    for _ in range(3):
        age_history(jobs, 420)
        jobs.run()
    assert 838 <= int(document(jobs).find("body").get("data-late")) <= 860


@reliability(
    "Checks",
    fault="checks are run by hand, quickly one after another, whole or in part",
    promise="the page is not called late, and no failed check stale",
)
def test_quick_runs_show_no_interval(jobs):
    jobs.configure('[job.a]\n[job.b]\nfails = "disk on fire"\n')
    for _ in range(2):
        jobs.run()
    for _ in range(3):
        age_history(jobs, 70)
        outcome = jobs.run("test_mine.py::test_job[a]")
    assert "failed disk on fire" in cards(jobs)["job[b]"]
    assert outcome.document["status"] == "failed"
    assert int(document(jobs).find("body").get("data-late")) == 2 * 86400, "two complete runs show no interval"
    jobs.run()
    assert int(document(jobs).find("body").get("data-late")) == 600, "five minutes are the least"


def test_a_history_that_cannot_be_opened_takes_nothing_from_the_page(jobs):
    """The results of this run are shown, without a past; the page says what is wrong."""
    jobs.configure('[job.a]\n[job.b]\nfails = "disk on fire"\n')
    (jobs.state).mkdir(parents=True)
    (jobs.state / "history.sqlite").mkdir()
    outcome = jobs.run("test_mine.py", "--monitoring-no-alerts")
    assert outcome.status == 1
    assert f"the results of this run wait in {jobs.state}/unstored, to be stored by a later run" in outcome.output
    assert headline(jobs) == "1 of 2 checks failed"
    assert "history.sqlite: " in document(jobs).find_class("notices")[0].text_content()
    (jobs.state / "history.sqlite").rmdir()
    outcome = jobs.run("test_mine.py", "--monitoring-no-alerts")
    assert "stored 1 earlier run that had to wait" in outcome.output
    assert "2 runs" in cards(jobs)["job[b]"]


def test_kills_that_are_no_file_hold_up_nothing(jobs):
    """A pipe where the watchdog's record should be: nobody waits for its other end."""
    jobs.configure("[job.a]\n")
    jobs.state.mkdir(parents=True)
    os.mkfifo(jobs.state / "kills.jsonl")
    assert jobs.run().status == 0


def test_hooks_of_the_user_reach_the_table_of_the_last_run(jobs):
    """pytest-html is what gathers the rows: what its users add to them is on our page, too."""
    jobs.configure("[job.a]\n")
    jobs.write(
        "conftest.py",
        """
        def pytest_html_results_table_header(cells):
            cells.insert(1, "<th>Shift</th>")

        def pytest_html_results_table_row(report, cells):
            cells.insert(1, "<td>night</td>")

        def pytest_html_results_summary(prefix):
            prefix.append("<p>Ask Ada.</p>")
        """,
    )
    jobs.run()
    table = document(jobs).xpath("//table")[0]
    assert [" ".join(each.text_content().split()) for each in table.xpath(".//th")] == [
        "Result",
        "Shift",
        "Test",
        "Duration",
    ]
    assert "night" in table.text_content()
    assert "Ask Ada." in document(jobs).text_content()


def test_hooks_of_the_user_see_each_phase_of_a_test(jobs):
    """As pytest-html calls them: rows of a setup and teardown that passed are not shown, but a hook may count them."""
    jobs.configure("[job.a]\n")
    jobs.write(
        "conftest.py",
        """
        def pytest_html_results_table_row(report, cells):
            with open("phases.txt", "a") as file:
                file.write(f"{report.when} ")
        """,
    )
    jobs.run()
    assert (jobs.directory / "phases.txt").read_text() == "setup call teardown "
