"""Names of checks: what tells two tests apart in history, alerts and on the page."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, cast
from unittest import TestCase

import pytest

if TYPE_CHECKING:
    from healthchecks.plugin.configuration.target import Target

NAME = pytest.StashKey[str]()
NAMESAKES = pytest.StashKey[dict[str, str]]()  # of the session: the test whose file is in its name → that name
SHARES_TARGET = pytest.StashKey[bool]()  # whether another check is about targets of the same kind


def plain_name(item: pytest.Item) -> str:
    """Return the test's name without `test_`."""
    name = cast("str", getattr(item, "originalname", None) or item.name)
    return name.removeprefix("test_")


def assign(items: Iterable[pytest.Item]) -> None:
    """Give each test a name that no other one has; the first of several in the run's order keeps its plain name."""
    taken: dict[str, str] = {}
    for item in items:
        test = _test(item)
        item.stash[NAME] = next(each for each in _candidates(item) if taken.setdefault(each, test) == test)
        if item.stash[NAME].startswith(f"{item.path.stem}."):
            item.session.stash.setdefault(NAMESAKES, {})[test] = item.stash[NAME]


def assign_labels(items: "Iterable[tuple[pytest.Item, Target]]") -> None:
    """Note which checks share their kind of target with another check: their labels have to say which check it is."""
    kinds: dict[str, dict[str, list[pytest.Item]]] = {}
    for item, target in items:
        kinds.setdefault(target.kind(), {}).setdefault(item.stash[NAME], []).append(item)
    for checks in kinds.values():
        for item in (each for several in checks.values() for each in several):
            item.stash[SHARES_TARGET] = len(checks) > 1


def notices(session: pytest.Session) -> list[str]:
    """Return a line for each test that has the name of its file in its own."""
    return [
        f"{test} has the name of another check, so it is {name} here: give it a name of its own"
        for test, name in session.stash.get(NAMESAKES, {}).items()
    ]


def readable_id(identifier: str) -> str:
    r"""Return pytest's id of the parameters as their author wrote them: pytest writes ü as \xfc."""
    try:
        text = identifier.encode("ascii").decode("unicode_escape")
    except UnicodeError:
        return identifier
    return text if text.isprintable() else identifier


def _test(item: pytest.Item) -> str:
    """The function of the item, whatever its parameters."""
    return item.nodeid.partition("[")[0]


def _candidates(item: pytest.Item) -> Iterator[str]:
    """The plain name, the same with its class, with its file, and what pytest calls it."""
    name, place = plain_name(item), getattr(getattr(item, "cls", None), "__qualname__", "")
    if place not in _later_places(item):
        yield name
    if place:
        name = f"{place}.{name}"
        yield name
    yield f"{item.path.stem}.{name}"
    yield _test(item)


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
