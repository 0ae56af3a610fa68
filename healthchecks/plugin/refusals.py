"""Alerts that a receiver refused: whoever reads that nothing was sent must not take them for delivered."""

import time
from pathlib import Path

_LATELY = 86400.0  # seconds


def handed_over_before(count: int, directory: Path) -> str:
    """Return what the summary says of checks whose alert went out in an earlier run; `directory` is the state's."""
    refused = [each for each in directory.glob("spool/*/refused/*") if _age(each) < _LATELY]
    if not refused:
        return f"{count} told before"
    folders = ", ".join(sorted({str(each.parent) for each in refused}))
    were = f"{len(refused)} {'were' if len(refused) > 1 else 'was'}"
    return f"{count} handed over before, but of the last day {were} refused: see {folders}"


def _age(path: Path) -> float:
    try:
        return time.time() - path.lstat().st_mtime
    except OSError:
        return _LATELY
