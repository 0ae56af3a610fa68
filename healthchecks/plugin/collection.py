"""Which tests are health checks, what they ask for (targets, probes, time), and their order.

The bridge from pytest's items to targets and probes.
"""

import inspect
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pytest
from _pytest.python import get_direct_param_fixture_func

if TYPE_CHECKING:
    from healthchecks.plugin.configuration.loader import Configuration
    from healthchecks.plugin.configuration.target import Target
    from healthchecks.plugin.probes.fixture import Probe
    from servermonitoring.configuration import Problem

MARKER = "healthcheck"
FAULT = "fault:"  # what a result refers to, in place of a target, where an author's file or test is no check at all
PROBLEM = pytest.StashKey[str]()  # what is wrong with the settings of one check: the error that it is
REFUSAL = "healthchecks_refusal"  # the key by which a worker of pytest-xdist says why it ended


class CheckItem(pytest.Item):
    """A check that is no function: a file of another kind. It has a probe, and asserts in its `runtest`."""

    check: str
    target: "Target"
    probe: "Probe"

    def prepare(self, configuration: "Configuration") -> "Iterable[Problem]":
        """Look up what its settings name, before any probe starts; what is wrong with the configuration.

        What is wrong with its own file is its PROBLEM.
        """
        raise NotImplementedError

    def extras(self) -> dict[str, Any]:
        """Return what outputs are to know besides the result."""
        return {}


_CONDITIONS = {"skip", "skipif", "xfail"}  # marks
_UNASKED = "not asked for"  # id of a test that is left out
_TIMEOUT = 10.0  # seconds, of what has no target
_TARGET_MODULE = "healthchecks.plugin.configuration.target"
_IS_CHECK = pytest.StashKey[bool]()
_TARGET = pytest.StashKey["Target"]()  # the one among the parameters of a test
_MARKED = pytest.StashKey[tuple[pytest.Mark, "Target"]]()  # a marker, and the target that its settings are


def is_check(item: pytest.Item) -> bool:
    """Return whether the test is marked as a health check, as those that ask for a target are by themselves."""
    if item.stash.get(_IS_CHECK, False):
        return True
    if item.get_closest_marker(MARKER) is None:  # which a hook may still set
        return False
    item.stash[_IS_CHECK] = True
    return True


def asks_for_targets(metafunc: pytest.Metafunc) -> "dict[str, type[Target]]":
    """Return the fixture names of a test that stand for targets, with their kinds."""
    if _TARGET_MODULE not in sys.modules:  # nobody has defined a target: an unrelated test run
        return {}
    from healthchecks.plugin.configuration.target import Target
    from healthchecks.plugin.probes.fixture import probe_of

    kinds: dict[str, type[Target]] = {}
    for name in metafunc.fixturenames:
        for fixture in metafunc._arg2fixturedefs.get(name, ())[-1:]:  # noqa: SLF001 - pytest has no public way
            if probe := probe_of(fixture.func):
                kinds[probe.parameter] = probe.target
    annotated = inspect.get_annotations(metafunc.function).items()
    return kinds | {
        name: kind
        for name, kind in annotated
        if isinstance(kind, type) and issubclass(kind, Target) and name in metafunc.fixturenames
    }


def parametrize(metafunc: pytest.Metafunc, configuration: "Configuration") -> None:
    """Run the test once for each target of each kind it asks for; skipped where there is none."""
    mark = getattr(pytest.mark, MARKER)
    for name, kind in asks_for_targets(metafunc).items():
        targets = configuration.targets(kind)
        chosen = [each for each in targets if each.is_checked_by(metafunc.function.__name__)]
        if targets and not chosen:
            metafunc.parametrize(name, [pytest.param(None, id=_UNASKED, marks=mark)])
            continue
        parameters = [pytest.param(each, id=clean_id(each.name or kind.kind()), marks=mark) for each in chosen]
        metafunc.parametrize(name, parameters or [_stand_in(kind, configuration.name)])


