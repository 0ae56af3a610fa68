"""A JSON schema of the configuration file, so that editors complete and check it."""

import ast
import importlib.util
import inspect
import itertools
import json
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from healthchecks.plugin.configuration import built_in_kinds, loaded_kinds
from healthchecks.plugin.own_checks import places
from healthchecks.plugin.settings import Settings


def print_schema(config: pytest.Config) -> int:
    """Write it to standard output; kinds in files that the command line or `[run] checks` names are in it, too."""
    for kind in built_in_kinds():
        importlib.import_module(f"healthchecks.test_{kind}")
    named = [config.invocation_params.dir / argument.split("::")[0] for argument in config.args]
    for path in [*named, *places(config)]:
        _load(path)
    print(json.dumps(schema(), indent=2))  # noqa: T201 - what was asked for
    return 0


def schema() -> dict[str, Any]:
    """Of all kinds loaded so far."""
    document = _described(Settings)
    definitions = document.setdefault("$defs", {})
    for name, kind in sorted(loaded_kinds().items()):
        table = _described(kind)
        definitions.update(table.pop("$defs", {}))
        definitions[kind.__name__] = table
        reference = {"$ref": f"#/$defs/{kind.__name__}"}
        named = {"type": "object", "additionalProperties": reference}
        document["properties"][name] = reference if kind.single else named
    return document | {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "servermonitoring.toml"}


def _load(path: Path) -> None:
    files = sorted(path.rglob("test_*.py")) if path.is_dir() else [path]
    for file in files:
        known = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
        if file.is_file() and str(file.resolve()) not in known:
            spec = importlib.util.spec_from_file_location(file.stem, file)
            if spec and spec.loader:
                module = sys.modules[file.stem] = importlib.util.module_from_spec(spec)
                spec.loader.exec_module(module)


def _described(model: type[BaseModel]) -> dict[str, Any]:
    """Pydantic's schema, with the text below each field as its description."""
    document = model.model_json_schema()
    for base in (model, *_inner(model)):
        place = document if base is model else document.get("$defs", {}).get(base.__name__, {})
        for name, text in _texts(base).items():
            if name in place.get("properties", {}):
                place["properties"][name]["description"] = text
    return document


def _inner(model: type[BaseModel]) -> list[type[BaseModel]]:
    found = []
    for field in model.model_fields.values():
        for each in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(each, type) and issubclass(each, BaseModel):
                found += [each, *_inner(each)]
    return found


def _texts(model: type[BaseModel]) -> dict[str, str]:
    texts: dict[str, str] = {}
    for base in reversed([each for each in model.__mro__ if issubclass(each, BaseModel) and each is not BaseModel]):
        body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        statements = body.body if isinstance(body, ast.ClassDef) else []
        for field, text in itertools.pairwise(statements):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                match text:
                    case ast.Expr(value=ast.Constant(value=str(words))):
                        texts[field.target.id] = " ".join(words.split())
    return texts
