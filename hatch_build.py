"""An editable install comes before what else is installed.

PyPI has another package whose import name is `watchdog`. Installed side by side as wheels, both share one directory;
of a checkout on sys.path behind site-packages, that other one would hide ours.
"""

from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# `sitedir` is the site-packages directory that Python reads this file in: Lib/site.py, addpackage().
_LINE = "import sys; sys.path.insert(sys.path.index(sys._getframe(1).f_locals['sitedir']), {root!r})\n"


class EditableFirst(BuildHookInterface[Any]):
    """Adds a .pth file to the wheel of an editable install, and nothing to others."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            file = Path(mkdtemp(), "first.pth")
            file.write_text(_LINE.format(root=self.root))
            build_data["force_include_editable"][str(file)] = "_servermonitoring_first.pth"
