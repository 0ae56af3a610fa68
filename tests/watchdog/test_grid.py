"""Sessions whose browser may be on another machine, and what is no driver at all."""

import subprocess

import pytest

from watchdog.selenium import browser_pid, watched


class Grid:
    """A driver whose browser is on another machine."""

    def __init__(self, **capabilities):
        self.capabilities, self.session_id, self.command_executor = capabilities, "1", self

    def execute(self, command, params):
        return {"value": (command, params)}


@pytest.mark.parametrize("session", ["", "of another driver"])
def test_firefox_by_geckodriver(kennel, is_validated, session):
    """A stand-in for it: Selenium tells pid and profile, which the command line names."""
    told = {"moz:processID": kennel.stand_in().pid, "moz:profile": f"--marker={kennel.home}"}
    driver = watched(Grid(**told))
    command = {"sessionId": session or driver.session_id}
    assert is_validated(told["moz:processID"], lambda: driver.execute("getTitle", command)) is not bool(session)


LISTENING = """
import socket, time
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
time.sleep(600)
"""


@pytest.fixture
def browser(kennel):
    """A stand-in for Chromium, and the port of its debugger."""
    started = kennel.stand_in(LISTENING, "--remote-debugging-port=0", name="chromium", stdout=subprocess.PIPE)
    return started.pid, int(started.stdout.readline())


@pytest.mark.parametrize("name", ["goog:chromeOptions", "ms:edgeOptions"])
def test_browser_of_this_machine(browser, name):
    pid, port = browser
    assert browser_pid(Grid(**{name: {"debuggerAddress": f"localhost:{port}"}})) == pid


def test_browser_of_another_machine(browser, caplog):
    """Its pid and port mean nothing here, even where a browser of this machine has the same."""
    pid, port = browser
    here = {"debuggerAddress": f"localhost:{port}"}
    for told in (
        {"moz:processID": pid, "moz:profile": "/home/else/where"},
        {"moz:processID": pid},
        {"goog:chromeOptions": here, "chrome": {"userDataDir": "/home/else/where"}},
        {"goog:chromeOptions": {"debuggerAddress": f"elsewhere:{port}"}},
        {},
    ):
        driver = Grid(**told)
        assert watched(driver) is driver
        assert driver.execute("get", {}) == {"value": ("get", {})}
    assert caplog.text.count("the browser of Grid is not found on this machine: it is not validated") == 5


def test_no_driver(caplog):
    thing = object()
    assert watched(thing) is thing
    assert "object is no WebDriver" in caplog.text
