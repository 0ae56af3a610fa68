"""A former key is an error that names the new one."""

import pytest

from healthchecks.plugin.configuration.errors import RENAMED, renamed_hint
from healthchecks.plugin.configuration.loader import Configuration, built_in_kinds
from healthchecks.plugin.configuration.settings import SuiteSettings
from healthchecks.plugin.options import add_options
from healthchecks.sql_reports import hooks
from servermonitoring.configuration import ConfigurationError

ROWS = [(kind, old, new) for kind, names in RENAMED.items() for old, new in names.items()]


@pytest.mark.parametrize(("kind", "old", "new"), ROWS, ids=[f"{kind} {old}" for kind, old, _ in ROWS])
def test_each_row_applies_where_the_new_key_exists(kind, old, new):
    assert renamed_hint(kind, old, {new}) == f'; it is called "{new}" now'
    assert new.startswith("[job.") or renamed_hint(kind, old, {"other"}) == ""
    assert renamed_hint(kind, "other", {new}) == ""


@pytest.mark.parametrize(("kind", "old", "new"), ROWS, ids=[f"{kind} {old}" for kind, old, _ in ROWS])
def test_the_configuration_error_names_the_new_key(kind, old, new, tmp_path):
    path = tmp_path / "servermonitoring.toml"
    tables = {"*": "tcp.x"}.get(kind, kind if kind in {*SuiteSettings.model_fields, "host"} else f"{kind}.x")
    assert tables.partition(".")[0] in {*SuiteSettings.model_fields, *built_in_kinds()}
    path.write_text(f"[{tables}]\n{old} = 1\n")
    with pytest.raises(ConfigurationError) as caught:
        Configuration(str(path)).check()
    assert f'[{tables}]: unknown key "{old}"; it is called "{new}" now' in str(caught.value)


def test_of_the_run(tmp_path):
    path = tmp_path / "servermonitoring.toml"
    path.write_text("[run]\ndeadline = '5m'\nafter = 1\n")
    with pytest.raises(ConfigurationError) as caught:
        Configuration(str(path)).check()
    assert '[run]: unknown key "deadline"; it is called "timeout" now' in str(caught.value)
    assert '[run]: unknown key "after"; known: checks, timeout' in str(caught.value)


class Options:
    """What add_options() needs of pytest's parser, and of its group."""

    def __init__(self):
        self.names = []

    def getgroup(self, _title):
        return self

    def addoption(self, name, **_settings):
        self.names.append(name)


def test_all_options_have_the_prefix():
    options = Options()
    add_options(options)
    hooks.pytest_addoption(options)
    assert len(options.names) == 8
    assert [name for name in options.names if not name.startswith("--monitoring-")] == []
