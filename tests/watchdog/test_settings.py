"""The watchdog's settings and the suite's check of it share the table [watchdog]."""

import pytest

from healthchecks.plugin.configuration.errors import RENAMED as RENAMED_BY_THE_SUITE
from healthchecks.test_watchdog import Watchdog
from servermonitoring.configuration import ConfigurationError
from watchdog.settings import CHECK_KEYS, RENAMED, load


def test_keys_of_the_check_are_those_of_the_suite():
    """The watchdog loads nothing of the suite, so it has a copy of the names, fields of every target included."""
    assert set(Watchdog.model_fields) == CHECK_KEYS


def test_former_keys_are_those_of_the_suite():
    """The suite has them for every target, and none for the watchdog alone."""
    by_the_suite = RENAMED_BY_THE_SUITE["*"] | RENAMED_BY_THE_SUITE.get("watchdog", {})
    assert by_the_suite == RENAMED


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_the_error_about_a_former_key_names_the_new_one(tmp_path, old, new):
    path = tmp_path / "servermonitoring.toml"
    path.write_text(f"[watchdog]\n{old} = 3\n")
    with pytest.raises(ConfigurationError) as caught:
        load(str(path))
    assert f'[watchdog] {old}: unknown key (value 3); it is called "{new}" now' in str(caught.value)
