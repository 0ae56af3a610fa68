"""A badge for each check, and one over all: static SVG, for wikis and READMEs."""

import contextlib
import os
from pathlib import Path

from markupsafe import escape

from healthchecks.plugin.dashboard import publish
from healthchecks.plugin.dashboard.cards import Card
from healthchecks.plugin.dashboard.overview import Overview
from healthchecks.plugin.dashboard.template import clean
from servermonitoring.files import read_regular

DIRECTORY = "badges"
ALL = "all.svg"
_COLOURS = {
    "well": "#17683a", "slow": "#7a4f00", "failing": "#a8231b", "blocked": "#574a9e", "maintenance": "#1d5c99",
}  # fmt: skip
_GREY = "#59626f"
_LONGEST = 40  # characters
_LARGEST = 10_000  # bytes of a badge
_SVG = """<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img" aria-label="{name}: {word}">\
<title>{name}: {word}</title><clipPath id="r"><rect width="{width}" height="20" rx="3"/></clipPath>\
<g clip-path="url(#r)"><rect width="{left}" height="20" fill="#3d4553"/>\
<rect x="{left}" width="{right}" height="20" fill="{colour}"/></g>\
<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle">\
<text x="{middle}" y="14">{name}</text><text x="{other}" y="14">{word}</text></g></svg>
"""


def write(directory: Path, overview: Overview) -> None:
    """Write them beside and rename; those of checks that are no more are removed.

    Raises OSError after all others are written, where one could not be.
    """
    folder = publish.folder(directory / DIRECTORY)
    wanted = {ALL: _of_all(overview)} | {file_of(each): _of_one(each) for each in overview.cards}
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


def file_of(card: Card) -> str:
    """Its name, which is no other check's, and not that of all checks."""
    name = f"{card.id.removeprefix('check-')}.svg"
    return name if name != ALL else f"-{name}"


def _write(path: Path, content: str) -> None:
    """Unless it is there: most stay as they were."""
    with contextlib.suppress(OSError):
        if read_regular(path, _LARGEST) == content.encode():
            return
    publish.publish(path, content)


def badge(name: str, word: str, colour: str) -> str:
    """SVG; the widths are an estimate, since fonts differ from machine to machine."""
    name = name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"
    left, right = (round(6.6 * len(text) + 12) for text in (name, word))
    return clean(
        _SVG.format(
            width=left + right, left=left, right=right, middle=left / 2, other=left + right / 2,
            name=escape(name), word=escape(word), colour=colour,
        )
    )  # fmt: skip


def _of_all(overview: Overview) -> str:
    failing = len(overview.failing)
    word = f"{failing} failing" if failing else "well" if overview.mood == "well" else "no failure"
    colour = _COLOURS["failing"] if failing else _COLOURS["well"] if overview.mood == "well" else _GREY
    return badge("checks", word, colour)


def _of_one(card: Card) -> str:
    word = "maintenance" if card.maintenance else card.state.word
    return badge(card.label, word, _COLOURS["failing"] if card.fails else _COLOURS.get(word, _GREY))
