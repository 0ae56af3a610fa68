"""The configuration of one run: its file, its targets, its settings, and everything that is wrong with them.

Its JSON schema, too, so that editors complete and check the file.
"""

import difflib
import importlib
import pkgutil
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

import healthchecks
from healthchecks.plugin.configuration.errors import booleans_for_numbers, problems_of
from healthchecks.plugin.configuration.settings import SuiteSettings
from healthchecks.plugin.configuration.target import Target, key_descriptions
from servermonitoring.additional_files import Tables
from servermonitoring.configuration import (
    ConfigurationError,
    Problem,
    echo,
    find,
    nearest,
    place,
    read,
    table,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

T = TypeVar("T", bound=Target)
M = TypeVar("M", bound=BaseModel)

_NAME = re.compile(r"[\w./:@+-]+")
_FILE = "servermonitoring.toml"


class Configuration:
    """Targets and settings by table. A wrong file gives none of them, but all its problems at once."""

    def __init__(self, given: str | None) -> None:
        self.path = find(given)
        self._tables = Tables({})
        self._problems: list[Problem] = []
        self._targets: dict[type[Target], list[Any]] = {}
        if self.path is not None:
            try:
                self._tables, self._problems = read(self.path)
            except ConfigurationError as error:
                self._problems = error.problems
        self.settings = self._settings()

    @property
    def name(self) -> str:
        """The file's name for messages, also where there is none."""
        return self.path.name if self.path else _FILE

    @property
    def additional_files(self) -> list[str]:
        """The names of the files that are merged with it: servermonitoring.d/web.toml."""
        return self._tables.files

    def targets(self, kind: type[T]) -> list[T]:
        """Return the targets of this kind from its tables, or its defaults; wrong ones are left out, reported later."""
        if kind not in self._targets:
            self._targets[kind] = self._read_targets(kind)
        return self._targets[kind]

    def targets_of(self, name: str) -> "Mapping[str, Any]":
        """Return the targets of a kind that ships, by name: those of "database" are the tables [database.NAME]."""
        if name not in loaded_kinds():
            importlib.import_module(f"healthchecks.test_{name}")
        return {target.name: target for target in self.targets(loaded_kinds()[name])}

    def references(self, kind: str) -> set[str] | None:
        """Return the references of all targets of a kind; None for one of the authors' that this run did not load."""
        if kind not in loaded_kinds():
            if kind not in built_in_kinds():
                return None
            importlib.import_module(f"healthchecks.test_{kind}")  # without a table, and not among the files that run
        return {each.reference for each in self.targets(loaded_kinds()[kind])}

    def kinds(self) -> "Mapping[type[Target], list[Target]]":
        """Return the targets read so far."""
        return self._targets

    def unknown_needs(self, target: Target) -> list[str]:
        """Return what is wrong with the `needs` of a target."""
        if not target.needs:
            return []
        return _unknown_needs(target, {each.reference for kind in self._targets.values() for each in kind})

    def target_tables(self) -> set[str]:
        """Return the tables in which targets are."""
        return {name for name, keys in self._tables.items() if name not in SuiteSettings.model_fields and keys}

    @property
    def state_directory(self) -> str | None:
        """`[state] directory`, as a whole path; None where none is configured."""
        directory = self.settings.state.directory
        return str(directory) if directory else None

    def page_directory(self, rootdir: Path) -> Path:
        """Return `[dashboard] directory`; the default one is below pytest's root, which is the checkout."""
        return rootdir / self.settings.dashboard.directory  # a configured one is absolute

    def check(self, elsewhere: "Collection[str]" = (), *, is_part: bool = False) -> list[str]:
        """Raise ConfigurationError with everything that is wrong, once all kinds of the run are known.

        `elsewhere`: kinds of files that are not in this run; in a part of the checks there may be more of them.
        Return a notice of the tables that nothing in this run knows.
        """
        kinds = self._all_kinds()
        for kind in kinds.values():
            self.targets(kind)
        unknown = [name for name in self._tables if name not in {*kinds, *SuiteSettings.model_fields, *elsewhere}]
        for name in unknown:
            if not isinstance(self._tables[name], dict):  # of whatever kind, it is none
                self._problems.append(Problem(table([name]), "stands outside of every table: write it below one"))
            elif not is_part or difflib.get_close_matches(name, kinds.keys() - built_in_kinds()):
                self._problems.append(Problem(table([name]), _unknown(name, {*kinds, *built_in_kinds()})))
        self._check_needs()
        if self._problems:
            raise ConfigurationError(self.path or Path(_FILE), self._problems, self._tables)
        passed_over = " ".join(table([name]) for name in unknown)
        return [f"of kinds that no file of this run has, so ignored: {passed_over}"] if unknown else []

    def check_settings(self) -> None:
        """Raise ConfigurationError with what is wrong so far: before any target is read, in the settings."""
        if self._problems:
            raise ConfigurationError(self.path or Path(_FILE), self._problems)

    def _settings(self) -> SuiteSettings:
        tables = {key: value for key, value in self._tables.items() if key in SuiteSettings.model_fields}
        return self._validate(SuiteSettings, tables, ()) or SuiteSettings()

    def _read_targets(self, kind: type[T]) -> list[T]:
        name = kind.kind()
        if name not in self._tables:
            return [target.called(name) for name, target in kind.defaults().items()]
        keys = self._tables[name]
        if not isinstance(keys, dict):
            self._problems.append(
                Problem(table([name]), f"{echo(keys, [name]) or 'it'} is not a table: write [{name}]")
            )
            return []
        named = {"": keys} if kind.single else keys
        return [target for key, keys in named.items() if (target := self._read_target(kind, key, keys))]

    def _read_target(self, kind: type[T], name: str, keys: object) -> T | None:
        where = (kind.kind(), name) if name else (kind.kind(),)
        if not isinstance(keys, dict):
            what = f"stands outside of a target: write it below [{kind.kind()}.NAME]"
            self._problems.append(Problem(place(where), what))
            return None
        if name and not _NAME.fullmatch(name):
            what = f"the name {name!r} may hold letters, digits and . _ / : @ + - only"
            self._problems.append(Problem(f"[{kind.kind()}]", what))
            return None
        target = self._validate(kind, keys, where)
        return target.called(name) if target else None

    def _validate(self, model: type[M], keys: "dict[str, Any]", where: tuple[str, ...]) -> M | None:
        try:
            found = model.model_validate(keys, context=self.path)
        except ValidationError as error:
            problems = problems_of(error, model, where)
        else:
            problems = [*booleans_for_numbers(model, keys, where)]
        self._problems += problems
        return None if problems else found

    def _all_kinds(self) -> dict[str, type[Target]]:
        for name in {*self._tables} & built_in_kinds() - {*loaded_kinds()}:
            importlib.import_module(f"healthchecks.test_{name}")  # not among the files that run, but checked
        return loaded_kinds()

    def _check_needs(self) -> None:
        targets = {each.reference: each for kind in self._targets.values() for each in kind}
        for reference, target in targets.items():
            where = place((*reference.split(".", 1), "needs"))
            self._problems += [Problem(where, what) for what in _unknown_needs(target, targets.keys())]
        if cycle := _cycle({reference: target.needs for reference, target in targets.items()}):
            self._problems.append(Problem(f"[{cycle[0]}] needs", f"is circular: {' → '.join(cycle)}"))


def _unknown_needs(target: Target, known: "Collection[str]") -> list[str]:
    return [f'no target "{need}"{nearest(need, known)}' for need in target.needs if need not in known]


def _unknown(name: str, known: set[str]) -> str:
    """Return the message about a table that no check is for."""
    hint = nearest(name, known) if difflib.get_close_matches(name, known) else ""
    own = "a kind of your own is known by its file: name that, or its folder, in [run] checks or on the command line"
    return f"unknown table{hint or ';'} {own[:1].upper() + own[1:] if hint else own}"


def built_in_kinds() -> set[str]:
    """Return the kinds that ship, by their files: test_website.py has [website.NAME]."""
    return {
        module.name.removeprefix("test_")
        for module in pkgutil.iter_modules(healthchecks.__path__)
        if module.name.startswith("test_")
    }


def loaded_kinds() -> dict[str, type[Target]]:
    found: dict[str, type[Target]] = {}
    kinds = list(Target.__subclasses__())
    while kinds:
        kind = kinds.pop()
        if kind.configured:
            found[kind.kind()] = kind
        kinds += kind.__subclasses__()
    return found


def _cycle(needs: dict[str, tuple[str, ...]]) -> list[str]:
    """Return references that need each other, the first once more at the end; empty where none do."""
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        cycle: list[str] = error.args[1]
        return cycle[::-1]
    return []


def schema() -> dict[str, Any]:
    """Return a JSON schema of the configuration file, of all kinds loaded so far."""
    document = _described(SuiteSettings)
    definitions = document.setdefault("$defs", {})
    for name, kind in sorted(loaded_kinds().items()):
        described = _described(kind)
        definitions.update(described.pop("$defs", {}))
        definitions[kind.__name__] = described
        reference = {"$ref": f"#/$defs/{kind.__name__}"}
        named = {"type": "object", "additionalProperties": reference}
        document["properties"][name] = reference if kind.single else named
    return document | {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "servermonitoring.toml"}


def _described(model: type[BaseModel]) -> dict[str, Any]:
    """Return pydantic's schema, with the text below each field as its description."""
    document = model.model_json_schema()
    for base in (model, *_inner_models(model)):
        part = document if base is model else document.get("$defs", {}).get(base.__name__, {})
        for name, text in key_descriptions(base).items():
            if name in part.get("properties", {}):
                part["properties"][name]["description"] = text
    return document


def _inner_models(model: type[BaseModel]) -> list[type[BaseModel]]:
    found = []
    for field in model.model_fields.values():
        for each in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(each, type) and issubclass(each, BaseModel):
                found += [each, *_inner_models(each)]
    return found
