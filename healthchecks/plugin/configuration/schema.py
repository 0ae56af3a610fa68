"""A JSON schema of the configuration file, so that editors complete and check it."""

import ast
import inspect
import itertools
import textwrap
from typing import Any

from pydantic import BaseModel

from healthchecks.plugin.configuration.loader import loaded_kinds
from healthchecks.plugin.configuration.settings import SuiteSettings


def schema() -> dict[str, Any]:
    """Of all kinds loaded so far."""
    document = _described(SuiteSettings)
    definitions = document.setdefault("$defs", {})
    for name, kind in sorted(loaded_kinds().items()):
        table = _described(kind)
        definitions.update(table.pop("$defs", {}))
        definitions[kind.__name__] = table
        reference = {"$ref": f"#/$defs/{kind.__name__}"}
        named = {"type": "object", "additionalProperties": reference}
        document["properties"][name] = reference if kind.single else named
    return document | {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "servermonitoring.toml"}


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
