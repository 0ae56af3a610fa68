"""Where the browsers are that tests drive, or the reason why a test is skipped."""

from dataclasses import dataclass

from tests.servers.server import program


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
