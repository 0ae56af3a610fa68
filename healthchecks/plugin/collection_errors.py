"""Errors of single files of an author, one for each: files that cannot be collected, and failing plain tests."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path, PurePath

import pytest

from healthchecks.plugin import collection
from healthchecks.plugin.check_files import MISSING, broken_files
from healthchecks.plugin.check_names import check_name, target_name
from healthchecks.plugin.makereport import is_other_test
from healthchecks.plugin.result import Result, Status, clean
from healthchecks.plugin.run import Run

_NAMED = 3  # tests that a hint names
_LONGEST = 100_000  # characters of a traceback


def record(session: pytest.Session, run: Run) -> None:
    """Record one error for each file that could not be collected, and for each that `[run] checks` names in vain."""
    for report in broken_files(session):
        _record(_of_broken(report, run), run)
    for path in session.config.stash.get(MISSING, ()):
        _record(_of_missing(path, run), run)
        session.testsfailed += 1  # so that pytest's exit status shows it


def folders(items: Iterable[pytest.Item]) -> set[Path]:
    """Return the folders in which checks are."""
    return {item.path.parent for item in items if collection.is_check(item)}


def hints(session: pytest.Session, run: Run) -> list[str]:
    """Return a line about plain tests in folders of checks, which lack the mark."""
    tests = {item.nodeid.partition("[")[0]: item for item in session.items if is_other_test(item, run)}
    if not tests:
        return []
    more = f" and {len(tests) - _NAMED} more" if len(tests) > _NAMED else ""
    return [f"not checked under a timeout, for want of @pytest.mark.healthcheck: {', '.join([*tests][:_NAMED])}{more}"]


def keys(session: pytest.Session) -> set[tuple[str, str]]:
    """Return the keys under which faults of the files in this run would be recorded, and no check is."""
    by_key = {(check_name(item), target_name(item)): item for item in session.items}
    names = {name for item in session.items for name in (check_name(item), _file_name(item.path))}
    checks = {key for key, item in by_key.items() if collection.is_check(item)}
    return (by_key.keys() | {(name, "") for name in names}) - checks


def over(run: Run) -> Iterator[Result]:
    """Yield, for the alerts, that faults of earlier runs are over: only a whole run can say so."""
    for check, target in sorted(run.selection.faultless - run.results.keys() if run.is_whole else ()):
        yield Result(check, target, check, Status.OK, "", 0.0, run.started, run.host)


def _record(result: Result, run: Run) -> None:
    """Record it, under a name of its own where two files have the same."""
    if result.key in run.results:
        result = replace(result, check=result.label)
    run.results.record(replace(result, extras={"reference": f"{collection.FAULT}{result.label}"}))


def _file_name(path: PurePath) -> str:
    return path.stem.removeprefix("test_")


def _of_broken(report: pytest.CollectReport, run: Run) -> Result:
    """Return the result of a file of checks that cannot be collected: one check with the status error."""
    details = clean(report.longrepr, _LONGEST, keep_end=True)
    last = next((line for line in reversed(details.splitlines()) if line.strip()), "cannot be collected")
    return Result(
        check=_file_name(PurePath(report.nodeid)),
        target="",
        label=report.nodeid,
        status=Status.ERROR,
        message=last.removeprefix("E").strip(),
        duration=0.0,
        started=run.started,
        host=run.host,
        details=details,
        kind="CollectError",
    )


def _of_missing(path: Path, run: Run) -> Result:
    name, message = _file_name(path), f"[run] checks names {path}, and there is no such file or folder"
    return Result(
        name, "", str(path), Status.ERROR, message, 0.0, run.started, run.host, details=message, kind="Missing"
    )  # fmt: skip
