"""The regression check of a pipeline: it waits, it finds what became slower, and it does not cry over noise."""

import json
import random
import re
import subprocess
import sys
import threading
import xml.etree.ElementTree as ET

import pytest

from tests import ROOT
from tests.servers.server import until
from tests.suite import table

sys.path.insert(0, str(ROOT / "ci"))
latency = pytest.importorskip("latency")

FACTOR = 1.5


@pytest.fixture
def regression(tmp_path):
    """`regression(toml, *options)` against an environment of one configuration: exit status and output."""

    def run(toml, *options, checks="healthchecks/test_website.py"):
        (tmp_path / "staging.toml").write_text(f"{toml}\n[dashboard]\ndirectory = '{tmp_path}/html'\n")
        command = [sys.executable, ROOT / "ci/regression", f"--monitoring-config={tmp_path}/staging.toml", *options]
        files = "-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-o", "addopts=", checks
        done = subprocess.run([*command, "--", *files], cwd=ROOT, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    return run


def slow(website, seconds):
    return table("website", "shop", url=website.url(f"/slow?seconds={seconds}"))


def test_a_website_made_slower_is_found(regression, website, tmp_path):
    """Slower than anything that a busy machine adds to the times of the baseline."""
    baseline = tmp_path / "baseline.json"
    status, output = regression(slow(website, 0.1), f"--record-baseline={baseline}", "--samples=5")
    assert (status, "recorded the times of 1 checks" in output) == (0, True), output
    seconds = json.loads(baseline.read_text())["seconds"]["website_access[shop]"]
    assert len(seconds) == 5
    assert all(0.1 <= each < 60 for each in seconds)
    status, output = regression(slow(website, min(8, 8 * max(seconds))), f"--baseline={baseline}", "--samples=5")
    assert status == 7, output
    assert re.search(r"^website_access\[shop\] +\d+\.\d ms +\d+\.\d ms +\d+\.\d\d  SLOWER$", output, re.MULTILINE)
    assert "more than 1.5 times as slow as before, beyond noise: website_access[shop]" in output


def test_an_environment_that_comes_up_is_waited_for(regression, website, tmp_path):
    """It is down at first, and up a little later; the result is written as JUnit XML."""
    website.forget()
    website.answer("/", "not yet", status=503)

    def come_up():
        until(lambda: len(website.paths) >= 2, 120)
        website.forget()

    thread = threading.Thread(target=come_up)
    thread.start()
    toml = table("website", "home", url=website.url("/"))
    status, output = regression(toml, "--wait-until-healthy=60", f"--junitxml={tmp_path}/junit.xml")
    thread.join()
    assert status == 0, output
    assert re.search(r"1 of 1 check failed; waiting for \d+ s more at most", output)
    (case,) = ET.parse(tmp_path / "junit.xml").iter("testcase")
    assert (case.get("name"), [each.tag for each in case]) == ("test_website_access[home]", ["properties"])


def failures(path):
    (case,) = ET.parse(path).iter("testcase")
    return len(case.findall("failure"))


def test_the_file_is_of_the_run_that_decides(regression, website, tmp_path):
    """The check passes in the wait, and fails while durations are measured."""
    website.answer("/", "ok")
    answers = iter(range(2))

    def fail_later():
        for count in answers:
            until(lambda count=count: len(website.paths) > count, 120)
        website.answer("/", "no more", status=503)

    thread = threading.Thread(target=fail_later)
    thread.start()
    file, options = tmp_path / "results" / "junit.xml", (f"--record-baseline={tmp_path}/none.json", "--samples=9")
    status, output = regression(table("website", "home", url=website.url("/")), f"--junitxml={file}", *options)
    thread.join()
    assert status == 1, output
    assert failures(file) == 1
    assert not (tmp_path / "none.json").exists()


def test_no_file_of_an_earlier_pipeline_is_left(regression, tmp_path):
    """Where pytest refuses to run, and writes none."""
    file = tmp_path / "junit.xml"
    file.write_text("<testsuites/>")
    status, _ = regression("", f"--junitxml={file}", checks="--nonsense")
    assert status == 4
    assert not file.exists()


def test_one_that_does_not_come_up_fails_and_says_why(regression, website):
    website.answer("/", "not yet", status=503)
    status, output = regression(table("website", "home", url=website.url("/")), "--wait-until-healthy=2")
    assert status == 1
    assert "503" in output


@pytest.mark.parametrize(
    ("toml", "checks", "said"),
    [
        ("[websit.home]", "healthchecks", 'did you mean "website"?'),  # a part of them may leave out tables
        ("[website.home]\nurll = ''", "healthchecks/test_website.py", 'did you mean "url"?'),
    ],
)
def test_a_wrong_configuration_is_not_waited_for(regression, toml, checks, said):
    status, output = regression(toml, "--wait-until-healthy=60", checks=checks)
    assert status == 4
    assert said in output


@pytest.mark.parametrize(
    ("options", "said"),
    [(["--samples=3"], "at least 5"), (["--baseline=none.json"], "there is no baseline none.json")],
)
def test_what_would_say_nothing_is_refused(regression, options, said):
    status, output = regression("", *options)
    assert status == 2
    assert said in output


# Distributions that times of answers have, each with a spread of 20 %: the median is about 1.
NOISE = {
    "even": lambda source: source.uniform(0.8, 1.2),
    "normal": lambda source: max(0.1, source.gauss(1, 0.2)),
    "skewed": lambda source: source.lognormvariate(0, 0.2),
    "with outliers": lambda source: source.lognormvariate(0, 0.2) * (10 if source.random() < 0.1 else 1),
    "two speeds": lambda source: source.gauss(0.85 if source.random() < 0.5 else 1.15, 0.05),
}


def series(source, noise, median, count=15):
    return {f"{name}": [median * noise(source) for _ in range(count)] for name in ("a", "b", "c", "d", "e")}


@pytest.mark.parametrize("noise", NOISE.values(), ids=NOISE)
@pytest.mark.parametrize("median", [0.008, 0.2])
def test_it_does_not_cry_over_noise(noise, median):
    """Of 20 %, in 100 runs of five checks."""
    source = random.Random(f"{median}")
    for _ in range(100):
        compared = latency.compare(series(source, noise, median), series(source, noise, median), FACTOR)
        assert [each.name for each in compared if each.slower] == []


@pytest.mark.parametrize("noise", NOISE.values(), ids=NOISE)
def test_it_finds_what_became_three_times_slower_in_any_noise(noise):
    source = random.Random("slower")
    for _ in range(100):
        compared = latency.compare(series(source, noise, 0.2), series(source, noise, 0.6), FACTOR)
        assert all(each.slower for each in compared)


def test_what_people_do_not_notice_is_no_regression():
    """A millisecond that became three."""
    (compared,) = latency.compare({"a": [0.001] * 10}, {"a": [0.003] * 10}, FACTOR)
    assert not compared.slower


def test_few_samples_say_nothing():
    (compared,) = latency.compare({"a": [0.1] * 4}, {"a": [0.9] * 10}, FACTOR)
    assert not compared.slower


def test_the_table_names_what_is_new_and_what_is_gone():
    before, now = {"kept": [0.1] * 5, "gone": [0.2] * 5}, {"kept": [0.4] * 5, "new": [0.3] * 5}
    assert list(latency.table(latency.compare(before, now, FACTOR))) == [
        "check     before        now  factor",
        "kept   100.0 ms   400.0 ms    4.00  SLOWER",
        "gone   200.0 ms                     gone",
        "new               300.0 ms          new",
    ]