def without_unasked(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """Leave out the tests of which no target has asked for what they check: of a limit that is not configured."""
    return [each for each in items if not _is_stand_in(each, _UNASKED)]


def _stand_in(kind: "type[Target]", file: str) -> Any:
    table = kind.kind() if kind.single else f"{kind.kind()}.NAME"
    marks = [getattr(pytest.mark, MARKER), pytest.mark.skip(reason=f"no [{table}] in {file}")]
    return pytest.param(None, id="none", marks=marks)


def clean_id(name: str) -> str:
    """Return an id without characters that mean something to a shell, to pytest or to a web page."""
    return re.sub(r"[^\w./:@+-]", "_", name)


def target_of(item: pytest.Item) -> "Target | None":
    """Return the target that this test is about; for a marked test without one, the marker's own settings."""
    if isinstance(item, CheckItem):
        return item.target
    if (target := item.stash.get(_TARGET, None)) is not None:
        return target
    if (target := _of_parameters(item)) is not None:
        item.stash[_TARGET] = target
        return target
    marker = item.get_closest_marker(MARKER)
    if marker is None or kind_is_absent(item):
        return None
    if item.stash.get(_MARKED, (None, None))[0] is not marker:
        item.stash[_MARKED] = marker, _of_marker(item, marker)
    return item.stash[_MARKED][1]


def _of_parameters(item: pytest.Item) -> "Target | None":
    from healthchecks.plugin.configuration.target import Target

    callspec = getattr(item, "callspec", None)
    return next((each for each in callspec.params.values() if isinstance(each, Target)), None) if callspec else None


def timeout_of(item: pytest.Item) -> float:
    """Return the seconds that each phase of this check may take."""
    target = target_of(item)
    return target.timeout if target else _TIMEOUT


def _of_marker(item: pytest.Item, marker: pytest.Mark) -> "Target":
    from pydantic import ValidationError

    from healthchecks.plugin.configuration.errors import problems_of
    from healthchecks.plugin.configuration.target import LocalTarget, Target

    settings = dict(marker.kwargs)
    kind = LocalTarget if settings.pop("local", False) else Target
    try:
        return kind(**settings)
    except ValidationError as error:
        problems = "; ".join(str(each) for each in problems_of(error, Target, ()))
        item.stash[PROBLEM] = f"@pytest.mark.{MARKER}: {problems}"
        return Target()


def kind_is_absent(item: pytest.Item) -> bool:
    """Return whether this is the stand-in for a kind of check that the configuration has no target of."""
    return _is_stand_in(item, "none")


def _is_stand_in(item: pytest.Item, identifier: str) -> bool:
    callspec = getattr(item, "callspec", None)
    return callspec is not None and callspec.id == identifier and None in callspec.params.values()


def probes_of(item: pytest.Item) -> "Iterator[Probe]":
    """Yield the probes that this test asks for."""
    from healthchecks.plugin.probes.fixture import probe_of

    if isinstance(item, CheckItem):
        yield item.probe
    if isinstance(item, pytest.Function):
        for fixtures in fixture_info(item).name2fixturedefs.values():
            if probe := probe_of(fixtures[-1].func):
                yield probe


def fixture_info(item: pytest.Function) -> Any:
    """Return pytest's names of the test's arguments, and the fixtures that it asks for."""
    return item._fixtureinfo  # noqa: SLF001 - pytest has no public way


def needs_data_only(item: pytest.Item) -> bool:
    """Return whether a test asks for targets and probes only: another process can run it, and it has no setup."""
    if type(item) is not pytest.Function or item.config.getoption("usepdb", default=False):
        return False
    fixtures = fixture_info(item).name2fixturedefs
    names = {*item.fixturenames} - {"request"}
    return "request" not in fixture_info(item).argnames and all(_is_data(fixtures.get(name)) for name in names)


def has_conditions(item: pytest.Item) -> bool:
    """Return whether pytest decides by a mark, or we by a PROBLEM, if a test is run, and what its outcome means."""
    return PROBLEM in item.stash or any(mark.name in _CONDITIONS for mark in item.iter_markers())


def _is_data(fixtures: "Sequence[pytest.FixtureDef[Any]] | None") -> bool:
    from healthchecks.plugin.probes.fixture import probe_of

    made_by = fixtures[-1].func if fixtures else None
    return made_by is get_direct_param_fixture_func or probe_of(made_by) is not None


def share_locations(items: Iterable[pytest.Item]) -> None:
    """Look up file and line of each test function once for all its targets: pytest does so for each, on the disk."""
    known: dict[object, tuple[str, int | None]] = {}
    for item in items:
        if type(item) is pytest.Function and is_check(item):
            if item.function not in known:
                known[item.function] = item.location[:2]
            vars(item)["location"] = (*known[item.function], item.getmodpath())


def in_order_of_need(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """Return the items with checks that others need before those; all else stays as it was."""
    by_reference: dict[str, list[pytest.Item]] = {}
    ordered: dict[pytest.Item, None] = {}
    items = list(items)
    for item in items:
        if target := target_of(item):
            by_reference.setdefault(target.reference, []).append(item)

    def missing(item: pytest.Item) -> "pytest.Item | None":
        target = target_of(item)
        needed = (each for need in (target.needs if target else ()) for each in by_reference.get(need, ()))
        return next((each for each in needed if each not in ordered and each not in above), None)

    for item in items:
        above = {item: None}  # the item, what it needs, what that needs …
        while above:
            last = next(reversed(above))
            if (needed := missing(last)) is not None:
                above[needed] = None
            else:
                ordered.setdefault(last)
                above.popitem()
    return list(ordered)
