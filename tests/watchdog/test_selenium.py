"""What validates a browser with `watched(driver)`: real Chromium, driven by Selenium in many ways."""

import signal
import threading
from functools import partial

import pytest

from tests.reliability import reliability
from tests.watchdog.kennel import (
    CHROMIUM_OPTIONS,
    Site,
    failing,
    living,
    needed,
    process_tree,
    signal_all,
    wait_for,
    written,
)
from watchdog import processes
from watchdog.selenium import browser_pid, watched

webdriver = pytest.importorskip("selenium.webdriver", reason="missing: selenium")
exceptions = pytest.importorskip("selenium.common.exceptions", reason="missing: selenium")

PAGE = "data:text/html,<title>page</title><a href='%23there' onclick='this.title=1'>link</a><p id=there>there"


def options(strategy="normal", binary=None):
    settings = webdriver.ChromeOptions()
    settings.binary_location = str(binary or needed("chromium"))
    settings.page_load_strategy = strategy
    for option in CHROMIUM_OPTIONS:
        settings.add_argument(option)
    return settings


@pytest.fixture(scope="module")
def start():
    """Start Chromium by Selenium; each one that a test started is ended after the last."""
    drivers, programs = [], []

    def start(kind=webdriver.Chrome, **how):
        drivers.append(kind(options(**how), webdriver.ChromeService(needed("chromedriver"))))
        programs.append(drivers[-1].service.process.pid)
        return drivers[-1]

    yield start
    for program in programs:
        pids = process_tree(program)
        signal_all(pids, signal.SIGKILL)
        wait_for(lambda pids=pids: not living(pids))


@pytest.fixture(scope="module")
def chromium(start):
    return start()


@pytest.fixture(scope="module")
def site():
    site = Site()
    yield site
    site.close()


@reliability(
    "Watchdog",
    fault="a browser is driven by clicks, scripts and new tabs only, or each page of a site fails to load",
    promise="every command that the browser responded to validates it, errors of the page included",
)
def test_every_response_validates(chromium, site, is_validated):
    driver = watched(chromium)
    pid = browser_pid(driver)
    driver.get(PAGE)
    driver.set_page_load_timeout(5)
    link = driver.find_element("css selector", "a")
    for responding in (
        link.click,
        lambda: link.get_attribute("title"),
        lambda: driver.execute_script("location.hash = 'here'"),
        lambda: driver.switch_to.new_window("tab"),
        lambda: failing(lambda: driver.find_element("id", "none"), exceptions.NoSuchElementException),
        lambda: failing(lambda: driver.execute_script("none.none"), exceptions.JavascriptException),
        lambda: failing(lambda: driver.get(site.url + "never"), exceptions.TimeoutException),
    ):
        assert is_validated(pid, responding)
    for without_browser in (
        lambda: driver.set_page_load_timeout(60),
        lambda: driver.timeouts,
        lambda: driver.current_window_handle,
        driver.close,
    ):
        assert not is_validated(pid, without_browser)
    driver.switch_to.window(driver.window_handles[0])


def test_hung_page_does_not_validate(start, is_validated):
    """Though the driver responds, with an error."""
    driver = watched(start())
    pid = browser_pid(driver)
    assert is_validated(pid, lambda: driver.title)
    driver.set_page_load_timeout(1)
    renderers = [each for each in process_tree(pid) if "--type=renderer" in " ".join(processes.arguments(each))]
    signal_all(renderers, signal.SIGSTOP)
    for hung in (lambda: driver.title, lambda: driver.get(PAGE)):
        assert not is_validated(pid, lambda hung=hung: failing(hung, exceptions.TimeoutException))


@reliability(
    "Watchdog",
    fault='with the page load strategy "none" a load returns before the page responded',
    promise="the load itself does not validate; the commands after it do",
)
def test_load_that_does_not_wait(start, site, is_validated):
    driver = watched(start(strategy="none"))
    pid = browser_pid(driver)
    script = partial(driver.execute_script, "return 1")
    assert not is_validated(pid, lambda: driver.get(PAGE))
    assert is_validated(pid, script)
    driver.set_script_timeout(1)
    assert not is_validated(pid, lambda: driver.get(site.url + "never"))
    assert not is_validated(pid, lambda: failing(script, exceptions.TimeoutException))


