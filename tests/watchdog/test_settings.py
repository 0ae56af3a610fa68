"""The watchdog's settings and the suite's check of it share the table [watchdog]."""

from healthchecks.test_watchdog import Watchdog
from watchdog.settings import CHECK_KEYS


def test_keys_of_the_check_are_those_of_the_suite():
    """The watchdog loads nothing of the suite, so it has a copy of the names, fields of every target included."""
    assert set(Watchdog.model_fields) == CHECK_KEYS
