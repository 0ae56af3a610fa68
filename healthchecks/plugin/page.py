"""pytest-html's report as the page: begun when a run holds health checks, written beside and renamed."""

import contextlib
import secrets
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any

import pytest

from healthchecks.plugin.result import Result
from healthchecks.plugin.sinks.sharing import mode_in
from healthchecks.plugin.summary import headline

NAME = "index.html"


class Page:
    """One pytest-html report under a name beside the page's, so that a reader never sees half of it."""

    def __init__(self, config: pytest.Config, directory: Path) -> None:
        """Raises OSError where the directory cannot be made."""
        from pytest_html import plugin

        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = directory / NAME
        self._beside = directory / f".{NAME}.{secrets.token_hex(6)}"
        self._config = config
        self._report = self._register(plugin)

    def begin(self, session: pytest.Session, environment: dict[str, str], broken: list[Any]) -> None:
        """Hand it what it missed by being registered after collection."""
        self._report.pytest_sessionstart(session)
        self._report._report.set_data("environment", environment)  # noqa: SLF001 - else Python and plugins
        self._report._report.title = "Server health"  # noqa: SLF001
        self._report.pytest_collection_finish(session)
        for report in broken:
            self._report.pytest_collectreport(report)

    def publish(self) -> Path:
        """Put what pytest-html has written in the page's place. Raises OSError; the old page is then still there."""
        self._config.pluginmanager.unregister(self._report)
        self._beside.chmod(mode_in(self.path.parent))
        return self._beside.replace(self.path)

    def discard(self) -> None:
        """Leave nothing beside the old page."""
        with contextlib.suppress(OSError):
            self._beside.unlink()

    def _register(self, plugin: Any) -> Any:
        """pytest-html registers its report in pytest_configure, when it finds a path: it is called again for ours."""
        option, before = self._config.option, set(self._config.pluginmanager.get_plugins())
        given = option.htmlpath, option.self_contained_html
        option.htmlpath, option.self_contained_html = str(self._beside), True
        try:
            plugin.pytest_configure(self._config)
        finally:
            option.htmlpath, option.self_contained_html = given
        return next(iter(set(self._config.pluginmanager.get_plugins()) - before))


def banner(results: Iterable[Result]) -> str:
    """The page's first lines: what is wrong, in HTML."""
    results = list(results)
    bad = (
        f"<li><b>{escape(each.label)}</b>: {escape(each.message)}</li>" for each in results if each.status.is_failure
    )
    return f"<h2>{escape(headline(results))}</h2><ul>{''.join(bad)}</ul>"


def escape_cells(cells: list[str], name: str) -> None:
    """pytest-html does not escape test ids: `cells` is a row of its table, whose second cell holds one."""
    cells[1] = f'<td class="col-testId">{escape(name)}</td>'