@pytest.mark.parametrize("order", ["within", "around"])
@reliability(
    "Watchdog",
    fault="the driver is an EventFiringWebDriver, or wrapped in one later",
    promise="what is done through the wrapper validates the browser",
)
def test_event_firing_driver(chromium, order, is_validated):
    events = pytest.importorskip("selenium.webdriver.support.events", reason="missing: selenium")
    fired = []

    class Listener(events.AbstractEventListener):
        def after_navigate_to(self, url, _driver):
            fired.append(url)

    inner = watched(chromium) if order == "within" else chromium
    outer = events.EventFiringWebDriver(inner, Listener())
    driver = outer if order == "within" else watched(outer)
    assert driver is outer
    pid = browser_pid(chromium)
    assert browser_pid(driver) == pid
    assert is_validated(pid, lambda: driver.get(PAGE))
    assert fired == [PAGE]
    assert is_validated(pid, lambda: driver.find_element("css selector", "a").click())


def test_subclass_watched_twice_and_used_in_a_thread(start, is_validated):
    class Own(webdriver.Chrome):
        def get(self, url):
            return self.execute_script("location = arguments[0]", url)

    driver = watched(watched(start(Own)))
    pid = browser_pid(driver)
    thread = threading.Thread(target=driver.get, args=["about:blank"])
    assert is_validated(pid, lambda: (thread.start(), thread.join(60)))


@reliability(
    "Watchdog",
    fault="a watched driver ends its browser and starts another one",
    promise="the new browser is validated from its start on",
)
def test_new_session_of_a_watched_driver(chromium, tmp_path, is_validated):
    driver = watched(chromium)
    before = browser_pid(driver)
    driver.execute("quit")
    assert not is_validated(before, lambda: driver.start_session(options().to_capabilities()))
    after = browser_pid(driver)
    assert after != before
    assert written(tmp_path, after)
    assert is_validated(after, lambda: driver.title)


@reliability(
    "Watchdog",
    fault="webdriver.Remote is used with a driver on this machine, or attached to a browser that runs already",
    promise="its browser is found by the port of its debugger, and no other one is validated",
)
def test_remote_driver_of_this_machine(chromium, is_validated):
    url = chromium.service.service_url
    remote = watched(webdriver.Remote(url, options=options()))
    first, second = browser_pid(chromium), browser_pid(remote)
    assert None not in {first, second}
    assert first != second
    attach = webdriver.ChromeOptions()
    attach.debugger_address = chromium.capabilities["goog:chromeOptions"]["debuggerAddress"]
    attached = watched(webdriver.Remote(url, options=attach))
    assert browser_pid(attached) == first
    assert is_validated(second, lambda: remote.title)
    assert not is_validated(second, lambda: attached.title)
    assert is_validated(first, lambda: attached.title)
    attached.quit()
    remote.quit()


@reliability(
    "Watchdog",
    fault="the browser is started by a script that waits for it",
    promise="the browser is validated, not the script",
)
@pytest.mark.parametrize("debugger", ["port", "pipe"])
def test_script_that_starts_the_browser(start, tmp_path, monkeypatch, debugger):
    script = tmp_path / "browser"
    script.write_text(f'#!/bin/sh\n"{needed("chromium")}" "$@"\nexit $?\n')
    script.chmod(0o755)
    driver = watched(start(binary=script))
    if debugger == "pipe":  # there is no port to find the browser by
        monkeypatch.setitem(driver.capabilities, "goog:chromeOptions", {})
    pid = browser_pid(driver)
    assert processes.find(pid).name == "chromium"
    assert written(tmp_path, pid)


def test_records_keep_their_distance(chromium, monkeypatch, is_validated):
    monkeypatch.setattr("watchdog.selenium._INTERVAL", 3600.0)
    pid = browser_pid(chromium)
    assert is_validated(pid, lambda: watched(chromium))
    assert not is_validated(pid, lambda: chromium.title)
