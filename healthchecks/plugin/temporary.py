"""A place for what pytest captures, also where every disk is full: memory."""

import os
import tempfile

import pytest

_MEMORY = "/dev/shm"  # noqa: S108 - as hostile as /tmp, and used as carefully


def secure(config: pytest.Config) -> None:
    """Where no file can be made in any directory for temporary ones, take one in memory, or none at all."""
    if _is_there():
        return
    before = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = _MEMORY
    if _is_there():
        return
    os.environ.pop("TMPDIR")
    if before is not None:
        os.environ["TMPDIR"] = before
    if config.known_args_namespace.capture in ("fd", "tee-sys"):
        config.known_args_namespace.capture = "sys"


def _is_there() -> bool:
    try:
        tempfile.gettempdir()
    except OSError:
        return False
    return True
