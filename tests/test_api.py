"""docs/api.md describes each public name, as it is, and no other; docs/glossary.md each status."""

import inspect
import re
import typing

import healthchecks
import watchdog
from healthchecks import Secret, Target
from healthchecks.plugin.result import Status
from tests.fork_server import run_pytest
from tests.test_packaging import ROOT
from watchdog.selenium import watched

TEXT = (ROOT / "docs/api.md").read_text()
ENTRIES = dict(re.findall(r"^### `([\w.]+)`\n(.*?)(?=^##|\Z)", TEXT, re.MULTILINE | re.DOTALL))
OURS = {name: text for name, text in ENTRIES.items() if "." not in name}
THEIRS = {"watchdog.validate_process": watchdog.validate_process, "watchdog.selenium.watched": watched}


def signatures(entry: str) -> list[str]:
    """The lines of an entry that are nothing but code."""
    return re.findall(r"^`(.*)`$", entry, re.MULTILINE)


def signature(name: str, function: object) -> str:
    text = re.sub(r"\b(?:collections\.abc|typing|healthchecks\.[\w.]+)\.|~", "", str(inspect.signature(function)))
    return f"{name}{text}".replace("'", '"')


def expected(name: str, thing: object) -> list[str]:
    if typing.get_origin(thing) is typing.Annotated:
        return [f"{name} = {typing.get_args(thing)[0].__name__}"]
    if not inspect.isclass(thing):
        return [signature(name, each) for each in typing.get_overloads(thing) or [thing]]
    base = thing.__bases__[0].__name__
    head = f"class {name}" + f"({base})" * (base != "object")
    made = "__init__" in vars(thing) and issubclass(thing, Exception)
    return [head, signature(name, thing).removesuffix(" -> None")] if made else [head]


def test_each_public_name_has_an_entry_and_no_other():
    public = set(healthchecks.__all__)
    lacking, surplus = sorted(public - OURS.keys()), sorted(OURS.keys() - public)
    assert (lacking, surplus) == ([], []), f"docs/api.md lacks {lacking}; healthchecks does not have {surplus}"
    assert THEIRS.keys() == ENTRIES.keys() - OURS.keys()


def test_each_public_name_is_loaded_when_asked_for():
    """`__all__` and the table of what is loaded late name the same."""
    assert [name for name in healthchecks.__all__ if getattr(healthchecks, name, None) is None] == []
    assert sorted(healthchecks.__all__) == healthchecks.__all__


def test_the_signatures_are_those_of_the_code():
    things = {name: getattr(healthchecks, name) for name in OURS if hasattr(healthchecks, name)} | THEIRS
    written = {name: signatures(ENTRIES[name]) for name in things}
    assert written == {name: expected(name.rpartition(".")[2], thing) for name, thing in things.items()}


def test_the_parts_of_classes_are_described():
    """What a subclass of Target may set or ask for, its keys, and what a Secret can do."""
    parts = {name for name in vars(Target) if not name.startswith(("_", "model_"))} | Target.model_fields.keys()
    assert [name for name in sorted(parts) if not re.search(rf"`{name}(?:\(.*?\))?`", ENTRIES["Target"])] == []
    public = {name for name in vars(Secret) if not name.startswith("_")} - {"load"}  # which pydantic calls
    assert [name for name in sorted(public) if f"`{name}()`" not in ENTRIES["Secret"]] == []


def test_the_mark_has_the_arguments_that_are_described():
    _, listed = run_pytest("--markers", cwd=ROOT)
    (arguments,) = re.findall(r"@pytest\.mark\.healthcheck\((.*?)\)", listed)
    assert re.findall(r"^`@pytest\.mark\.healthcheck\((.*?)\)`$", TEXT, re.MULTILINE) == [arguments]


def test_the_glossary_has_the_statuses():
    glossary = (ROOT / "docs/glossary.md").read_text()
    table = re.search(r"^\| status \|.*?\n\n", glossary, re.MULTILINE | re.DOTALL)[0]
    assert re.findall(r"^\| `(\w+)`", table, re.MULTILINE) == [each.value for each in Status]
