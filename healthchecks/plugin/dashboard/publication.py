"""Publishes files: the page, those of earlier runs, and badges, readable for those who may enter their directory.

That is a group (mode 2750), or nobody else. `runs/` has the pages of the runs in which something changed, kept by
number, age and size. `badges/` has a static SVG for each check and one for all, for wikis and READMEs.
"""

import contextlib
import os
import re
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from markupsafe import escape

from healthchecks.plugin.dashboard.card import Card
from healthchecks.plugin.dashboard.overview import Overview
from healthchecks.plugin.dashboard.template import clean
from healthchecks.plugin.wording import CardStatus
from servermonitoring.files import read_regular, refuse_foreign_link, remove_abandoned, write_whole


def publish(path: Path, content: bytes | str) -> None:
    """Write a file of the page atomically. Raises OSError; the old one is then still there."""
    write_whole(path, content, mode=choose_mode(path.parent), durable=False)


def make_folder(path: Path) -> Path:
    """Make a folder with the readers of its parent, if it does not exist; return it. Raises OSError.

    Unfinished files of killed runs in it are removed.
    """
    refuse_foreign_link(path)
    if not path.is_dir():
        # By the umask: a chmod by a user outside the group would clear the setgid bit, and files would lose the group.
        before = os.umask(0o777 & ~_mode(path.parent))
        try:
            path.mkdir(exist_ok=True)
        finally:
            os.umask(before)
    remove_abandoned(path)
    return path


def choose_mode(directory: Path) -> int:
    """Return the mode of a page's files: those who may enter the directory may read, the owner may write.

    With the setgid bit the files have the group of the directory. Raises OSError.
    """
    entered = _mode(directory) & 0o055  # read and enter, for group and others
    readers = (entered & entered << 2) & 0o044
    return 0o600 | readers


def _mode(directory: Path) -> int:
    return directory.stat().st_mode & 0o755 | 0o700


_RUNS = "runs"
_MAX_PAGES = 200
_MAX_DAYS = 90
_MAX_PAGES_SIZE = 200_000_000  # bytes of all pages
_RUN_PAGE = re.compile(r"(\d{8}T\d{6}Z)\.html")
_FORMAT = "%Y%m%dT%H%M%SZ"


def keep_run_page(directory: Path, time: float, page: str) -> None:
    """Write the page of one run; remove the oldest above the limits of number, age and size. Raises OSError."""
    folder = make_folder(directory / _RUNS)
    publish(folder / run_page_name(time), page)
    oldest, size = run_page_name(time - _MAX_DAYS * 86400), 0
    for place, name in enumerate(sorted(list_run_pages(directory), reverse=True)):
        path = folder / name
        with contextlib.suppress(OSError):  # anything may have such a name
            size += path.stat().st_size
            if place >= _MAX_PAGES or size > _MAX_PAGES_SIZE or name < oldest:
                path.unlink()


def list_run_pages(directory: Path) -> set[str]:
    """Return the names of the kept pages."""
    try:
        return {path.name for path in (directory / _RUNS).iterdir() if _RUN_PAGE.fullmatch(path.name)}
    except OSError:
        return set()


def run_page_name(time: float) -> str:
    """Return the name of the page of the run that began at this time (unix seconds)."""
    return f"{datetime.fromtimestamp(time, UTC):{_FORMAT}}.html"


_BADGES = "badges"
ALL = "all.svg"
_COLOURS = {
    "ok": "#17683a", "slow": "#7a4f00", "failed": "#a8231b", "error": "#a8231b", "blocked": "#574a9e",
    "maintenance": "#1d5c99",
}  # fmt: skip
_GREY = "#59626f"
_MAX_NAME = 40  # characters
_MAX_BADGE_SIZE = 10_000  # bytes of a badge
_SVG = """<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img" aria-label="{name}: {word}">\
<title>{name}: {word}</title><clipPath id="r"><rect width="{width}" height="20" rx="3"/></clipPath>\
<g clip-path="url(#r)"><rect width="{left}" height="20" fill="#3d4553"/>\
<rect x="{left}" width="{right}" height="20" fill="{colour}"/></g>\
<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle">\
<text x="{middle}" y="14">{name}</text><text x="{other}" y="14">{word}</text></g></svg>
"""


def write_badges(directory: Path, overview: Overview) -> None:
    """Write all badges atomically, and remove those of checks that no longer exist.

    Raises OSError for one that could not be written, after the others are.
    """
    folder = make_folder(directory / _BADGES)
    wanted = {ALL: _draw_total(overview)} | {badge_name(each): _draw_check(each) for each in overview.cards}
    wanted = {os.fsdecode(name.encode()): content for name, content in wanted.items()}  # UTF-8 in any locale
    failed = []
    for name, content in wanted.items():
        try:
            _write_badge(folder / name, content)
        except OSError as error:
            failed.append(error)
    for path in folder.glob("*.svg"):
        if path.name not in wanted:
            with contextlib.suppress(OSError):
                path.unlink()
    if failed:
        raise failed[0]


def badge_name(card: Card) -> str:
    """Return a name that no other badge has."""
    name = f"{card.id.removeprefix('check-')}.svg"
    return name if name != ALL else f"-{name}"


def _write_badge(path: Path, content: str) -> None:
    """Write a badge that differs from the existing one: most do not change."""
    with contextlib.suppress(OSError):
        if read_regular(path, _MAX_BADGE_SIZE) == content.encode():
            return
    publish(path, content)


def _draw(name: str, word: str, colour: str) -> str:
    """Return the SVG; its widths are an estimate, since fonts differ."""
    name = name if len(name) <= _MAX_NAME else name[: _MAX_NAME - 1] + "…"
    left, right = (round(6.6 * len(text) + 12) for text in (name, word))
    return clean(
        _SVG.format(
            width=left + right, left=left, right=right, middle=left / 2, other=left + right / 2,
            name=escape(name), word=escape(word), colour=colour,
        )
    )  # fmt: skip


def _draw_total(overview: Overview) -> str:
    counts = Counter(each.status for each in overview.failures)
    word = ", ".join(f"{counts[each]} {each.word}" for each in CardStatus if counts[each])
    if word:
        return _draw("checks", word, _COLOURS["failed"])
    return _draw("checks", "ok", _COLOURS["ok"]) if overview.mood == "ok" else _draw("checks", "no failure", _GREY)


def _draw_check(card: Card) -> str:
    word = "maintenance" if card.maintenance else card.status.word
    return _draw(card.label, word, _COLOURS.get(word, _GREY))
