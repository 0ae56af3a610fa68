"""What pydantic finds wrong, in the words of the configuration file: table, key, value, and what to write instead."""

import re
from collections.abc import Iterable

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from servermonitoring.configuration import Problem, nearest, place, table
from servermonitoring.scrubbing import is_sensitive


def problems_of(error: ValidationError, model: type[BaseModel], where: tuple[str, ...]) -> list[Problem]:
    """One for each error; `where` is the path of the table that was validated."""
    return [_problem(each, model, where) for each in error.errors(include_url=False)]


def _problem(error: ErrorDetails, model: type[BaseModel], where: tuple[str, ...]) -> Problem:
    path = (*where, *(str(part) for part in error["loc"] if not _is_noise(part)))
    key = path[-1] if len(path) > len(where) else ""
    if error["type"] == "extra_forbidden":
        return Problem(table(path[:-1]), f'unknown key "{key}"{nearest(key, _keys(model, error["loc"]))}')
    if error["type"] == "missing":
        return Problem(table(path[:-1]), f'"{key}" is missing')
    message = error["msg"].removeprefix("Value error, ")
    value = error["input"]
    shown = "" if isinstance(value, dict) or is_sensitive(key) or repr(value) in message else f"{value!r}: "
    of_table = isinstance(value, dict) and error["type"] == "value_error"
    return Problem(
        table(path) if of_table or not error["loc"] else place(path), shown + message[:1].lower() + message[1:]
    )


def _is_noise(part: str | int) -> bool:
    """Parts that pydantic adds for its own validators, unions and tagged choices."""
    return isinstance(part, str) and not re.fullmatch(r"[\w./:@+-]+", part)


def _keys(model: type[BaseModel], path: Iterable[str | int]) -> Iterable[str]:
    """The keys known at the place that a path leads to, through nested tables."""
    for part in list(path)[:-1]:
        field = model.model_fields.get(str(part))
        inner = _inner_model(field.annotation) if field else None
        model = inner or model
    return [field.alias or name for name, field in model.model_fields.items()]


def _inner_model(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    arguments = getattr(annotation, "__args__", ())
    return next((found for each in arguments if (found := _inner_model(each))), None)
