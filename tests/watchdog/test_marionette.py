"""What validates a browser with `watched(client)`: real Firefox, driven by marionette's client."""

import signal
import tempfile

import pytest

from tests.reliability import reliability
from tests.watchdog.kennel import PREFERENCES, failing, needed, process_tree, signal_all, written
from watchdog.selenium import browser_pid, watched


@pytest.fixture
def client(tmp_path, monkeypatch):
    """A client of marionette that has started Firefox."""
    driver = pytest.importorskip("marionette_driver.marionette", reason="missing: marionette-driver")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    log = str(tmp_path / "log")
    client = driver.Marionette(bin=needed("firefox-esr"), port=0, headless=True, prefs=PREFERENCES, gecko_log=log)
    client.start_session()
    pids = process_tree(client.process_id)
    yield client
    signal_all(pids | process_tree(client.process_id), signal.SIGKILL)
    client.cleanup()


@reliability(
    "Watchdog",
    fault="Firefox is driven by marionette's client, by scripts and through sites that are slow",
    promise="its responses validate it, those without the page do not; so does a new session",
)
def test_marionette(client, site, tmp_path, is_validated):
    errors = pytest.importorskip("marionette_driver.errors", reason="missing: marionette-driver")
    watched(client)
    pid = browser_pid(client)
    client.navigate(site.url)
    client.timeout.page_load = 1
    for responding in (
        lambda: client.execute_script("return 1"),
        lambda: failing(lambda: client.find_element("id", "none"), errors.NoSuchElementException),
        lambda: failing(lambda: client.navigate(site.url + "never"), errors.TimeoutException),
    ):
        assert is_validated(pid, responding)
    client.quit()
    client.start_session()
    after = client.process_id
    assert after != pid
    assert written(tmp_path, after)
    client.timeout.script = 1
    wait = "return new Promise(() => {})"
    assert not is_validated(after, lambda: failing(lambda: client.execute_script(wait), errors.ScriptTimeoutException))
