"""Bookmarklets: run in a real browser, and must add the expected text or element to the page."""

from typing import TYPE_CHECKING, Annotated, Literal, Self
from urllib.parse import unquote

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from healthchecks import Duration, Target, Unhealthy, metric, probe
from healthchecks.clients import preload
from healthchecks.clients.http.urls import Url
from servermonitoring import clock
from servermonitoring.configuration import relative_to_file
from servermonitoring.files import read_regular
from servermonitoring.scrubbing import credentials_in

if TYPE_CHECKING:
    from healthchecks.clients.browser import BrowserSession

_LARGEST = 1_000_000  # bytes of a bookmarklet
_SCHEME = "javascript:"
_TEXT = "return document.body ? document.body.innerText : ''"


def _script(text: str, info: ValidationInfo) -> str:
    """Return the JavaScript of a javascript: URL, or of a file with such a URL or the script itself."""
    if not text.lower().startswith(_SCHEME):
        try:
            text = read_regular(relative_to_file(info.context, text), _LARGEST).decode("utf-8-sig").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8"
            raise ValueError(f"not a javascript: URL, and not a readable file: {reason}") from None
    script = unquote(text[len(_SCHEME) :]) if text.lower().startswith(_SCHEME) else text
    if not script.strip():
        raise ValueError("contains no script")
    return script


def _public(argument: str) -> str:
    if any(credentials_in(argument)):
        raise ValueError(
            "contains a password or token, which every user of this machine could see in the list of processes"
        )
    return argument


def _program(text: str, info: ValidationInfo) -> str:
    """Return a command as it is, to be found on PATH, and anything with a slash as the path of a file."""
    if "/" not in text:
        return text
    path = relative_to_file(info.context, text)
    if not path.is_file():
        raise ValueError(f"{path} is not a file")
    return str(path)


Program = Annotated[str, Field(min_length=1), AfterValidator(_program)]
Argument = Annotated[str, AfterValidator(_public)]


class Bookmarklet(Target):
    timeout: Duration = Field(default=30.0, gt=0, le=86400)
    """Maximum duration of the probe, the start of the browser included."""
    url: Url
    """Page to run the bookmarklet on."""
    bookmarklet: Annotated[str, AfterValidator(_script)]
    """The `javascript:` URL, or a file that contains it."""
    expect: str = ""
    """Text that the bookmarklet must add to the page; this or `expect_selector` is required, or both."""
    expect_selector: str = ""
    """CSS selector of an element that the bookmarklet must add to the page."""
    browser: Literal["chromium", "firefox"] = "chromium"
    """The browser to use: `"chromium"` or `"firefox"`."""
    binary: Program | None = None
    """Program of the browser, a path or a command; default: found on PATH."""
    driver: Program | None = None
    """Program of its driver, chromedriver or geckodriver, a path or a command; default: found on PATH."""
    arguments: tuple[Argument, ...] = ()
    """More arguments for the browser; no secrets, since all users of the machine can see them."""

    @model_validator(mode="after")
    def _expects_something(self) -> Self:
        if not (self.expect or self.expect_selector):
            raise ValueError("expect or expect_selector is needed: what the bookmarklet adds to the page")
        preload("healthchecks.clients.browser")
        return self


@probe(concurrent=2)
def run(bookmarklet: Bookmarklet) -> None:
    from healthchecks.clients.browser import BrowserSession

    started = clock.monotonic()
    with BrowserSession(bookmarklet.browser, bookmarklet.binary, bookmarklet.driver, bookmarklet.arguments) as browser:
        try:
            _open(bookmarklet, browser, clock.monotonic() - started)
            _try(bookmarklet, browser)
        except Unhealthy:
            browser.keep_evidence()
            raise


def test_bookmarklet_status(bookmarklet: Bookmarklet, run: None) -> None:
    """Pass once `run` has returned: it raises every failure itself, while the browser can still show why."""


def _open(bookmarklet: Bookmarklet, browser: "BrowserSession", start: float) -> None:
    """Load the page, and report how long that took; `start` is how long the browser took, in seconds."""
    started = clock.monotonic()
    browser.open(bookmarklet.url)
    metric("page time", clock.monotonic() - started, "seconds")
    metric("browser start", start, "seconds")


def _try(bookmarklet: Bookmarklet, browser: "BrowserSession") -> None:
    found = [each for each in (bookmarklet.expect, bookmarklet.expect_selector) if each]
    what = " and ".join(f'"{each}"' for each in found)
    if _shows(bookmarklet, browser):
        raise Unhealthy(
            f"{what} is on the page before the bookmarklet runs: expect something that only the bookmarklet adds"
        )
    browser.run(bookmarklet.bookmarklet, "the bookmarklet fails")
    missing = f"{what} not found after the bookmarklet ran"
    browser.wait(lambda: _shows(bookmarklet, browser), missing)


def _shows(bookmarklet: Bookmarklet, browser: "BrowserSession") -> bool:
    what = "the page does not respond"
    text = bookmarklet.expect in browser.run(_TEXT, what)
    selector = bookmarklet.expect_selector
    return text and (not selector or browser.run("return !!document.querySelector(arguments[0])", what, selector))
