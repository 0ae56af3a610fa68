"""The order in which xdist's workers run files: those that ask for the same slow server run in one worker.

Each worker starts servers of its own, and the start of a RabbitMQ takes six seconds of processor time.
"""

import functools
import re
from pathlib import Path

from xdist.scheduler import LoadFileScheduling

SLOW = ("rabbitmq",)  # fixtures


class ServerScheduling(LoadFileScheduling):
    """As `--dist loadfile`, with one scope for all files that ask for a slow server."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return _scope(self.config.rootpath / file) or file


@functools.cache
def _scope(path: Path) -> str:
    """Return the slow server that a function of the file has as an argument; "" where there is none."""
    text = path.read_text()
    return next((name for name in SLOW if re.search(rf"^def \w+\([^)]*\b{name}\b", text, re.MULTILINE)), "")
