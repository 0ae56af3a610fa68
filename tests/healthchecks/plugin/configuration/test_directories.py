"""Directories that the configuration names are the same ones wherever a run is started, and whatever it runs."""

from tests.reliability import reliability
from watchdog import settings

TOML = """
[disk.root]
path = "/proc"
[state]
directory = "mine/state"
[dashboard]
directory = "mine/html"
[metrics]
textfile = "mine/checks.prom"
"""


@reliability(
    "Configuration",
    fault="a run is started from another directory, or on a folder of checks elsewhere",
    promise="state, page and metrics are where they were: relative to the configuration file",
)
def test_relative_to_the_configuration(suite):
    """So nobody's page is overwritten."""
    home = suite.folder
    (home / "mine").mkdir()
    path = suite.configure(TOML)
    other = home / "other"
    other.mkdir()
    (other / "pytest.ini").write_text("[pytest]\n")
    (other / "test_one.py").write_text("import pytest\n@pytest.mark.healthcheck\ndef test_one(): pass\n")
    suite.folder = other
    outcome = suite.run("--monitoring-config", str(path), "test_one.py", "--rootdir", str(other))
    assert outcome.status == 0, outcome.output
    assert f"page: {home}/mine/html/index.html" in outcome.output
    assert (home / "mine/state/history.sqlite").exists()
    assert (home / "mine/checks.prom").exists()
    assert sorted(each.name for each in other.iterdir() if not each.name.startswith("__")) == [
        "pytest.ini",
        "test_one.py",
    ]
    assert settings.load(str(path)).state == str(home / "mine/state")


def test_at_home(suite):
    """~ is a home in each of them."""
    suite.configure(TOML.replace('"mine', '"~/mine'))
    suite.environment["HOME"] = str(suite.folder / "home")
    (suite.folder / "home" / "mine").mkdir(parents=True)
    outcome = suite.run("--pyargs", "healthchecks.test_disk")
    assert outcome.status == 0, outcome.output
    made = {each.name for each in (suite.folder / "home" / "mine").iterdir()}
    assert made == {"state", "html", "checks.prom"}


def test_without_a_configuration(suite):
    """The page is in reports/html below pytest's root."""
    suite.write("test_one.py", "import pytest\n@pytest.mark.healthcheck\ndef test_one(): pass\n")
    assert f"page: {suite.page}/index.html" in suite.run("test_one.py").output
