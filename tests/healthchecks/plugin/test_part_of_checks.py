"""A part of the checks, run by hand, says nothing of those that are left out."""

import pytest

from tests.healthchecks.plugin.alerting.shops import Shops
from tests.reliability import reliability

CHECK_IN = "[sentry.check_in]\nmonitor = 'shops'\n"


@pytest.fixture
def shops(tmp_path):
    found = Shops(tmp_path, "a", "b")
    found.configure(f"[shop.a]\n[shop.b]\n{CHECK_IN}")
    found.write("test_other.py", "import pytest\n@pytest.mark.healthcheck\ndef test_other(): pass\n")
    return found


PARTS = {
    "-k": (["test_mine.py", "-k", "a"], "-k"),
    "-m": (["test_mine.py", "-m", "healthcheck"], "-m"),
    "--lf": (["test_mine.py", "-p", "cacheprovider", "--lf"], "--lf"),
    "a test": (["test_mine.py::test_shop_words"], "single tests are named"),
    "-x": (["test_mine.py", "-x"], "-x"),
    "a file": (["test_other.py"], "[shop] is not in it"),
}


@reliability(
    "Alerts",
    fault="a part of the checks is run by hand while cron is dead",
    promise="it does not check in, and says why: Sentry tells that the checks are not run",
)
@pytest.mark.parametrize(("arguments", "why"), PARTS.values(), ids=PARTS)
def test_no_check_in(shops, kent, arguments, why):
    outcome = shops.alert(kent.dsn).run(*arguments)
    assert outcome.status == 0, outcome.output
    assert kent.check_ins() == []
    assert f"no check-in, since this is a part of the checks ({why})" in outcome.output


@pytest.mark.parametrize("arguments", [["."], ["test_mine.py"], ["test_mine.py", "test_other.py"]])
def test_whole_runs_check_in(shops, kent, arguments):
    """A folder, or files that together have every table of the configuration."""
    outcome = shops.alert(kent.dsn).run(*arguments)
    assert "no check-in" not in outcome.output
    assert [each["status"] for each in kent.check_ins()] == ["in_progress", "ok"]


def test_own_checks_that_are_left_out_are_missing(shops, kent):
    """Also where the configuration names their folder: only a run of it stands for them."""
    shops.configure(f"[shop.a]\n[disk.root]\npath = '/proc'\n{CHECK_IN}[run]\nchecks = ['test_mine.py']\n")
    outcome = shops.alert(kent.dsn).run("--pyargs", "healthchecks.test_disk")
    assert "no check-in, since this is a part of the checks ([shop] is not in it)" in outcome.output
    assert kent.check_ins() == []


def test_a_broken_file_is_no_missing_part(shops, kent):
    """The run is whole; of the file an error tells."""
    shops.write("test_mine.py", "import nothing_of_that_name\nclass Shop(Target): pass\n")
    shops.alert(kent.dsn).run(".")
    assert [each["status"] for each in kent.check_ins()] == ["in_progress", "ok"]


@reliability(
    "Configuration",
    fault="a pattern of a maintenance window matches no target",
    promise="a whole run says so",
)
def test_maintenance_of_nothing(shops):
    patterns = '["shop.*", "shpo.a", "other", "report.daily"]'
    shops.configure(
        f"[shop.a]\n[shop.b]\n[maintenance.move]\nstart = 2020-01-01\nend = 2120-01-01\nchecks = {patterns}\n"
    )
    outcome = shops.run(".")
    assert '[maintenance.move] checks: "shpo.a" matches no target' in outcome.output
    assert outcome.output.count("matches no target") == 1
    assert outcome.checks["other[]"]["maintenance"] is True
    assert "matches no target" not in shops.run("test_mine.py", "-k", "a").output
