"""Drives a headless browser through Selenium; no process or profile outlives its use.

Selenium's own limits do not end a page that is busy for ever, or a browser or driver that hangs: each command has a
limit of its own, and at the timeout everything is killed. Chromium downloads nothing; what Firefox downloads is
bounded and removed.
"""

import contextlib
import encodings.idna  # noqa: F401 - the first name or address that is resolved would wait for it
import math
import os
import re
import shutil
from collections.abc import Callable
from typing import Any, Self, TypeVar

import urllib3.exceptions
from selenium.common.exceptions import TimeoutException, WebDriverException
from selenium.webdriver import ChromeOptions, FirefoxOptions, Remote
from selenium.webdriver.chrome.remote_connection import ChromeRemoteConnection
from selenium.webdriver.common.options import ArgOptions
from selenium.webdriver.firefox.remote_connection import FirefoxRemoteConnection
from selenium.webdriver.remote.client_config import ClientConfig

from healthchecks import ProbeTimeout, Unhealthy, attach, on_timeout, phase, remaining
from healthchecks.clients.http.urls import address, peer, redacted
from healthchecks.clients.process_tree import ProcessTree
from servermonitoring import clock
from servermonitoring.files import at_home
from servermonitoring.scrubbing import scrub_and_cut
from servermonitoring.values import in_words

_WORDS = [
    (r"ERR_CONNECTION_REFUSED|e=connectionFailure", "connection refused at PEER"),
    (r"ERR_NAME_NOT_RESOLVED|e=dnsNotFound", "cannot resolve HOST"),
    (r"ERR_ADDRESS_UNREACHABLE|ERR_INTERNET_DISCONNECTED|e=netOffline", "no route to PEER"),
    (
        r"ERR_EMPTY_RESPONSE|ERR_CONNECTION_(?:CLOSED|RESET)|e=netReset",
        "connection closed without a response at PEER",
    ),
]


def describe_load_error(said: str, url: str) -> str:
    """Return what failed, and where; empty for an unknown error."""
    for pattern, words in _WORDS:
        if re.search(pattern, said):
            return words.replace("PEER", peer(url)).replace("HOST", address(url)[0])
    return ""


T = TypeVar("T")
_DRIVERS = {"chromium": ("chromedriver",), "firefox": ("geckodriver",)}
_BINARIES = {
    "chromium": ("chromium", "chromium-browser", "google-chrome"),
    "firefox": ("firefox", "firefox-esr"),
}
_CACHE = 16_000_000  # bytes on the disk
# Pages of its address bar, and a process for a next site: a third of its start is for what nobody uses.
_UNUSED = "WebUIOmniboxAimPopup,WebUIOmniboxPopup,SpareRendererForSitePerProcess"
_CHROMIUM = (
    "--headless=new", "--window-size=1280,1024", "--no-first-run", "--no-default-browser-check",
    "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--disable-dev-shm-usage", "--mute-audio", f"--disk-cache-size={_CACHE}",
    f"--disable-features={_UNUSED}",
)  # fmt: skip
_NO_DOWNLOADS = 3  # of the policy DownloadRestrictions: all are blocked
_PORT = re.compile(r"(?:on port |Listening on 127\.0\.0\.1:)([1-9]\d*)")
_STATUS = "return (performance.getEntriesByType('navigation')[0] || {}).responseStatus"
_FIRST_ERROR = 400
_INTERVAL = 0.05  # seconds between two polls
_TOO_SHORT = 2.0  # seconds, in which a page on a busy machine may not respond
_EVIDENCE = 0.3, 6.0  # part of the time, and most seconds, that are kept for screenshot, source and console


