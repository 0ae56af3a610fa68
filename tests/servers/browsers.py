"""Where the browsers are that tests drive, or the reason why a test is skipped."""

from dataclasses import dataclass
from typing import Any

from tests.servers.server import program
from tests.servers.website import BOOKMARKLET, BOOKMARKLET_TEXT, Website
from tests.suite import table

# Pages of Chromium's address bar, and a process for a next site: a third of its start is for what nobody uses.
UNUSED_FEATURES = "--disable-features=WebUIOmniboxAimPopup,WebUIOmniboxPopup,SpareRendererForSitePerProcess"
TIMEOUT = 20  # seconds; a browser on a busy machine takes some to start


@dataclass(frozen=True)
class Browser:
    """A browser and the driver that Selenium talks to."""

    binary: str
    driver: str


def chromium() -> Browser:
    return Browser(program("chromium"), program("chromedriver"))


def firefox() -> str:
    """Firefox alone; marionette-driver drives it without a geckodriver."""
    return program("firefox-esr")


def firefox_with_geckodriver() -> Browser:
    return Browser(firefox(), program("geckodriver"))


def bookmarklet(name: str, website: Website, path: str = "/bookmarklet", **keys: Any) -> str:
    """A table that runs a bookmarklet on a page of the test website."""
    given = {"bookmarklet": BOOKMARKLET, "timeout": TIMEOUT, "expect": BOOKMARKLET_TEXT, **keys}
    return table("bookmarklet", name, url=website.url(path), **given)
