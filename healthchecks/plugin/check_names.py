"""The names by which history, alerts and page distinguish checks: check, target, and the label for people."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, cast
from unittest import TestCase

import pytest

from healthchecks.plugin.collection import CheckItem, clean_id, is_check, target_of

if TYPE_CHECKING:
    from healthchecks.plugin.configuration.target import Target

_LONGEST, _HASH = 500, 8  # characters of the name of a target, as in every result; of its hash
_NAME = pytest.StashKey[str]()
_NAMESAKES = pytest.StashKey[dict[str, str]]()  # of the session: the test whose file is in its name → that name
_PLACES = pytest.StashKey[dict[str, list[str]]]()  # of a module: name of a test → its later places
_SHARES_TARGET = pytest.StashKey[bool]()  # whether another check is about targets of the same kind


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
    """Return the function of the item, whatever its parameters."""
    return item.nodeid.partition("[")[0]


def _candidates(item: pytest.Item) -> Iterator[str]:
    """Yield the plain name, the same with its class, with its file, and what pytest calls it."""
    name, place = _plain_name(item), getattr(getattr(item, "cls", None), "__qualname__", "")
    if place not in _later_places(item):
        yield name
    if place:
        name = f"{place}.{name}"
        yield name
    yield f"{item.path.stem}.{name}"
    yield _function(item)


def _later_places(item: pytest.Item) -> Sequence[str]:
    """Return the classes of its file, after the first one, that have a test of this name, selected or not."""
    module = item.getparent(pytest.Module)
    if module is None or not isinstance(item, pytest.Function):
        return ()
    name, known = item.originalname, module.stash.setdefault(_PLACES, {})
    if name not in known:  # looked up once for all targets
        places = [""] if callable(getattr(module.obj, name, None)) else []
        places += [each.__qualname__ for each in vars(module.obj).values() if _is_class_of_tests(each, module, name)]
        known[name] = places[1:]
    return known[name]


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
    """Return what the check is called in history and alerts: the test's name without `test_`."""
    if isinstance(item, CheckItem):
        return item.check
    return item.stash.get(_NAME, None) or _plain_name(item)


def _plain_name(item: pytest.Item) -> str:
    """Return the test's name without `test_`."""
    name = cast("str", getattr(item, "originalname", None) or item.name)
    return name.removeprefix("test_")


def target_name(item: pytest.Item) -> str:
    """Return the target in history and alerts: its name, or the parameters of a test that has other ones.

    A long one is cut, and ends with a part of its hash, so that it stays the only one and results keep it whole.
    """
    name = _whole_target_name(item)
    if len(name) <= _LONGEST:
        return name
    digest = hashlib.sha256(name.encode(errors="replace")).hexdigest()[:_HASH]
    return f"{name[: _LONGEST - 1 - _HASH]}…{digest}"


def _whole_target_name(item: pytest.Item) -> str:
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
