"""Watchdog that kills browsers that hang or use too much memory; `validate_process(pid)` keeps one alive.

PyPI has a package of the same import name, for file-system events: the path is extended, so that both can
be installed in one environment.
"""

from pkgutil import extend_path
from typing import Any

__path__ = extend_path(__path__, __name__)


def __getattr__(name: str) -> Any:
    if name == "validate_process":
        from watchdog.validation import validate_process

        return validate_process
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
