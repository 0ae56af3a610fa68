"""A browser inherits what it needs to run, and no secret."""

import psutil
import pytest

from healthchecks.clients.process_tree import inherited
from tests.reliability import reliability
from tests.servers.server import until
from tests.servers.website import BOOKMARKLET
from tests.suite import ProjectSuite, table

SECRET = "kaleidoscope-1967"


@reliability(
    "Secrets",
    fault="a browser or its driver inherits every secret of the environment",
    promise="they inherit the few variables that they need, and no others",
)
@pytest.mark.usefixtures("chromium")
def test_no_process_has_a_secret(tmp_path, website, monkeypatch):
    for name in ("MONITOR_PASSWORD", "SENTRY_DSN", "AWS_SESSION", "HTTP_PROXY", "PGPASSWORD"):
        monkeypatch.setenv(name, SECRET)
    monkeypatch.setenv("SENTRY_DSN", "")  # so that nothing is sent
    page = website.url("/slow?seconds=150")
    keys = {"url": page, "bookmarklet": BOOKMARKLET, "expect": "x", "timeout": 150}
    suite = ProjectSuite(tmp_path, table("bookmarklet", "one", **keys))
    run = suite.start()
    try:
        until(lambda: website.paths, 150, what="the page was asked for")
        seen = [_of(each) for each in psutil.Process(run.pid).children(recursive=True)]
    finally:
        run.terminate()
        suite.finish(run)
    assert any("chromedriver" in text for text in seen)
    assert any("--user-data-dir" in text for text in seen)
    assert not any(SECRET in text for text in seen)


def _of(process):
    try:
        return f"{process.cmdline()} {process.environ()}"
    except psutil.Error:
        return ""


def test_what_is_inherited(monkeypatch):
    for name in ("HOME", "PATH", "LANG", "LC_ALL", "TMPDIR", "TZ"):
        monkeypatch.setenv(name, "value")
        assert inherited()[name] == "value"
    monkeypatch.setenv("SENTRY_AUTH_TOKEN", SECRET)
    monkeypatch.setenv("PYTHONPATH", "/mine")
    assert not {"SENTRY_AUTH_TOKEN", "PYTHONPATH"} & inherited().keys()


@pytest.mark.parametrize("argument", ["--proxy-server=http://me:hunter-two@proxy:3128", "--api-token=hunter-two"])
def test_no_secret_among_arguments(run_suite, argument):
    """Everybody on the machine sees them; the file itself is private."""
    keys = {"url": "http://127.0.0.1/", "bookmarklet": BOOKMARKLET, "expect": "x", "arguments": [argument]}
    outcome = run_suite(table("bookmarklet", "one", **keys))
    assert outcome.status == 4
    assert "[bookmarklet.one] arguments[0]: contains a password or token, which every user" in outcome.output
    assert "hunter-two" not in outcome.output
