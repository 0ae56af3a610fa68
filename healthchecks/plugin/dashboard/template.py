"""Makes a page from a template: everything escaped, and a policy that lets the page's own style and script run only."""

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
from healthchecks.plugin.dashboard.run_charts import chart
from servermonitoring import values
from servermonitoring.files import remove_abandoned, write_whole
from servermonitoring.values import in_words

DIRECTORY = "templates"


class CompiledTemplates(BytecodeCache):
    """Code is taken from a directory that only this user can write to, or not at all; what fails costs time only."""

    def __init__(self, state: Path) -> None:
        self._folder = state / DIRECTORY

    def load_bytecode(self, bucket: Bucket) -> None:
        with contextlib.suppress(OSError):
            path = self._folder / bucket.key
            if all(_is_ours(each) for each in (self._folder.parent, self._folder, path)):
                bucket.load_bytecode(io.BytesIO(path.read_bytes()))

    def dump_bytecode(self, bucket: Bucket) -> None:
        with contextlib.suppress(OSError):
            if _is_ours(self._folder.parent):
                self._folder.mkdir(mode=0o700, exist_ok=True)
                remove_abandoned(self._folder)
                write_whole(self._folder / bucket.key, bucket.bytecode_to_string(), durable=False)


def _is_ours(path: Path) -> bool:
    status = os.lstat(path)
    return status.st_uid == os.geteuid() and not status.st_mode & 0o022


TEMPLATES = Path(__file__).parent / "templates"
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufdd0-\ufdef\ufffe\uffff\ud800-\udfff]")
_ICON = "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'><circle cx='8' cy='8' r='7' fill='{}'/></svg>"
_SECOND, _SHORT = 0.9995, 0.00095  # from where on it is a second, or a millisecond
_COLOURS = {"failing": "#d4352a", "warning": "#c08000"}


def render(
    template: str,
    *,
    styles: Sequence[str] = ("page.css",),
    scripts: Sequence[str] = ("page.js",),
    state: Path | None = None,
    **context: Any,
) -> str:
    """The page, as text that is valid UTF-8 and HTML whatever the context holds.

    Templates extend base.html.j2, which needs `title`, `headline` and `mood` ("well", "warning" or "failing").
    `state`: the state directory, in which compiled templates are kept. Raises OSError for a missing template.
    """
    style, script = (_together(names) for names in (styles, scripts))
    own = {"style": Markup(style), "script": Markup(script), "policy": _policy(style, script)}  # noqa: S704 - our files
    return clean(_environment(state).get_template(template).render({"classes": "", **context, **own}))


def clean(text: str) -> str:
    """Without the characters that no HTML file may hold; each shows as the replacement character."""
    return _UNPRINTABLE.sub("\ufffd", text)


def when(moment: float | datetime) -> str:
    """For people, in this machine's time: "Tue 24 Nov 03:10"; with the year where it is another one."""
    local = _local(moment)
    year = " %Y" if local.year != datetime.now(UTC).year else ""
    return local.strftime(f"%a %-d %b{year} %H:%M")


def iso(moment: float | datetime) -> str:
    """For programs, in UTC: 2026-11-24T03:10:00Z."""
    return values.iso(_local(moment))


def age(moment: datetime) -> str:
    """How long ago, in words."""
    return in_words(max(0, round((datetime.now(UTC) - moment).total_seconds())))


def taken(seconds: float) -> str:
    """A duration, as precise as people want it: "12 ms", "3.4 s"."""
    if seconds < _SECOND:
        return f"{seconds * 1000:.0f} ms" if seconds > _SHORT else f"{seconds * 1000:.2g} ms"
    return in_words(seconds)


def _local(moment: float | datetime) -> datetime:
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
def _together(names: Sequence[str]) -> str:
    return "".join((TEMPLATES / name).read_text(encoding="utf-8") for name in names)


@functools.cache
def _environment(state: Path | None) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, bytecode_cache=CompiledTemplates(state) if state else None,
    )  # fmt: skip
    environment.globals["icon"] = _icon
    environment.filters |= {
        "when": when, "iso": iso, "age": age, "in_words": in_words, "taken": taken, "bars": run_charts.bars,
        "bars_in_words": run_charts.in_words, "troubles": run_charts.troubles,
        "shorten": run_charts.shorten, "chart": chart,
    }  # fmt: skip
    return environment
