"""What pydantic finds wrong, in the words of the configuration file: table, key, value, and what to write instead."""

import re
from collections.abc import Iterable

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from healthchecks.plugin.configuration.fields import mentions, range_in_words
from healthchecks.plugin.configuration.renamed import hint
from servermonitoring.configuration import Problem, echo, nearest, place, table, without
from servermonitoring.secret import Secret


def problems_of(error: ValidationError, model: type[BaseModel], where: tuple[str, ...]) -> list[Problem]:
    """One for each error; `where` is the path of the table that was validated."""
    return [_problem(each, model, where) for each in error.errors(include_url=False)]


def _problem(error: ErrorDetails, model: type[BaseModel], where: tuple[str, ...]) -> Problem:
    path = (*where, *(part for part in error["loc"] if not _is_noise(part)))
    key = str(path[-1]) if len(path) > len(where) else ""
    if error["type"] == "extra_forbidden":
        known, kind = _keys(model, error["loc"]), str(path[0]) if len(path) > 1 else ""
        return Problem(table(path[:-1]), f'unknown key "{key}"{hint(kind, key, known) or nearest(key, known)}')
    if error["type"] == "missing":
        return Problem(table(path[:-1]), f'"{key}" is missing')
    value, field = error["input"], _field(model, error["loc"])
    message = _advice(error, field) or error["msg"].removeprefix("Value error, ")
    shown = "" if isinstance(value, dict) or (field and mentions(field.annotation, Secret)) else echo(value, path)
    if not shown and not isinstance(value, dict):
        message = without(message, value)
    is_told = message.startswith(shown) or (isinstance(value, str) and shown in message)
    shown = "" if is_told else f"{shown}: "
    of_table = isinstance(value, dict) and error["type"] == "value_error"
    return Problem(
        table(path) if of_table or not error["loc"] else place(path), shown + message[:1].lower() + message[1:]
    )


def _advice(error: ErrorDetails, field: FieldInfo | None) -> str:
    """What to write instead, where pydantic has none; else nothing."""
    if error["type"] == "string_type":
        return 'write a text, in quotes: "text"'
    if field and error["type"] in {"greater_than", "greater_than_equal", "less_than", "less_than_equal"}:
        return f"write {range_in_words(field)}"
    return ""


def _is_noise(part: str | int) -> bool:
    """Parts that pydantic adds for its own validators, unions and tagged choices."""
    return isinstance(part, str) and not re.fullmatch(r"[\w./:@+-]+", part)


def _keys(model: type[BaseModel], path: Iterable[str | int]) -> list[str]:
    """The keys known at the place that a path leads to."""
    return [field.alias or name for name, field in _table(model, path).model_fields.items()]


def _field(model: type[BaseModel], path: Iterable[str | int]) -> FieldInfo | None:
    """The field that a path leads to, or to an item of."""
    path, found = list(path), None
    for length in range(1, len(path) + 1):
        fields = _table(model, path[:length]).model_fields
        aliases = {field.alias: field for field in fields.values()}
        found = fields.get(str(path[length - 1])) or aliases.get(str(path[length - 1])) or found
    return found


def _table(model: type[BaseModel], path: Iterable[str | int]) -> type[BaseModel]:
    """The model of the table that a key is in, through nested tables."""
    for part in list(path)[:-1]:
        field = model.model_fields.get(str(part))
        model = (_inner_model(field.annotation) if field else None) or model
    return model


def _inner_model(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    arguments = getattr(annotation, "__args__", ())
    return next((found for each in arguments if (found := _inner_model(each))), None)
