"""Additional configuration files: merged in the order of their names, for suite, watchdog and scheduled command."""

import os
from pathlib import Path

import pytest

from servermonitoring.configuration import ConfigurationError, read
from servermonitoring.scheduled_run.settings import DirectAlertSettings
from tests.reliability import reliability
from tests.suite import Suite
from watchdog import settings as watchdog_settings


@pytest.fixture
def write(tmp_path):
    """Write the files by their names, the main one first; return the path of that."""

    def write(main="", **files):
        path = tmp_path / "servermonitoring.toml"
        path.write_text(main)
        directory = tmp_path / "servermonitoring.d"
        directory.mkdir(exist_ok=True)
        for name, text in files.items():
            (directory / f"{name}.toml").write_text(text)
        return path

    return write


def test_files_are_merged_in_the_order_of_their_names(write, monkeypatch):
    """Tables of one kind from several files; other names, hidden files and editors' copies are left alone."""
    monkeypatch.setenv("DB_PASSWORD", "hunter22")
    path = write(
        "[website.home]\nurl = 'a'\n[alerts]\nmax_per_run = 1\n",
        b="[website.shop]\nurl = 'b'\n[database.main]\npassword = '${DB_PASSWORD}'\n",
        a="[alerts]\nmax_per_day = 2\n[website.blog]\nurl = 'c'\n",
    )
    for name in (".hidden.toml", "b.toml~", "notes.txt", "b.toml.dpkg-old"):
        (path.with_suffix(".d") / name).write_text("[[[")
    tables, problems = read(path)
    assert problems == []
    assert [*tables["website"]] == ["home", "blog", "shop"]
    assert tables["alerts"] == {"max_per_run": 1, "max_per_day": 2}
    assert tables["database"]["main"]["password"] == "hunter22"
    assert tables.files == ["servermonitoring.d/a.toml", "servermonitoring.d/b.toml"]


def test_the_directory_has_the_name_of_its_file(write, tmp_path):
    write(a="[website.home]\nurl = 'a'\n")
    staging = tmp_path / "staging.toml"
    staging.write_text("")
    assert read(staging) == ({}, [])


