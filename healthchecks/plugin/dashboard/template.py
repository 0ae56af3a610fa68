"""Renders a template: everything escaped, under a policy that permits only the page's own style and script."""

import base64
import contextlib
import functools
import hashlib
import io
import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import BytecodeCache, Environment, FileSystemLoader, StrictUndefined
from jinja2.bccache import Bucket
from markupsafe import Markup

from healthchecks.plugin.dashboard import run_charts
from servermonitoring import values
from servermonitoring.files import remove_abandoned, write_whole
from servermonitoring.values import duration_in_words, in_words

DIRECTORY = "templates"


class CompiledTemplates(BytecodeCache):
    """The compiled templates: read only from a directory that no other user can write to; errors are ignored."""

    def __init__(self, state: Path) -> None:
        self._folder = state / DIRECTORY

    def load_bytecode(self, bucket: Bucket) -> None:
        with contextlib.suppress(OSError):
            path = self._folder / bucket.key
            if all(_is_safe(each) for each in (self._folder.parent, self._folder, path)):
                bucket.load_bytecode(io.BytesIO(path.read_bytes()))

    def dump_bytecode(self, bucket: Bucket) -> None:
        with contextlib.suppress(OSError):
            if _is_safe(self._folder.parent):
                self._folder.mkdir(mode=0o700, exist_ok=True)
                remove_abandoned(self._folder)
                write_whole(self._folder / bucket.key, bucket.bytecode_to_string(), durable=False)


def _is_safe(path: Path) -> bool:
    status = os.lstat(path)
    return status.st_uid == os.geteuid() and not status.st_mode & 0o022


TEMPLATES = Path(__file__).parent / "templates"
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufdd0-\ufdef\ufffe\uffff\ud800-\udfff]")
_INDENT = re.compile("^ +", re.MULTILINE)  # of styles and scripts: a tenth of them
_ICON = "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'><circle cx='8' cy='8' r='7' fill='{}'/></svg>"
_COLOURS = {"failed": "#d4352a", "warning": "#c08000"}


def render(
    template: str,
    *,
    styles: Sequence[str] = ("page.css",),
    scripts: Sequence[str] = ("page.js",),
    state: Path | None = None,
    **context: Any,
) -> str:
    """Return the page: valid UTF-8 and HTML whatever the context holds.

    Templates extend base.html.j2, which needs `title`, `headline` and `mood` ("ok", "warning" or "failed").
    `state`: the state directory, for the compiled templates. Raises OSError for a missing template.
    """
    style, script = (_read(names) for names in (styles, scripts))
    own = {"style": Markup(style), "script": Markup(script), "policy": _policy(style, script)}  # noqa: S704 - our files
    return clean(_environment(state).get_template(template).render({"classes": "", **context, **own}))


def clean(text: str) -> str:
    """Return the text with U+FFFD in place of each character that HTML does not permit."""
    return _UNPRINTABLE.sub("\ufffd", text)


@functools.lru_cache(maxsize=1024)  # a page has few times, but most of them often
def format_time(moment: float | datetime) -> str:
    """Return local time for people: "Tue 24 Nov 03:10"; with the year if it is not the present one."""
    local = _to_local(moment)
    year = " %Y" if local.year != datetime.now(UTC).year else ""
    return local.strftime(f"%a %-d %b{year} %H:%M")


@functools.lru_cache(maxsize=1024)
def format_iso(moment: float | datetime) -> str:
    """Return UTC for programs: 2026-11-24T03:10:00Z."""
    return values.iso(moment if isinstance(moment, datetime) else datetime.fromtimestamp(moment, UTC))


def format_age(moment: datetime) -> str:
    """Return how long ago it was: "2 h 10 min"."""
    return in_words(max(0, round((datetime.now(UTC) - moment).total_seconds())))


def _to_local(moment: float | datetime) -> datetime:
    if isinstance(moment, datetime):
        return moment.astimezone()
    return datetime.fromtimestamp(moment, UTC).astimezone()


def _policy(style: str, script: str) -> str:
    own = f"style-src {_hash(style)}; script-src {_hash(script)}"
    return f"default-src 'none'; {own}; img-src data:; base-uri 'none'; form-action 'none'"


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _icon(mood: str) -> str:
    return "data:image/svg+xml," + quote(_ICON.format(_COLOURS.get(mood, "#2f9c5c")))


@functools.cache
def _read(names: Sequence[str]) -> str:
    text = "".join((TEMPLATES / name).read_text(encoding="utf-8") for name in names)
    return _INDENT.sub("", text)


@functools.cache
def _environment(state: Path | None) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, bytecode_cache=CompiledTemplates(state) if state else None,
    )  # fmt: skip
    environment.globals["icon"] = _icon
    environment.filters |= {
        "when": format_time, "iso": format_iso, "age": format_age, "in_words": in_words, "duration": duration_in_words,
        "bars_in_words": run_charts.describe_bars,
        "periods": run_charts.list_periods, "shorten": run_charts.shorten,
    }  # fmt: skip
    return environment