class BrowserSession:
    """`with BrowserSession("chromium") as browser:`; every method raises Unhealthy where it fails."""

    def __init__(
        self, kind: str, binary: str | None = None, driver: str | None = None, arguments: tuple[str, ...] = ()
    ) -> None:
        self.kind = kind
        self._driver_path = _program(driver, _DRIVERS[kind], "driver")
        self._binary = _program(binary, _BINARIES[kind], "binary")
        self._arguments = arguments
        self._config: ClientConfig | None = None
        self._patience = remaining() - min(_EVIDENCE[0] * remaining(), _EVIDENCE[1])
        self._ends_at = clock.monotonic() + self._patience

    def __enter__(self) -> Self:
        self._processes = ProcessTree()
        on_timeout(self._processes.end)
        try:
            self._processes.start([self._driver_path, "--port=0"])
            self._keep_trust()
            self._driver = self._command(self._connect, "the browser did not start")
        except BaseException:
            self._processes.end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._processes.end()

    @property
    def left(self) -> float:
        """Seconds left for the commands; the rest of the timeout is for evidence."""
        return max(0.05, self._ends_at - clock.monotonic())

    def open(self, url: str) -> None:
        """Load a page completely. Raise Unhealthy also for a status of 400 or more."""
        self._driver.set_page_load_timeout(self.left)
        self._driver.set_script_timeout(self.left)
        what = f"{redacted(url)} did not load"
        self._command(lambda: self._driver.get(url), what, url)
        status = self.run(_STATUS, what) or 0  # 0 where the browser does not report it
        if status >= _FIRST_ERROR:
            raise Unhealthy(f"status {status} at {redacted(url)}")

    def run(self, script: str, what: str, *arguments: object) -> Any:
        """Return the value of the script; `what` begins the message where it fails."""
        return self._command(lambda: self._driver.execute_script(script, *arguments), what)

    def wait(self, condition: Callable[[], bool], message: str) -> None:
        """Wait until the condition is true. Raise Unhealthy with the message at the timeout.

        A page that has responded before, and is asked once more just before the timeout, is no page that hangs.
        """
        left = math.inf
        try:
            while not condition():
                if self._ends_at - clock.monotonic() < _INTERVAL:
                    raise Unhealthy(message)
                clock.sleep(_INTERVAL)  # there is no event for a changed page
                left = self._ends_at - clock.monotonic()
        except ProbeTimeout:
            if left > _TOO_SHORT:
                raise
            raise Unhealthy(message) from None

    def keep_evidence(self) -> None:
        """Attach screenshot, source and console, as far as the browser still responds."""
        driver = self._driver
        for get in (_screenshot, _source, _console):
            if self._config:
                self._config.timeout = max(0.2, (remaining() - 0.5) / 3)
            with contextlib.suppress(WebDriverException, urllib3.exceptions.HTTPError, OSError):
                get(driver)

    def _keep_trust(self) -> None:
        """Keep the authorities that the user has added for Chromium, although its home is a new directory."""
        added = at_home("~/.pki")
        if added.is_dir():
            (self._processes.directory / added.name).symlink_to(added)

    def _connect(self) -> Remote:
        port = self._port()
        config = ClientConfig(
            f"http://127.0.0.1:{port}", timeout=self.left,  # type: ignore[arg-type]  # it takes parts of a second
            init_args_for_pool_manager={"init_args_for_pool_manager": {"retries": False}},
        )  # fmt: skip
        self._config = config
        connection = ChromeRemoteConnection if self.kind == "chromium" else FirefoxRemoteConnection
        executor = connection(config.remote_server_addr, ignore_proxy=True, client_config=config)
        return Remote(command_executor=executor, options=self._options())

    def _port(self) -> int:
        """Return the port that the driver chose, from its output."""
        while True:
            said = self._processes.output.read_text(errors="replace")
            if found := _PORT.search(said):
                return int(found[1])
            if not self._processes.is_running:
                raise Unhealthy(f"{self._driver_path} ended at once: {scrub_and_cut(said.strip(), 200, keep_end=True)}")
            if remaining() < _INTERVAL:
                raise ProbeTimeout("the driver did not come up in time")
            clock.sleep(_INTERVAL)  # the output is the only source

    def _options(self) -> ArgOptions:
        options = self._of_chromium() if self.kind == "chromium" else self._of_firefox()
        options.unhandled_prompt_behavior = "dismiss"
        for argument in self._arguments:
            options.add_argument(argument)
        return options

    def _of_chromium(self) -> ChromeOptions:
        options = ChromeOptions()
        options.binary_location = self._binary
        sandbox = () if os.geteuid() else ("--no-sandbox",)  # as root Chromium does not start with it
        for argument in (*_CHROMIUM, *sandbox, f"--user-data-dir={self._processes.directory / 'profile'}"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        options.add_experimental_option("prefs", {"download_restrictions": _NO_DOWNLOADS})
        return options

    def _of_firefox(self) -> FirefoxOptions:
        options = FirefoxOptions()
        options.binary_location = self._binary
        options.add_argument("-headless")
        options.set_preference("browser.cache.disk.enable", value=False)
        return options

    def _command(self, command: Callable[[], T], what: str, url: str = "") -> T:
        phase(what)
        if self._config:
            self._config.timeout = self.left + 0.2  # the driver's own limit comes first
        try:
            return command()
        except (TimeoutException, urllib3.exceptions.TimeoutError):
            raise ProbeTimeout(f"{what} within {in_words(self._patience)}") from None
        except WebDriverException as error:
            first = (error.msg or type(error).__name__).strip().splitlines()[0]
            raise Unhealthy((url and describe_load_error(first, url)) or f"{what}: {first}") from None
        except (urllib3.exceptions.HTTPError, OSError):
            raise Unhealthy(f"{what}: the browser's driver has ended") from None


def _program(configured: str | None, names: tuple[str, ...], key: str) -> str:
    if configured and "/" in configured:
        return configured
    names = (configured,) if configured else names
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        raise Unhealthy(f"missing: {names[0]} (install it, or name it by the key {key})")
    return found


def _screenshot(driver: Remote) -> None:
    attach("screenshot", driver.get_screenshot_as_png(), "image/png")


def _source(driver: Remote) -> None:
    attach("page source", driver.page_source)


def _console(driver: Remote) -> None:
    lines = driver.execute("getLog", {"type": "browser"})["value"]
    attach("browser console", "\n".join(f"{line['level']}: {line['message']}" for line in lines) or "(empty)")
