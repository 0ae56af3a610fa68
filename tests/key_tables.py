"""The tables of keys in README.md and docs/, written from the fields of the configuration's models.

`.venv/bin/python -m tests.key_tables` writes them: below each `<!-- keys: website -->` the key, default and
description of each field that this model adds to those it inherits.
"""

import importlib
import json
import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from healthchecks.clients.http.options import WebKeys
from healthchecks.plugin.configuration.loader import built_in_kinds, loaded_kinds
from healthchecks.plugin.configuration.maintenance import Maintenance
from healthchecks.plugin.configuration.settings import CheckInSettings, MonitorSettings, SuiteSettings
from healthchecks.plugin.configuration.target import Target, key_descriptions
from healthchecks.test_rabbitmq import Queue
from servermonitoring import values
from servermonitoring.secret import Secret
from tests import ROOT

DOCUMENTS = [ROOT / "README.md", ROOT / "docs/configuration.md", *sorted((ROOT / "docs").glob("checks-*.md"))]
_TABLE = re.compile(r"(?<=^<!-- keys: )([\w.]+) -->\n*(?:\|.*\n)*\n*", re.MULTILINE)
_HEAD = "| key | default | meaning |\n|---|---|---|\n"
_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_NO_DEFAULT = (None, "", (), {})
_PARTS: dict[type[BaseModel], tuple[type[BaseModel], ...]] = {CheckInSettings: (MonitorSettings,)}
"""Bases whose keys are in the table of a model, too."""


def models() -> dict[str, type[BaseModel]]:
    """Return the models by the names that the documents give them."""
    for kind in built_in_kinds():
        importlib.import_module(f"healthchecks.test_{kind}")
    kinds = {name: kind for name, kind in loaded_kinds().items() if kind.__module__.startswith("healthchecks.")}
    settings = {name: type(table) for name, table in SuiteSettings() if isinstance(table, BaseModel)}
    inner = {"rabbitmq.queues": Queue, "sentry.check_in": CheckInSettings, "maintenance": Maintenance}
    return {"target": Target, "web": WebKeys, **kinds, **settings, **inner}


def table(model: type[BaseModel]) -> str:
    """Return the table in Markdown."""
    texts = key_descriptions(model)
    own = (*_PARTS.get(model, ()), model)
    names = [name for part in own for name in part.__annotations__ if name in model.model_fields]
    fields = [(name, model.model_fields[name]) for name in names]
    return _HEAD + "".join(_row(field.alias or name, field, texts[field.alias or name]) for name, field in fields)


def with_tables(document: str) -> str:
    """Return the document with all of its tables as they should be."""
    found = models()
    written = _TABLE.sub(lambda match: f"{match[1]} -->\n\n{table(found[match[1]])}\n", document)
    return written.rstrip("\n") + "\n"


def documented() -> list[str]:
    """Return the names of the models that have a table."""
    return [match[1] for path in DOCUMENTS for match in _TABLE.finditer(path.read_text())]


def _row(key: str, field: FieldInfo, text: str) -> str:
    default = "" if "default: " in text else _default(field)
    return f"| `{key}` | {f'{default} ' * bool(default)}| {text.removesuffix('.')} |\n"


def _default(field: FieldInfo) -> str:
    """Return the default as it would be written in the configuration; nothing for none, or one that the text names."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    return "" if value in _NO_DEFAULT else f"`{_written(value, field)}`"


def _written(value: Any, field: FieldInfo) -> str:
    read_by = [getattr(each, "func", None) for each in field.metadata]
    if values.duration in read_by:
        unit = next(unit for unit, seconds in _UNITS.items() if value % seconds == 0)
        return f'"{value / _UNITS[unit]:g}{unit}"'
    if values.size in read_by:
        return f'"{values.size_in_words(value).replace(" ", "")}"'
    if values.percentage in read_by:
        return f'"{value:.0%}"'
    if isinstance(value, tuple):
        return value[0] if value[0].isdigit() else f"[{', '.join(map(json.dumps, value))}]"
    text = value.reveal() if isinstance(value, Secret) else value
    return f'"{text}"' if isinstance(text, str | Path) else str(text).lower().removesuffix(".0")


if __name__ == "__main__":
    for path in DOCUMENTS:
        path.write_text(with_tables(path.read_text()))
