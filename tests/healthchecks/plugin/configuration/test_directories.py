"""Paths that the configuration names are the same ones wherever a run is started, and whatever it runs."""

import os
from pathlib import Path

import pytest
import trustme

from healthchecks.plugin.configuration.loader import Configuration, built_in_kinds, loaded_kinds
from healthchecks.plugin.configuration.settings import SuiteSettings
from servermonitoring.configuration import ConfigurationError
from servermonitoring.scheduled_run.settings import DirectAlertSettings
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


WEBSITE = "[website.x]\nurl = 'https://h/'\n"
BOOKMARKLET = "[bookmarklet.x]\nurl = 'https://h/'\nexpect = 'x'\n"
KEYS = {  # table, and what its value is made of
    "ca": (f"{WEBSITE}ca = 'PLACE'", lambda file: file.targets_of("website")["x"].ca),
    "login ca": (
        "[login.x]\nurl = 'https://h/'\nfields = { a = 'b' }\ncontains = 'x'\nca = 'PLACE'",
        lambda file: file.targets_of("login")["x"].ca,
    ),
    "rabbitmq ca": (
        "[rabbitmq.x]\ntls = true\nca = 'PLACE'",
        lambda file: file.targets_of("rabbitmq")["x"].ca,
    ),
    "sslrootcert": (
        "[database.x]\nsslrootcert = 'PLACE'",
        lambda file: file.targets_of("database")["x"].access().options["sslrootcert"],
    ),
    "log": ("[job.x]\nlog = 'PLACE'\nmax_age = '1d'", lambda file: file.targets_of("job")["x"].log),
    "disk": ("[disk.x]\npath = 'PLACE'", lambda file: file.targets_of("disk")["x"].path),
    "binary": (
        f"{BOOKMARKLET}bookmarklet = 'javascript:x'\nbinary = 'PLACE'",
        lambda file: file.targets_of("bookmarklet")["x"].binary,
    ),
    "driver": (
        f"{BOOKMARKLET}bookmarklet = 'javascript:x'\ndriver = 'PLACE'",
        lambda file: file.targets_of("bookmarklet")["x"].driver,
    ),
    "checks": ("[run]\nchecks = ['PLACE']", lambda file: file.settings.run.checks[0]),
    "state": ("[state]\ndirectory = 'PLACE'", lambda file: file.state_directory),
    "dashboard": ("[dashboard]\ndirectory = 'PLACE'", lambda file: file.page_directory(file.path.parent / "checkout")),
    "textfile": ("[metrics]\ntextfile = 'PLACE'", lambda file: file.settings.metrics.textfile),
}
TEXTS = {  # keys that are the text in a file
    "bookmarklet": (
        f"{BOOKMARKLET}bookmarklet = 'PLACE'",
        lambda file: file.targets_of("bookmarklet")["x"].bookmarklet,
    ),
    "secret": (
        "[database.x]\npassword = 'file:PLACE'",
        lambda file: file.targets_of("database")["x"].password.reveal(),
    ),
    "secret by name": (
        f"{WEBSITE}request_headers = {{ X-Key = 'file:PLACE' }}",
        lambda file: file.targets_of("website")["x"].request_headers["X-Key"].reveal(),
    ),
    "secret of the suite": ("[sentry]\ndsn = 'file:PLACE'", lambda file: file.settings.sentry.dsn.reveal()),
    "secret of the watchdog": (
        "[sentry]\ndsn = 'file:PLACE'",
        lambda file: settings.load(str(file.path)).alerts.dsn,
    ),
    "secret of the scheduled command": ("[sentry]\ndsn = 'file:PLACE'", lambda _file: DirectAlertSettings().dsn),
}
TEXT = "http://0123456789abcdef@h/1"


