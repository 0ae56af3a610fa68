"""Compiled templates, kept in the state directory: compiling them anew takes longer than all the rest of the page."""

import contextlib
import io
import os
from pathlib import Path

from jinja2 import BytecodeCache
from jinja2.bccache import Bucket

from servermonitoring.files import remove_abandoned, write_whole

DIRECTORY = "templates"


class CompiledTemplates(BytecodeCache):
    """Code is taken from a directory that only this user can write to, or not at all; what fails costs time only."""

    def __init__(self, state: Path) -> None:
        self._folder = state / DIRECTORY

    def load_bytecode(self, bucket: Bucket) -> None:
        with contextlib.suppress(OSError):
            path = self._folder / bucket.key
            if all(_is_ours(each) for each in (self._folder.parent, self._folder, path)):
                bucket.load_bytecode(io.BytesIO(path.read_bytes()))

    def dump_bytecode(self, bucket: Bucket) -> None:
        with contextlib.suppress(OSError):
            if _is_ours(self._folder.parent):
                self._folder.mkdir(mode=0o700, exist_ok=True)
                remove_abandoned(self._folder)
                write_whole(self._folder / bucket.key, bucket.bytecode_to_string(), durable=False)


def _is_ours(path: Path) -> bool:
    status = os.lstat(path)
    return status.st_uid == os.geteuid() and not status.st_mode & 0o022
