"""Which tests are health checks, of what, and by which names history, alerts and page distinguish them.

The bridge from pytest's items to targets and probes.
"""

import inspect
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast
from unittest import TestCase

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
        """What sinks are to know besides the result."""
        return {}


_CONDITIONS = {"skip", "skipif", "xfail"}  # marks
_TIMEOUT = 10.0  # seconds, of what has no target
_TARGET_MODULE = "healthchecks.plugin.configuration.target"
_IS_CHECK = pytest.StashKey[bool]()
_TARGET = pytest.StashKey["Target"]()  # the one among the parameters of a test
_MARKED = pytest.StashKey[tuple[pytest.Mark, "Target"]]()  # a marker, and the target that its settings are
_NAME = pytest.StashKey[str]()
_NAMESAKES = pytest.StashKey[dict[str, str]]()  # of the session: the test whose file is in its name → that name
_SHARES_TARGET = pytest.StashKey[bool]()  # whether another check is about targets of the same kind


def is_check(item: pytest.Item) -> bool:
    """Whether the test is marked as a health check, as those that ask for a target are by themselves."""
    if item.stash.get(_IS_CHECK, False):
        return True
    if item.get_closest_marker(MARKER) is None:  # which a hook may still set
        return False
    item.stash[_IS_CHECK] = True
    return True


def asks_for_targets(metafunc: pytest.Metafunc) -> "dict[str, type[Target]]":
    """The fixture names of a test that stand for targets, with their kinds."""
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
        targets = [
            pytest.param(target, id=clean_id(target.name or kind.kind()), marks=mark)
            for target in configuration.targets(kind)
        ]
        metafunc.parametrize(name, targets or [_stand_in(kind, configuration.name)])


def _stand_in(kind: "type[Target]", file: str) -> Any:
    table = kind.kind() if kind.single else f"{kind.kind()}.NAME"
    marks = [getattr(pytest.mark, MARKER), pytest.mark.skip(reason=f"no [{table}] in {file}")]
    return pytest.param(None, id="none", marks=marks)


def clean_id(name: str) -> str:
    """An id without characters that mean something to a shell, to pytest or to a web page."""
    return re.sub(r"[^\w./:@+-]", "_", name)


def target_of(item: pytest.Item) -> "Target | None":
    """The target that this test is about; for a marked test without one, the marker's own settings."""
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
    """Seconds that each phase of this check may take."""
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
    """Whether this is the stand-in for a kind of check that the configuration has no target of."""
    callspec = getattr(item, "callspec", None)
    return callspec is not None and callspec.id == "none" and None in callspec.params.values()


def probes_of(item: pytest.Item) -> "Iterator[Probe]":
    """The probes that this test asks for."""
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


def give_names(items: Iterable[pytest.Item]) -> None:
    """Give each collected check a name and a label of its own, before any of them is deselected."""
    found = [item for item in items if is_check(item)]
    _assign_names(item for item in found if not isinstance(item, CheckItem))
    functions = [(item, target_of(item)) for item in found if not isinstance(item, CheckItem)]
    _assign_labels((item, target) for item, target in functions if target is not None and target.name)
    taken: dict[str, pytest.Item] = {}
    for item in found:
        if isinstance(item, CheckItem) and taken.setdefault(item.target.name, item) is not item:
            item.target.called(clean_id(item.nodeid))


def _assign_names(items: Iterable[pytest.Item]) -> None:
    """Give each test a name that no other one has; the first of several in the run's order keeps its plain name."""
    taken: dict[str, str] = {}
    for item in items:
        test = _function(item)
        item.stash[_NAME] = next(each for each in _candidates(item) if taken.setdefault(each, test) == test)
        if item.stash[_NAME].startswith(f"{item.path.stem}."):
            item.session.stash.setdefault(_NAMESAKES, {})[test] = item.stash[_NAME]


def _function(item: pytest.Item) -> str:
    """The function of the item, whatever its parameters."""
    return item.nodeid.partition("[")[0]