@pytest.fixture
def load(tmp_path, monkeypatch):
    """`load(toml, place)`: the configuration with this value of the key, read in another directory."""
    for folder in (tmp_path / "etc" / "mine", tmp_path / "home" / "mine"):
        folder.mkdir(parents=True)
        trustme.CA().cert_pem.write_to_path(folder / "file.prom")
        (folder / "text").write_text(TEXT)
    other = tmp_path / "other"
    other.mkdir()
    for name in ("HEALTHCHECKS_SENTRY_DSN", "WATCHDOG_SENTRY_DSN", "SENTRY_DSN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SERVERMONITORING_CONFIG", "../etc/servermonitoring.toml")
    monkeypatch.chdir(other)

    def read(toml, place):
        (tmp_path / "etc" / "servermonitoring.toml").write_text(toml.replace("PLACE", place))
        return Configuration(None)

    return read


@pytest.mark.parametrize("key", KEYS)
def test_every_path_is_relative_to_the_file(load, tmp_path, key):
    toml, value = KEYS[key]
    file = load(toml, "mine/file.prom")
    found = value(file)
    file.check()
    assert os.path.realpath(found) == str(tmp_path / "etc/mine/file.prom")
    assert Path(found).is_absolute()
    assert str(value(load(toml, "~/mine/file.prom"))) == str(tmp_path / "home/mine/file.prom")
    whole = str(tmp_path / "home/mine/file.prom")
    assert str(value(load(toml, whole))) == whole


@pytest.mark.parametrize("key", TEXTS)
def test_every_text_is_read_from_a_file_that_is_relative_to_it(load, tmp_path, key):
    toml, value = TEXTS[key]
    for place in ("mine/text", "~/mine/text", str(tmp_path / "etc/mine/text")):
        assert value(load(toml, place)) == TEXT


def test_the_scheduled_command_has_the_same_state_directory(load, tmp_path):
    file = load("[state]\ndirectory = 'PLACE'", "mine/state")
    assert os.path.realpath(DirectAlertSettings().state_directory) == str(tmp_path / "etc/mine/state")
    assert DirectAlertSettings().state_directory == file.settings.state.directory


def test_an_empty_state_directory_is_the_usual_one(load):
    assert load("[state]\ndirectory = ''", "").state_directory is None


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("[disk.x]\npath = ''", "[disk.x] path: '': is empty: write a path, as in \"/srv/data\""),
        ("[disk.x]\npath = 5", "[disk.x] path: 5: write a text, in quotes"),
        (f"{BOOKMARKLET}bookmarklet = 'javascript:x'\ndriver = './nowhere'", "etc/nowhere is not a file"),
    ],
)
def test_what_is_no_path_is_an_error(load, toml, said):
    file = load(toml, "")
    with pytest.raises(ConfigurationError) as caught:
        file.check()
    assert said in str(caught.value)


def test_commands_and_words_are_no_paths(load, monkeypatch):
    """They stay as they are: $PATH and libpq know what they mean."""
    monkeypatch.setenv("PGSSLROOTCERT", "mine/file.prom")
    toml = f"{BOOKMARKLET}bookmarklet = 'javascript:x'\ndriver = 'chromedriver'\nbinary = 'chromium'\n"
    file = load(f"{toml}[database.x]\nsslrootcert = 'system'\n[database.y]\n", "")
    file.check()
    target = file.targets_of("bookmarklet")["x"]
    assert (target.driver, target.binary) == ("chromedriver", "chromium")
    assert file.targets_of("database")["x"].access().options["sslrootcert"] == "system"
    assert "sslrootcert" not in file.targets_of("database")["y"].access().options


def test_no_field_has_a_path_of_another_kind(load):
    """A new key with a path of pydantic's or pathlib's would be relative to the working directory."""
    file = load("", "")
    for kind in built_in_kinds() - {"alerts"}:
        file.targets_of(kind)
    tables = [field.annotation for field in SuiteSettings.model_fields.values()]
    fields = [
        (model.__name__, name, field)
        for model in (*loaded_kinds().values(), *(each for each in tables if hasattr(each, "model_fields")))
        for name, field in model.model_fields.items()
    ]
    paths = [each for each in fields if "Path" in repr(each[2].annotation)]
    assert {name for _, name, _ in paths} >= {"ca", "log", "path", "directory", "checks", "textfile"}
    assert [each[:2] for each in paths if "_complete" not in repr((each[2].annotation, each[2].metadata))] == []
