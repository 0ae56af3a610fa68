"""Badges: a static SVG for each check and one for all, for wikis and READMEs."""

import contextlib
import os
from collections import Counter
from pathlib import Path

from markupsafe import escape

from healthchecks.plugin.dashboard import publish
from healthchecks.plugin.dashboard.overview import Card, Overview
from healthchecks.plugin.dashboard.template import clean
from healthchecks.plugin.wording import CardStatus
from servermonitoring.files import read_regular

DIRECTORY = "badges"
ALL = "all.svg"
_COLOURS = {
    "ok": "#17683a", "slow": "#7a4f00", "failed": "#a8231b", "error": "#a8231b", "blocked": "#574a9e",
    "maintenance": "#1d5c99",
}  # fmt: skip
_GREY = "#59626f"
_MAX_NAME = 40  # characters
_MAX_SIZE = 10_000  # bytes of a badge
_SVG = """<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img" aria-label="{name}: {word}">\
<title>{name}: {word}</title><clipPath id="r"><rect width="{width}" height="20" rx="3"/></clipPath>\
<g clip-path="url(#r)"><rect width="{left}" height="20" fill="#3d4553"/>\
<rect x="{left}" width="{right}" height="20" fill="{colour}"/></g>\
<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle">\
<text x="{middle}" y="14">{name}</text><text x="{other}" y="14">{word}</text></g></svg>
"""


def write(directory: Path, overview: Overview) -> None:
    """Write all badges atomically, and remove those of checks that no longer exist.

    Raises OSError for one that could not be written, after the others are.
    """
    folder = publish.make_folder(directory / DIRECTORY)
    wanted = {ALL: _draw_total(overview)} | {file_name(each): _draw_check(each) for each in overview.cards}
    wanted = {os.fsdecode(name.encode()): content for name, content in wanted.items()}  # UTF-8 in any locale
    failed = []
    for name, content in wanted.items():
        try:
            _write(folder / name, content)
        except OSError as error:
            failed.append(error)
    for path in folder.glob("*.svg"):
        if path.name not in wanted:
            with contextlib.suppress(OSError):
                path.unlink()
    if failed:
        raise failed[0]


def file_name(card: Card) -> str:
    """Return a name that no other badge has."""
    name = f"{card.id.removeprefix('check-')}.svg"
    return name if name != ALL else f"-{name}"


def _write(path: Path, content: str) -> None:
    """Write a badge that differs from the existing one: most do not change."""
    with contextlib.suppress(OSError):
        if read_regular(path, _MAX_SIZE) == content.encode():
            return
    publish.publish(path, content)


def draw(name: str, word: str, colour: str) -> str:
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
        return draw("checks", word, _COLOURS["failed"])
    return draw("checks", "ok", _COLOURS["ok"]) if overview.mood == "ok" else draw("checks", "no failure", _GREY)


def _draw_check(card: Card) -> str:
    word = "maintenance" if card.maintenance else card.status.word
    return draw(card.label, word, _COLOURS.get(word, _GREY))
