"""Bookmarklets: run in a real browser they bring what they should; or the log of another program says that they do."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self
from urllib.parse import unquote

from pydantic import AfterValidator, Field, FilePath, model_validator

from healthchecks import Duration, Target, Unhealthy, probe
from healthchecks.clients.addresses import Url
from servermonitoring import credentials
from servermonitoring.files import at_home, read_regular
from servermonitoring.scrubbing import scrub_and_cut
from servermonitoring.values import in_words

if TYPE_CHECKING:
    from healthchecks.clients.browser import Browser

_LARGEST = 1_000_000  # bytes of a bookmarklet
_SCHEME = "javascript:"
_AHEAD = 300  # seconds that the clock of who wrote the log may be ahead
_TEXT = "return document.body ? document.body.innerText : ''"
_BROWSER_KEYS = {"url", "bookmarklet", "expect", "expect_selector", "browser", "binary", "driver", "arguments"}
_LOG_KEYS = {"log", "ok", "fail", "fresh_within"}


def _script(text: str) -> str:
    """The JavaScript of a javascript: URL, or of a file that holds one or the script itself."""
    if not text.lower().startswith(_SCHEME):
        try:
            text = read_regular(at_home(text), _LARGEST).decode("utf-8-sig").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8"
            raise ValueError(f"neither a javascript: URL nor a file that can be read: {reason}") from None
    script = unquote(text[len(_SCHEME) :]) if text.lower().startswith(_SCHEME) else text
    if not script.strip():
        raise ValueError("holds no script")
    return script


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"is not a regular expression: {error}") from None
    return text


Pattern = Annotated[str, Field(min_length=1), AfterValidator(_pattern)]


def _public(argument: str) -> str:
    if any(credentials.values(argument)):
        raise ValueError("holds a password or token, which every user of this machine would see among the processes")
    return argument


Argument = Annotated[str, AfterValidator(_public)]


class Bookmarklet(Target):
    timeout: Duration = Field(default=30.0, gt=0, le=86400)
    """Seconds that the whole probe may take, the start of the browser included."""
    url: Url | None = None
    """Page to run it on."""
    bookmarklet: Annotated[str, AfterValidator(_script)] | None = None
    """The javascript: URL, or a file that holds it."""
    expect: str = ""
    """Text that it must bring to the page."""
    expect_selector: str = ""
    """CSS selector of an element that it must bring to the page."""
    browser: Literal["chromium", "firefox"] = "chromium"
    """The browser to use."""
    binary: FilePath | None = None
    """Its program; default: found on PATH."""
    driver: FilePath | None = None
    """Its driver, chromedriver or geckodriver; default: found on PATH."""
    arguments: tuple[Argument, ...] = ()
    """More arguments for the browser."""
    log: Path | None = None
    """Instead of a browser: file in which another program tells how it went."""
    ok: Pattern = r"(?i)\bok\b"
    """Regular expression of a line that tells of success."""
    fail: Pattern = r"(?i)\bfail(ed|ure)?\b"
    """Regular expression of a line that tells of failure."""
    fresh_within: Duration | None = Field(default=None, gt=0, le=366 * 86400)
    """Seconds that the newest such line may be old."""

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        form, other = ("log", _BROWSER_KEYS) if self.log else ("url", _LOG_KEYS)
        if found := sorted(other & self.model_fields_set):
            raise ValueError(f"{found[0]} has no meaning with{'' if self.log else 'out'} log")
        if form == "log" and self.fresh_within is None:
            raise ValueError("fresh_within is needed with log: a program that has ended writes no failure")
        if form == "url" and not (self.url and self.bookmarklet):
            raise ValueError("url and bookmarklet are needed, or log")
        if form == "url" and not (self.expect or self.expect_selector):
            raise ValueError("expect or expect_selector is needed: what the bookmarklet brings to the page")
        return self


@dataclass(frozen=True)
class Run:
    """The newest run: `said` by it, and `age` seconds ago."""

    ok: bool
    said: str
    age: float


@probe(concurrent=2)
def run(bookmarklet: Bookmarklet) -> Run:
    if bookmarklet.log:
        from healthchecks.clients import logfile

        line = logfile.newest(bookmarklet.log, bookmarklet.ok, bookmarklet.fail)
        return Run(line.ok, scrub_and_cut(line.text, 300), line.age)
    from healthchecks.clients.browser import Browser

    with Browser(bookmarklet.browser, bookmarklet.binary, bookmarklet.driver, bookmarklet.arguments) as browser:
        try:
            _try(bookmarklet, browser)
        except Unhealthy:
            browser.keep_evidence()
            raise
    return Run(ok=True, said="", age=0.0)


def test_bookmarklet_status(bookmarklet: Bookmarklet, run: Run) -> None:
    assert run.ok, f"{bookmarklet.log} says: {run.said}"
    assert run.age > -_AHEAD, f"the newest line of {bookmarklet.log} is {in_words(-run.age)} in the future: {run.said}"
    assert bookmarklet.fresh_within is None or run.age <= bookmarklet.fresh_within, (
        f"the newest line of {bookmarklet.log} is {in_words(run.age)} old, "
        f"at most {in_words(bookmarklet.fresh_within or 0)}"
    )


def _try(bookmarklet: Bookmarklet, browser: "Browser") -> None:
    browser.open(bookmarklet.url or "")
    found = [each for each in (bookmarklet.expect, bookmarklet.expect_selector) if each]
    what = " and ".join(f'"{each}"' for each in found)
    if _shows(bookmarklet, browser):
        raise Unhealthy(f"{what} is on the page before the bookmarklet runs: expect what only it brings")
    browser.run(bookmarklet.bookmarklet or "", "the bookmarklet fails")
    missing = f"{what} did not show after the bookmarklet ran"
    browser.wait(lambda: _shows(bookmarklet, browser), missing)


def _shows(bookmarklet: Bookmarklet, browser: "Browser") -> bool:
    what = "the page does not answer"
    text = bookmarklet.expect in browser.run(_TEXT, what)
    selector = bookmarklet.expect_selector
    return text and (not selector or browser.run("return !!document.querySelector(arguments[0])", what, selector))
