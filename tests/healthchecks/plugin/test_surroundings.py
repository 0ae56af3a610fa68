"""What the environment sets around a run: odd time zones and an ASCII locale do not break page and badges."""

import pytest

from tests.reliability import reliability
from tests.suite import table


@pytest.mark.parametrize("zone", [":Europe/Berlin", "<+0330>-3:30", "no zone at all"])
@reliability(
    "Messages",
    fault="no UTF-8 (LC_ALL=C with PYTHONUTF8=0), under time zones of usual and unusual form",
    promise="page, status.json and badges are written, with every letter",
)
def test_page_is_written(run_suite, monkeypatch, zone):
    for name, value in {"TZ": zone, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}.items():
        monkeypatch.setenv(name, value)
    outcome = run_suite(table("tcp", '"grün"', host="127.0.0.1", port=1))
    assert outcome.message("tcp_access[grün]") == "connection refused at 127.0.0.1:1"
    html = outcome.folder / "html"
    assert "grün" in (html / "index.html").read_text(encoding="utf-8")
    assert [each.name for each in (html / "badges").iterdir() if "grün" in each.name]
    assert "could not be written" not in outcome.output
    assert "not all badges" not in outcome.output


def test_checks_have_the_collector_of_garbage(run_suite, tmp_path):
    """It is off while checks are collected."""
    own = tmp_path / "test_own.py"
    own.write_text("""
import gc, pytest

collected_with = gc.isenabled()

@pytest.mark.healthcheck
def test_garbage():
    assert (collected_with, gc.isenabled()) == (False, True)
""")
    outcome = run_suite(f"[run]\nchecks = ['{own}']\n", "healthchecks", "-k", "test_garbage")
    assert (outcome.status, [each["check"] for each in outcome.document["checks"]]) == (0, ["garbage"]), outcome.output


CLOCKS = """
import threading, time

from healthchecks import Target, probe

class Clocks(Target):
    pass

@probe
def contact_clocks(clocks: Clocks):
    time.sleep(0.2)  # the website is asked by then
    time.time = time.monotonic = lambda: 1e12
    threading.Event().wait(2)

def test_clocks(clocks, contact_clocks):
    pass
"""


@reliability(
    "Checks",
    fault="a probe replaces the clocks of Python while another one of its process waits for a website",
    promise="the other one has the duration and the result that it has without that",
)
def test_replaced_clocks(run_suite, website, tmp_path):
    own = tmp_path / "test_own.py"
    own.write_text(CLOCKS)
    settings = f"[run]\nworkers = 1\nchecks = ['{own}']\n[clocks.all]\n"
    slow = table("website", "home", url=website.url("/slow?seconds=1"), max_response_time=60)
    outcome = run_suite(slow + settings, "healthchecks", "-k", "clocks or website_access")
    assert outcome.status == 0, outcome.output
    assert sorted(outcome.checks) == ["clocks[all]", "website_access[home]"]
