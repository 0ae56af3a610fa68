"""A badge for each check, and one over all: static SVG, for wikis and READMEs."""

import re
from pathlib import Path

from markupsafe import escape

from healthchecks.plugin.dashboard.card import Card
from healthchecks.plugin.dashboard.overview import Overview
from healthchecks.plugin.dashboard.rendering import clean
from healthchecks.plugin.sinks import sharing

DIRECTORY = "badges"
ALL = "all.svg"
_COLOURS = {
    "well": "#17683a", "slow": "#7a4f00", "failing": "#a8231b", "blocked": "#574a9e", "maintenance": "#1d5c99",
}  # fmt: skip
_GREY = "#59626f"
_LONGEST = 40  # characters
_SVG = """<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img" aria-label="{name}: {word}">\
<title>{name}: {word}</title><clipPath id="r"><rect width="{width}" height="20" rx="3"/></clipPath>\
<g clip-path="url(#r)"><rect width="{left}" height="20" fill="#3d4553"/>\
<rect x="{left}" width="{right}" height="20" fill="{colour}"/></g>\
<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle">\
<text x="{middle}" y="14">{name}</text><text x="{other}" y="14">{word}</text></g></svg>
"""


def write(directory: Path, overview: Overview) -> None:
    """Write them beside and rename; those of checks that are no more are removed. Raises OSError."""
    folder = directory / DIRECTORY
    sharing.folder(folder)
    wanted = {ALL: _of_all(overview)} | {file_of(each): _of_one(each) for each in overview.cards}
    for name, content in wanted.items():
        path = folder / name
        if not path.exists() or path.read_bytes() != content.encode():
            sharing.publish(path, content)
    for path in folder.glob("*.svg"):
        if path.name not in wanted:
            path.unlink(missing_ok=True)


def file_of(card: Card) -> str:
    return re.sub(r"[^\w.@+-]", "_", card.id.removeprefix("check-"))[:120] + ".svg"


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
