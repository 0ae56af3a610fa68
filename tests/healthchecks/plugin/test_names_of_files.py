"""Links and files of checks: another one for each, and one that fails costs no other."""

import json
import os
import signal
from itertools import product

import lxml.html
import pytest

from healthchecks.plugin.dashboard import publication
from healthchecks.plugin.dashboard.card import Card
from healthchecks.plugin.wording import CardStatus
from tests.reliability import reliability

CHECKS = """
    import pytest
    from healthchecks import Target

    class Job(Target):
        fails: bool = False

    def test_job(job: Job):
        assert not job.fails

    @pytest.mark.healthcheck
    def test_all():
        pass
"""


@pytest.fixture
def jobs(suite):
    suite.write("test_mine.py", CHECKS)
    return suite


def card(check, target):
    texts = {"label": "", "group": "", "message": ""}
    numbers = {"maintenance": False, "duration": None, "since": None, "runs": 1, "checked_at": None}
    return Card(check, target, status=CardStatus.OK, **texts, **numbers)


NAMES = ["", "a", "b", "a-b", "-", "a-", "-a", "a--b", "a b", "a/b", "a.b", "é", "e\u0301", "all", "中" * 95, "中" * 96]


@reliability(
    "Files",
    fault="names of targets differ in what a link or a file name cannot hold, or are very long",
    promise="each check has a link and a badge of its own",
)
def test_every_check_has_an_id_and_a_file_of_its_own():
    cards = [card(check, target) for check, target in product(NAMES[1:], NAMES)]
    cards += [card("a", each.id.removeprefix("check-a-")) for each in cards if each.id.startswith("check-a-")]
    keys = {each.key for each in cards}
    by_key = {each.key: each for each in cards}.values()
    assert len({each.id for each in by_key}) == len(keys)
    files = {publication.badge_name(each) for each in by_key}
    assert len(files) == len(keys)
    assert publication.ALL not in files
    assert max(len(os.fsencode(each)) for each in files) < 200


@reliability(
    "Files",
    fault="targets are called home and home-, or by 95 Chinese letters",
    promise="all are on the page, and have a badge",
)
def test_targets_with_unusual_names(jobs):
    targets = ["home", "home-", "中" * 95, "中" * 95 + "文"]
    jobs.configure("".join(f'[job."{each}"]\n' for each in targets))
    outcome = jobs.run()
    assert outcome.status == 0, outcome.output
    assert "could not be written" not in outcome.output
    page = lxml.html.fromstring((jobs.page / "index.html").read_bytes())
    ids = {each.get("id") for each in page.xpath("//article")}
    assert len(ids) == len(targets) + 1
    files = {each.name for each in (jobs.page / "badges").iterdir()}
    assert len(files) == len(targets) + 2  # test_all, and the one over all
    assert {"all.svg", "job-home.svg", "job-home-.svg"} <= files


@reliability(
    "Files",
    fault="one badge, or the page among those that are kept, cannot be written",
    promise="all other files are written, and the run says what is missing",
)
def test_one_file_that_cannot_be_written(jobs):
    jobs.configure("[job.a]\n[job.b]\nfails = true\n")
    (jobs.page / "badges" / "job-a.svg").mkdir(parents=True)
    (jobs.page / "runs").touch()
    outcome = jobs.run()
    assert "not all badges could be written: " in outcome.output
    assert "the page could not be kept among those of earlier runs: " in outcome.output
    assert (jobs.page / "badges" / "job-b.svg").is_file()
    assert (jobs.page / "badges" / "all.svg").is_file()
    assert (jobs.page / "index.html").is_file()
    assert outcome.checks["job[a]"]["status"] == "ok"


@reliability(
    "Files",
    fault="status.json, or a badge, is a FIFO",
    promise="it is replaced, and nothing waits for it",
)
def test_files_that_are_fifos(jobs):
    jobs.configure("[job.a]\n")
    (jobs.page / "badges").mkdir(parents=True)
    for path in (jobs.page / "status.json", jobs.page / "badges" / "job-a.svg"):
        os.mkfifo(path)
    process = jobs.start("test_mine.py")
    try:
        process.communicate(timeout=60)
    finally:
        process.send_signal(signal.SIGKILL)
    assert json.loads((jobs.page / "status.json").read_text())["status"] == "ok"
    assert (jobs.page / "badges" / "job-a.svg").is_file()
