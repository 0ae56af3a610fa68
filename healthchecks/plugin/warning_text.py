"""Warnings of checks, which pytest shows at the end: like all text of a check, without secrets and bounded."""

import warnings

import pytest

from healthchecks.plugin.text import clean

_LONGEST = 2_000  # characters


class WarningText:
    """A plugin of one run."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_warning_recorded(self, warning_message: warnings.WarningMessage) -> None:
        warning_message.message = UserWarning(clean(warning_message.message, _LONGEST))