def _candidates(item: pytest.Item) -> Iterator[str]:
    """The plain name, the same with its class, with its file, and what pytest calls it."""
    name, place = _plain_name(item), getattr(getattr(item, "cls", None), "__qualname__", "")
    if place not in _later_places(item):
        yield name
    if place:
        name = f"{place}.{name}"
        yield name
    yield f"{item.path.stem}.{name}"
    yield _function(item)


def _later_places(item: pytest.Item) -> Iterator[str]:
    """In which classes of its file, after the first one, a test of this name is: also one that was not selected."""
    module = item.getparent(pytest.Module)
    name = getattr(item, "originalname", None) or item.name
    if module is None or not isinstance(item, pytest.Function):
        return
    places = [""] if callable(getattr(module.obj, name, None)) else []
    places += [each.__qualname__ for each in vars(module.obj).values() if _is_class_of_tests(each, module, name)]
    yield from places[1:]


def _is_class_of_tests(thing: object, module: pytest.Module, name: str) -> bool:
    if not isinstance(thing, type) or not callable(getattr(thing, name, None)):
        return False
    return issubclass(thing, TestCase) or module.classnamefilter(thing.__name__)


def _assign_labels(items: "Iterable[tuple[pytest.Item, Target]]") -> None:
    """Note which checks share their kind of target with another check: their labels have to say which check it is."""
    kinds: dict[str, dict[str, list[pytest.Item]]] = {}
    for item, target in items:
        kinds.setdefault(target.kind(), {}).setdefault(item.stash[_NAME], []).append(item)
    for checks in kinds.values():
        for item in (each for several in checks.values() for each in several):
            item.stash[_SHARES_TARGET] = len(checks) > 1


def name_notices(session: pytest.Session) -> list[str]:
    """Return a line for each test that has the name of its file in its own."""
    return [
        f"{test} has the name of another check, so it is {name} here: give it a name of its own"
        for test, name in session.stash.get(_NAMESAKES, {}).items()
    ]


def check_name(item: pytest.Item) -> str:
    """What the check is called in history and alerts: the test's name without `test_`."""
    if isinstance(item, CheckItem):
        return item.check
    return item.stash.get(_NAME, None) or _plain_name(item)


def _plain_name(item: pytest.Item) -> str:
    """Return the test's name without `test_`."""
    name = cast("str", getattr(item, "originalname", None) or item.name)
    return name.removeprefix("test_")


def target_name(item: pytest.Item) -> str:
    """The target in history and alerts: its name, or the parameters of a test that has other ones."""
    if isinstance(item, CheckItem):
        return item.target.name
    callspec = getattr(item, "callspec", None)
    if callspec is None:
        return ""
    target = target_of(item)
    if target is not None and len(callspec.params) == 1 and target in callspec.params.values():
        return target.name
    return _readable_id(callspec.id)


def _readable_id(identifier: str) -> str:
    r"""Return pytest's id of the parameters as their author wrote them: pytest writes ü as \xfc."""
    try:
        text = identifier.encode("ascii").decode("unicode_escape")
    except UnicodeError:
        return identifier
    return text if text.isprintable() else identifier


def label(item: pytest.Item) -> str:
    """Check and target for people: website[home], or where several checks are about it, website_access[home]."""
    target, check, name = target_of(item), check_name(item), target_name(item)
    if target is not None and target.name == name != "" and not item.stash.get(_SHARES_TARGET, False):
        return target.label
    return f"{check}[{name}]" if name else check


def share_locations(items: Iterable[pytest.Item]) -> None:
    """Look up file and line of each test function once for all its targets: pytest does so for each, on the disk."""
    known: dict[object, tuple[str, int | None]] = {}
    for item in items:
        if type(item) is pytest.Function and is_check(item):
            if item.function not in known:
                known[item.function] = item.location[:2]
            vars(item)["location"] = (*known[item.function], item.getmodpath())


def in_order_of_need(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """Checks that others need come before those; all else stays as it was."""
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
