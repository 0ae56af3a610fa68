"""One line for a fixture that a test asks for and that is not there: which one is meant, and where it is."""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from _pytest.fixtures import FixtureLookupError

from healthchecks.plugin.configuration import loaded_kinds
from healthchecks.plugin.measured import probe_of
from healthchecks.plugin.result import CheckError


def explained(error: BaseException | None, item: pytest.Item) -> BaseException | None:
    """Return the error, or in place of one of pytest's about a fixture that is not there a line for its author."""
    if not isinstance(error, FixtureLookupError) or error.argname is None or error.msg is not None:
        return error
    kinds = loaded_kinds()
    # A target is a fixture by the probe that asks for it: without that one both are missing.
    name = next((each for each in _missing(item) if each not in kinds), error.argname)
    if name in kinds:
        what = f": ask for a probe of it as well, or name its class, {name}: {kinds[name].__name__}"
    else:
        what = _hint(name, item)
    return CheckError(f'{item.name} asks for "{name}", and there is no such fixture{what}')


def _missing(item: pytest.Item) -> Iterator[str]:
    for name in getattr(item, "fixturenames", ()):
        if name != "request" and name not in _parameters(item) and not _manager(item).getfixturedefs(name, item):
            yield name


def _hint(name: str, item: pytest.Item) -> str:
    every = _fixtures(item)
    if name in every:
        return f" in its file; import it: from {_module(every[name][-1])} import {name}"
    seen = [each for each in every if _manager(item).getfixturedefs(each, item)]
    probes = sorted(each for each in seen if any(probe_of(found.func) for found in every[each]))
    for likely in ([*probes, *_parameters(item)], seen):
        if close := difflib.get_close_matches(name, likely, n=1):
            return f'; did you mean "{close[0]}"?'
    return f"; probes of this file: {', '.join(probes)}" if probes else ""


def _fixtures(item: pytest.Item) -> dict[str, list[Any]]:
    """All fixtures of the session; none where another pytest keeps them elsewhere, so that nothing is said of them."""
    by_node: Mapping[str, Mapping[Any, list[Any]]] = getattr(_manager(item), "_arg2node2fixturedefs", {})
    return {name: [each for found in nodes.values() for each in found] for name, nodes in by_node.items()}


def _manager(item: pytest.Item) -> Any:
    return item.session._fixturemanager  # noqa: SLF001 - pytest has no public way


def _parameters(item: pytest.Item) -> Mapping[str, object]:
    return getattr(getattr(item, "callspec", None), "params", {})


def _module(fixture: Any) -> str:
    return str(fixture.func.__module__)
