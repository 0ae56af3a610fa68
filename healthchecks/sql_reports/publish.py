"""The end of a run that held reports: what came of them is kept, and shown on their page."""

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

from healthchecks.clients.postgresql.query import QueryResult
from healthchecks.plugin import history
from healthchecks.plugin.result import Result
from healthchecks.plugin.run import Run
from healthchecks.sql_reports import page, store
from healthchecks.sql_reports.items import OPTION
from healthchecks.sql_reports.report import Report, number_of
from healthchecks.sql_reports.store import State, Table
from servermonitoring.scrubbing import scrub


def finish(run: Run, untitled: Sequence[Path]) -> None:
    """Store the reports and write their page. What cannot be written is a suite error, and harms nothing else."""
    if untitled:
        run.notices.append(f"not a report, -- title: is missing: {', '.join(sorted(each.name for each in untitled))}")
    results = [each for each in run.results.values() if "report" in each.extras]
    if not results:
        return
    _warn_of_rights(run, results)
    try:
        if run.session.config.getoption(OPTION):
            path = _publish(run, [_state(each) for each in results], {}, page.ONCE)
            run.notices.append(f"reports: {path} (with the parameters of this run: nothing of it is kept)")
            return
        states, numbers = _remember(run, results)
        run.notices.append(f"reports: {_publish(run, states, numbers, page.NAME)}")
    except OSError as error:
        run.add_suite_error(
            "reports", f"the page of the reports could not be written, the old one is still there: {error}"
        )


def _publish(run: Run, states: Sequence[State], numbers: Mapping[str, page.Points], name: str) -> Path:
    """Write the page, after the files that it links to; one of these that fails costs no other."""
    if failed := page.write_tables(run.page_directory, states, name):
        run.add_suite_error("reports", f"not all tables could be written as CSV: {failed[0]}")
    return page.write(run.page_directory, states, numbers, run.host, name)


def _remember(
    run: Run, results: Sequence[Result]
) -> tuple[Sequence[State], Mapping[str, Sequence[tuple[float, float]]]]:
    """Return all reports that ever ran and the points of their metrics; if they cannot be stored, those of this run."""
    states = [_state(each) for each in results]
    path = run.directory / history.NAME
    try:
        try:
            return _kept(run, states)
        except sqlite3.Error as error:
            if not history.is_damaged(error):
                raise
        run.add_suite_error(
            "history",
            f"the history was damaged: renamed to {history.renew(path)}; a new one has what could be read of it",
        )
        return _kept(run, states)
    except (OSError, sqlite3.Error) as error:
        run.add_suite_error("reports", f"the reports' tables are not kept: {error}")
        return states, {}


def _kept(run: Run, states: Sequence[State]) -> tuple[Sequence[State], Mapping[str, Sequence[tuple[float, float]]]]:
    with store.opened(run.directory) as opened:
        opened.keep(states)
        known = opened.states()
    return known, store.trends(run.directory, known, page.DAYS)


def _state(result: Result) -> State:
    report: Report = result.extras["report"]
    folder = report.name.rpartition("/")[0]
    return State(
        name=report.name,
        path=str(result.extras["path"]),
        title=report.title,
        description=report.description,
        database=result.extras["database"],
        group=report.group or folder,
        status=str(result.status),
        message=result.message,
        expect=report.expect.text if report.expect else "",
        chart=(report.chart.form, report.chart.column) if report.chart else None,
        ran=result.started.timestamp(),
        duration=result.duration,
        maintenance=result.maintenance,
        silence=f"until {result.silence.ends}, {result.silence.origin}" if result.silence else "",
        table=_table(result, report, result.extras["query_result"]),
    )


def _table(result: Result, report: Report, query_result: QueryResult | None) -> Table | None:
    if query_result is None:
        return None
    number = number_of(report, query_result)
    return Table(
        asked=result.started.timestamp(),
        columns=[scrub(each.name) for each in query_result.columns],
        numeric=[each.numeric for each in query_result.columns],
        rows=[[cell if cell is None else scrub(cell) for cell in row] for row in query_result.rows],
        count=query_result.count,
        exact=query_result.exact,
        number=None if number is None else str(number),
    )


def _warn_of_rights(run: Run, results: Sequence[Result]) -> None:
    """Warn of a role that may write: a read-only transaction is no barrier by itself."""
    found: dict[str, str] = {}
    for each in results:
        query_result = each.extras["query_result"]
        if query_result is not None and query_result.rights:
            found.setdefault(each.extras["database"], f'the role "{query_result.asked_by}" {query_result.rights}')
    for database, what in found.items():
        run.notices.append(
            f"[database.{database}]: {what}; reports should ask as one that can only read: docs/reports.md"
        )
