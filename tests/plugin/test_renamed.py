"""A former key is an error that names the new one."""

import importlib

import pytest

from healthchecks.plugin.configuration import Configuration, built_in_kinds, loaded_kinds
from healthchecks.plugin.renamed import RENAMED, hint
from healthchecks.plugin.settings import Settings
from servermonitoring.configuration import ConfigurationError

ROWS = [(kind, old, new) for kind, names in RENAMED.items() for old, new in names.items()]


@pytest.mark.parametrize(("kind", "old", "new"), ROWS, ids=[f"{kind} {old}" for kind, old, _ in ROWS])
def test_each_row_applies_where_the_new_key_exists(kind, old, new):
    assert hint(kind, old, {new}) == f'; it is called "{new}" now'
    assert hint(kind, old, {"other"}) == ("" if "[" not in new else hint(kind, old, {new}))
    assert hint(kind, "other", {new}) == ""


def tables():
    """Return the model of each table that ships, by its kind."""
    for kind in built_in_kinds():
        importlib.import_module(f"healthchecks.test_{kind}")
    settings = {name: type(getattr(Settings(), name)) for name in Settings.model_fields if name != "maintenance"}
    return {kind: loaded_kinds()[kind] for kind in built_in_kinds() & loaded_kinds().keys()} | settings


def former_keys():
    """Return kind, former key and new one for each table that had it."""
    return [
        (kind, old, new)
        for kind, model in sorted(tables().items())
        for old, new in (RENAMED["*"] | RENAMED.get(kind, {})).items()
        if new in model.model_fields or new.startswith("[")
    ]


@pytest.mark.parametrize(("kind", "old", "new"), former_keys(), ids=str)
def test_a_former_key_names_the_new_one(tmp_path, kind, old, new):
    model = tables()[kind]
    table = f"[{kind}.a]" if kind in loaded_kinds() and not model.single else f"[{kind}]"
    (tmp_path / "servermonitoring.toml").write_text(f"{table}\n{old} = 1\n")
    with pytest.raises(ConfigurationError) as error:
        Configuration(str(tmp_path / "servermonitoring.toml")).check(is_part=True)
    assert f'{table}: unknown key "{old}"; it is called "{new}" now' in str(error.value)


def test_each_row_of_a_kind_is_of_a_table_that_ships():
    rows = {(kind, old) for kind, old, _ in ROWS if kind not in {"*", "report"}}
    assert rows <= {(kind, old) for kind, old, _ in former_keys()}
