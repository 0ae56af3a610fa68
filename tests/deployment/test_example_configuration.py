"""The example configuration is correct: every example in it is accepted, every default it names is one."""

import importlib
import re
import tomllib

import pytest

from healthchecks.plugin.configuration.loader import built_in_kinds, loaded_kinds
from healthchecks.plugin.configuration.settings import MonitorSettings, SuiteSettings
from tests import ROOT
from tests.fork_server import run_pytest
from watchdog.policy import DEFAULT
from watchdog.settings import rules_of

EXAMPLE = (ROOT / "deploy/servermonitoring.toml").read_text()
IN_FORCE = re.sub(r"^#(?=[\[a-z\"])", "", EXAMPLE, flags=re.MULTILINE)
TABLES = tomllib.loads(IN_FORCE)


def defaults() -> list[tuple[str, str, object]]:
    """Table, key and value of each line that says that it is the default."""
    found, table = [], ""
    for line in IN_FORCE.splitlines():
        if heading := re.match(r"\[(.+?)\]", line):
            table = heading[1]
        elif re.search(r"\s#.*\bdefault\b", line):
            ((key, value),) = tomllib.loads(line).items()
            found.append((table, key, value))
    return found


def model(table: str):
    """What the table of a target or of a setting is read by."""
    if table.startswith("sentry.check_in"):
        return MonitorSettings
    for kind in built_in_kinds():
        importlib.import_module(f"healthchecks.test_{kind}")
    kind = table.partition(".")[0]
    return loaded_kinds().get(kind) or type(getattr(SuiteSettings(), kind))


def test_every_example_in_it_is_accepted(tmp_path):
    """With all comments of examples taken away it passes the project's own check of a configuration."""
    for name in re.findall(r"file:/etc/servermonitoring/([\w-]+)", IN_FORCE):
        (tmp_path / name).write_text(f"https://of.the.test/{name}")
    text = IN_FORCE.replace("file:/etc/servermonitoring/", f"file:{tmp_path}/")
    (tmp_path / "servermonitoring.toml").write_text(text)
    status, output = run_pytest("-q", "--pyargs", "healthchecks", "--collect-only", cwd=tmp_path)
    assert status == 0, output
    for name in (
        "website_access[home]",
        "database_access[main]",
        "bookmarklet_status[collect]",
        "job_status[nightly]",
        "command_status[ping]",
    ):
        assert name in output


def test_as_it_ships_it_only_says_where_things_are():
    """Nothing is contacted before the user has said so."""
    assert tomllib.loads(EXAMPLE) == {
        "state": {"directory": "/var/lib/servermonitoring"},
        "dashboard": {"directory": "/var/www/servermonitoring"},
    }


def test_it_shows_every_kind_and_every_table_of_settings():
    assert built_in_kinds() | set(SuiteSettings.model_fields) <= set(TABLES)


@pytest.mark.parametrize(("table", "key", "value"), defaults(), ids=str)
def test_a_value_that_it_calls_the_default_is_one(table, key, value):
    if table.startswith("watchdog."):
        (rule,) = rules_of({"watchdog": {"firefox": {key: value}}}, problems := [])
        assert (getattr(rule, key), problems) == (getattr(DEFAULT, key), [])
        return
    fields = model(table).model_fields
    name = next(name for name, field in fields.items() if key in (name, field.alias))
    assert type_of(model(table), name).validate_python(value) == fields[name].default


def type_of(kind, name):
    from pydantic import TypeAdapter

    field = kind.model_fields[name]
    return TypeAdapter(field.rebuild_annotation())


def test_there_are_defaults():
    assert len(defaults()) > 25