@reliability(
    "Configuration",
    fault="two configuration files have the same table, or the same key of a table of settings",
    promise="the error names both files",
)
@pytest.mark.parametrize(
    ("main", "first", "second", "problem"),
    [
        ("[website.home]\n", "[website.home]\n", "", "[website.home]: is in servermonitoring.toml and in {a}"),
        ("", "[website.home]\n", "[website.home]\nslow = 1\n", "[website.home]: is in {a} and in {b}"),
        ("[website.x]\n", "[website.home]\n", "[website.home]\n", "[website.home]: is in {a} and in {b}"),
        ("[alerts]\nwebhook = 'x'\n", "[alerts]\nwebhook = 'y'\n", "", "[alerts] webhook: is in {main} and in {a}"),
        ("", "[sentry.check_in]\n", "[sentry]\ncheck_in = 1\n", "[sentry] check_in: is in {a} and in {b}"),
        ("website = 1\n", "[website.home]\n", "", "[website]: is in {main} and in {a}"),
        ("", "website = 1\n", "[website.home]\n", "[website]: is in {a} and in {b}"),
    ],
)
def test_twice_is_an_error(write, main, first, second, problem):
    """The first one stays, so that all other errors are found, too."""
    path = write(main, a=first, b=second)
    names = {"main": path.name, "a": "servermonitoring.d/a.toml", "b": "servermonitoring.d/b.toml"}
    _, problems = read(path)
    assert [str(each) for each in problems] == [f"{problem.format(**names)}: write it in one of them"]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda file: file.write_text("[website"), "is not TOML"),
        (lambda file: file.write_bytes(b"a = '\xff'"), "is not UTF-8"),
        (lambda file: file.mkdir(), "cannot be read: is a directory, not a file"),
        (os.mkfifo, "cannot be read: is a named pipe, not a file"),
        (lambda file: file.symlink_to("/dev/zero"), "cannot be read: is a device, not a file"),
        (lambda file: file.symlink_to("nothing"), "cannot be read: No such file or directory"),
        (lambda file: file.write_text("#" * 5_000_001), "cannot be read: is larger than 5 MB"),
        (lambda file: (file.write_text(""), file.chmod(0o666)), "may be changed by every user: chmod o-w"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(write, make, words):
    """The others are read."""
    path = write("", b="[website.home]\n")
    make(path.with_suffix(".d") / "a.toml")
    tables, problems = read(path)
    assert [*tables] == ["website"]
    (problem,) = problems
    assert str(problem).startswith(f"servermonitoring.d/a.toml: {words}")


@pytest.mark.skipif(os.geteuid() != 0, reason="missing: root, to make files of another user")
@pytest.mark.parametrize("name", ["", "a.toml"])
def test_files_of_another_user_are_refused(write, name):
    path = write("", a="[website.home]\n")
    os.chown(path.with_suffix(".d") / name, 12345, 12345)
    tables, problems = read(path)
    assert tables == {}
    where = f"servermonitoring.d/{name}".rstrip("/")
    assert [str(each) for each in problems] == [
        f"{where}: belongs to user 12345, not to the owner of servermonitoring.toml"
    ]
    os.chown(path, 12345, 12345)
    assert read(path)[1] == []


def test_a_directory_that_is_none_is_named(tmp_path):
    (tmp_path / "servermonitoring.toml").write_text("")
    (tmp_path / "servermonitoring.d").write_text("")
    problems = read(tmp_path / "servermonitoring.toml")[1]
    assert [str(each) for each in problems] == ["servermonitoring.d: cannot be read: Not a directory"]


def test_there_is_a_maximum_of_files(write):
    path = write("", **{f"f{number}": "" for number in range(501)})
    assert [str(each) for each in read(path)[1]] == ["servermonitoring.d: has 501 files, maximum 500"]


def test_the_suite_names_the_file_of_each_error(tmp_path, write):
    """Those of the main file have no name; a relative path is relative to the main file."""
    suite = Suite(tmp_path)
    check = (
        "from healthchecks import ConfigPath, Target\nclass Shop(Target):\n    url: str\n    log: ConfigPath = 'x'\n"
    )
    suite.write("test_mine.py", f"{check}def test_shop(shop: Shop):\n    assert shop.url == 'u', shop.log\n")
    write("[shop.a]\nurl = 1\n", web="[shop.b]\nurll = 'u'\n[shop.c]\nurl = 'u'\n", other="[alerts]\nwebhoook = 'u'\n")
    outcome = suite.run()
    assert outcome.status == 4
    assert "\n  [shop.a] url: 1: " in outcome.output
    assert '\n  servermonitoring.d/web.toml: [shop.b]: unknown key "urll"; did you mean "url"?' in outcome.output
    assert '\n  servermonitoring.d/other.toml: [alerts]: unknown key "webhoook"; did you mean' in outcome.output
    assert "[shop.c]" not in outcome.output
    write("", web="[shop.b]\nurl = 'v'\nlog = 'y.log'\n", other="[shop.c]\nurl = 'u'\n")
    outcome = suite.run()
    assert "configuration: servermonitoring.toml and 2 additional files\n" in outcome.output
    assert str(tmp_path / "y.log") in outcome.message("shop[b]")
    assert outcome.checks["shop[c]"]["status"] == "ok"


def test_the_watchdog_reads_them(write):
    """Its rules may be in any; a file that cannot be read may have them, so it is an error."""
    path = write("[website.home]\n", dog="[watchdog.fox]\nmax_memory = '1GB'\n")
    (rule,) = watchdog_settings.load(str(path)).rules
    assert (rule.name, rule.max_memory) == ("fox", 10**9)
    write("[watchdog.fox]\n", dog="[website")
    with pytest.raises(ConfigurationError, match=r"servermonitoring\.d/dog\.toml: is not TOML"):
        watchdog_settings.load(str(path))
    write("", dog="[watchdog.fox]\nmax_memory = 'much'\n")
    with pytest.raises(ConfigurationError, match=r"servermonitoring\.d/dog\.toml: \[watchdog\.fox\] max_memory: "):
        watchdog_settings.load(str(path))


@pytest.mark.parametrize("main", ["", "[website"])
def test_the_scheduled_command_reads_them(write, monkeypatch, main):
    """Also where the main file is not TOML."""
    path = write(main, alerts="[alerts]\nwebhook = 'https://hook'\n[state]\ndirectory = 'here'\n")
    monkeypatch.setenv("SERVERMONITORING_CONFIG", str(path))
    settings = DirectAlertSettings()
    assert settings.webhook == "https://hook"
    assert settings.state_directory == Path(path.parent, "here")
