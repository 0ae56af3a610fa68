"""What pydantic finds wrong, in the words of the configuration file: table, key, value, and what to write instead.

A former key is named with its new name, a value out of range with the limits of its field.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from healthchecks.plugin.configuration.target import key_descriptions
from servermonitoring import values
from servermonitoring.configuration import Problem, echo, nearest, place, table, without
from servermonitoring.delivery.notify_url import NotifyUrl
from servermonitoring.secret import Secret

# By kind of table ("website", "run"), "*" for every table, mark and report header. A row applies only where the new
# key exists or is in another table; one of the table's own comes before one of "*".
RENAMED: dict[str, dict[str, str]] = {
    "*": {
        "deadline": "timeout",
        "after": "failure_threshold",
    },
    "alerts": {"storm": "max_per_run", "per_day": "max_per_day"},
    "bookmarklet": {
        "log": "[job.NAME] log",
        "ok": "[job.NAME] ok",
        "fail": "[job.NAME] fail",
        "fresh_within": "[job.NAME] max_age",
    },
    "database": {
        "connections_used": "max_connections_used",
        "oldest_transaction": "max_transaction_age",
        "replication_lag": "max_replication_lag",
    },
    "disk": {"used": "max_used", "inodes": "max_inodes_used"},
    "history": {"days": "max_age"},
    "host": {"available": "min_memory_available", "swap": "max_swap_used", "load": "max_load_per_core"},
    "login": {"lacks": "not_contains", "redirects": "max_redirects"},
    "website": {
        "lacks": "not_contains",
        "redirects": "max_redirects",
        "time": "max_response_time",
        "ends_at": "final_url",
        "certificate_days": "min_certificate_days",
    },
}

_TEXT, _LIST, _BOOLEAN = 'write a text, in quotes: "text"', 'write a list, in brackets: ["text"]', "write true or false"
_INTEGER, _NUMBER = "write a whole number", "write a number"
_FORMS = {  # by pydantic's type of error
    "string_type": _TEXT,
    "path_type": _TEXT,
    "tuple_type": _LIST,
    "list_type": _LIST,
    "set_type": _LIST,
    "frozen_set_type": _LIST,
    "bool_type": _BOOLEAN,
    "bool_parsing": _BOOLEAN,
    "int_type": _INTEGER,
    "int_parsing": _INTEGER,
    "int_from_float": _INTEGER,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
}
_WORDS = {"gt": "more than", "ge": "at least", "lt": "less than", "le": "at most"}


def problems_of(error: ValidationError, model: type[BaseModel], where: tuple[str, ...]) -> list[Problem]:
    """Return one for each error; `where` is the path of the table that was validated."""
    return [_problem(each, model, where) for each in error.errors(include_url=False)]


def booleans_for_numbers(model: type[BaseModel], keys: dict[str, Any], where: tuple[str, ...]) -> Iterator[Problem]:
    """Yield one for each boolean where a number is wanted: pydantic takes true for 1."""
    for path, value in _booleans(keys):
        field = _field(model, path)
        if field and _is_number(field.annotation):
            yield Problem(place((*where, *path)), f"{echo(value, path)}: {_NUMBER}")


def _is_number(annotation: object) -> bool:
    return not mentions(annotation, bool) and (mentions(annotation, int) or mentions(annotation, float))


def _booleans(keys: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], bool]]:
    """Yield the path and the value of each."""
    for key, value in keys.items():
        if isinstance(value, bool):
            yield (key,), value
        elif isinstance(value, dict):
            yield from (((key, *path), inner) for path, inner in _booleans(value))


def _problem(error: ErrorDetails, model: type[BaseModel], where: tuple[str, ...]) -> Problem:
    path = (*where, *(part for part in error["loc"] if not _is_noise(part)))
    key = str(path[-1]) if len(path) > len(where) else ""
    if error["type"] == "extra_forbidden":
        known, kind = _keys(model, error["loc"]), str(path[0]) if len(path) > 1 else ""
        return Problem(table(path[:-1]), f'unknown key "{key}"{renamed_hint(kind, key, known) or nearest(key, known)}')
    if error["type"] == "missing":
        return Problem(table(path[:-1]), f'"{key}" is missing{_meaning(model, error["loc"])}')
    value, field = error["input"], _field(model, error["loc"])
    message = _advice(error, field, path) or error["msg"].removeprefix("Value error, ")
    shown = "" if isinstance(value, dict) or (field and mentions(field.annotation, Secret)) else echo(value, path)
    if not shown and not isinstance(value, dict):
        message = without(message, _urls_in(value) if field and mentions(field.annotation, NotifyUrl) else value)
    is_quoted = message.startswith(shown) or (isinstance(value, str) and shown in message)
    shown = "" if is_quoted else f"{shown}: "
    of_table = isinstance(value, dict) and error["type"] == "value_error"
    return Problem(
        table(path) if of_table or not error["loc"] else place(path), shown + message[:1].lower() + message[1:]
    )


def _meaning(model: type[BaseModel], path: tuple[str | int, ...]) -> str:
    """Return ': URL of the first request', the first words about the key; "" for a key without a description."""
    text = re.split(r"\. |; |\.$", key_descriptions(_table(model, path)).get(str(path[-1]), ""), maxsplit=1)[0]
    is_word = not text[1:2].isupper()  # not URL
    return f": {text[0].lower() if is_word else text[0]}{text[1:]}" if text else ""


def _urls_in(entries: object) -> object:
    """Return the secrets of `[alerts] notify`: no keys of its tables, and no words of `only`, which messages name."""
    if not isinstance(entries, list):
        return entries
    return [each.get("url", "") if isinstance(each, dict) else each for each in entries]


def _advice(error: ErrorDetails, field: FieldInfo | None, path: tuple[str | int, ...]) -> str:
    """Return what to write instead, where pydantic does not say it; else nothing."""
    if error["type"] in {"dict_type", "model_type"}:
        return f"is not a table: write {table(path)}"
    if error["type"] == "string_too_long":
        return f"write at most {error['ctx']['max_length']} characters"
    if field and error["type"] in {"greater_than", "greater_than_equal", "less_than", "less_than_equal"}:
        return f"write {_range_in_words(field)}"
    return _FORMS.get(error["type"], "")


def _is_noise(part: str | int) -> bool:
    """Return whether pydantic has added this part for its own validators, unions and tagged choices."""
    return isinstance(part, str) and not re.fullmatch(r"[\w./:@+-]+", part)


def _keys(model: type[BaseModel], path: Iterable[str | int]) -> list[str]:
    """Return the keys known at the place that a path leads to."""
    return [field.alias or name for name, field in _table(model, path).model_fields.items()]


def _field(model: type[BaseModel], path: Iterable[str | int]) -> FieldInfo | None:
    """Return the field that a path leads to, or to an item of."""
    path, found = list(path), None
    for length in range(1, len(path) + 1):
        fields = _table(model, path[:length]).model_fields
        aliases = {field.alias: field for field in fields.values()}
        found = fields.get(str(path[length - 1])) or aliases.get(str(path[length - 1])) or found
    return found


def _table(model: type[BaseModel], path: Iterable[str | int]) -> type[BaseModel]:
    """Return the model of the table that a key is in, through nested tables."""
    for part in list(path)[:-1]:
        field = model.model_fields.get(str(part))
        model = (_inner_model(field.annotation) if field else None) or model
    return model


def _inner_model(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    arguments = getattr(annotation, "__args__", ())
    return next((found for each in arguments if (found := _inner_model(each))), None)


def renamed_hint(kind: str, key: str, known: Collection[str]) -> str:
    """Return '; it is called "timeout" now', to follow 'unknown key "deadline"'; "" for a key never renamed."""
    name = _new_name(kind, key, known)
    return f'; it is called "{name}" now' if name else ""


def _new_name(kind: str, key: str, known: Collection[str]) -> str:
    """Return what a former key of a table is called now; "" for a key that was never there."""
    name = RENAMED.get(kind, {}).get(key) or RENAMED["*"].get(key, "")
    return name if name in known or name.startswith("[") else ""


def mentions(annotation: Any, kind: object) -> bool:
    """Return whether a type is of this kind, or made of it: a list, a dictionary or one of several."""
    arguments = (*getattr(annotation, "__args__", ()), *getattr(annotation, "__metadata__", ()))
    is_kind = isinstance(annotation, type) and isinstance(kind, type) and issubclass(annotation, kind)
    if annotation is bool:  # a kind of int for Python
        is_kind = False
    return is_kind or annotation == kind or any(mentions(each, kind) for each in arguments)


def bounds(field: FieldInfo) -> dict[str, Any]:
    """Return the limits of a field, by "gt", "ge", "lt", "le"."""
    found: dict[str, Any] = {}
    for each in _metadata(field):
        found |= {name: limit for name in _WORDS if (limit := getattr(each, name, None)) is not None}
    return found


def _range_in_words(field: FieldInfo) -> str:
    """Return the limits of a field for people: "a number from 1 to 65535", "more than 0, at most 1 d"."""
    limits = {name: _number(limit, field) for name, limit in bounds(field).items()}
    if limits.keys() == {"ge", "le"}:
        return f"a number from {limits['ge']} to {limits['le']}"
    return ", ".join(f"{_WORDS[name]} {limit}" for name, limit in limits.items())


def _number(limit: float, field: FieldInfo) -> str:
    if limit and _is_read_by(values.duration, field):
        return values.in_words(limit)
    return values.size_in_words(limit) if limit and _is_read_by(values.size, field) else f"{limit:.15g}"


def _is_read_by(function: Any, field: FieldInfo) -> bool:
    return any(getattr(each, "func", None) is function for each in _metadata(field))


def _metadata(field: FieldInfo) -> list[Any]:
    inner = [data for each in getattr(field.annotation, "__args__", ()) for data in getattr(each, "__metadata__", ())]
    return [*field.metadata, *inner]
