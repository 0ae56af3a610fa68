"""How xdist's workers share files: those that ask for the same slow fixture run in one worker.

Each worker starts servers of its own, and the start of a RabbitMQ takes six seconds of processor time, that of a
Bugsink three, a build of the Debian package half a minute. To compile all tests takes five, in a new checkout: each
worker compiles a part of them for all.
"""

import contextlib
import functools
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import NodeManager

SLOW = ("rabbitmq", "built_package", "bugsink")  # fixtures
# Seconds until an interrupted worker is killed; by itself it ends after 15, with what its tests have started.
NodeManager.EXIT_TIMEOUT = 30


class ServerScheduling(LoadFileScheduling):
    """As `--dist loadfile`, with one scope for all files that ask for a slow fixture."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return _scope(self.config.rootpath / file) or file


def compile_part(config: pytest.Config) -> None:
    """Import this worker's part of the files of tests: pytest rewrites and compiles them, and keeps that.

    Otherwise all workers, which begin at the same time, would compile all of them. Only what is in packages below the
    root is imported, as pytest will import it.
    """
    worker = config.workerinput  # type: ignore[attr-defined]
    number, count = int(worker["workerid"].removeprefix("gw")), worker["workercount"]
    for name in sorted(_modules(config))[number::count]:
        with contextlib.suppress(Exception, pytest.skip.Exception):  # reported when it is collected
            importlib.import_module(name)


def _modules(config: pytest.Config) -> Iterator[str]:
    for argument in config.args:
        place = config.invocation_params.dir / argument.partition("::")[0]
        for file in place.rglob("test_*.py") if place.is_dir() else [place]:
            if (file.parent / "__init__.py").exists() and file.is_relative_to(config.rootpath):
                yield ".".join(file.relative_to(config.rootpath).with_suffix("").parts)


@functools.cache
def _scope(path: Path) -> str:
    """Return the slow fixture that a function of the file has as an argument, or asks for by name; "" if none does."""
    text = path.read_text()
    by_name = '|"{0}"' if ".getfixturevalue(" in text else ""
    asks = rf"^def \w+\([^)]*\b{{0}}\b{by_name}"
    return next((name for name in SLOW if re.search(asks.format(name), text, re.MULTILINE)), "")
