"""From .sql files to pytest items."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from healthchecks import Unhealthy, remaining
from healthchecks.clients.postgresql.query import Query, QueryResult, ask
from healthchecks.plugin import collection
from healthchecks.plugin.probes.fixture import Probe
from healthchecks.plugin.probes.message import value_of_bytes
from healthchecks.plugin.run import RUN
from healthchecks.plugin.runtest import METRICS, stop_if_blocked, value_of
from healthchecks.sql_reports import CHECK, folder_of
from healthchecks.sql_reports.parser import read_report
from healthchecks.sql_reports.report import Report, evaluate, metrics_of
from servermonitoring import clock
from servermonitoring.configuration import Problem, echo, nearest

if TYPE_CHECKING:
    from healthchecks.plugin.configuration.loader import Configuration


OPTION = "monitoring_param"


def given_parameters(config: pytest.Config) -> dict[str, str]:
    """Return the parameters of the command line by name. Raise pytest.UsageError for one that is not NAME=VALUE."""
    given = {}
    for text in config.getoption(OPTION):
        name, equals, value = text.partition("=")
        if not equals or not name.strip().isidentifier():
            raise pytest.UsageError(f"--monitoring-param {echo(text)}: write NAME=VALUE")
        given[name.strip()] = value
    return given


def unknown_parameters(session: pytest.Session) -> list[str]:
    """Return one line for each given parameter that no selected report has."""
    known = {name for item in session.items if isinstance(item, ReportItem) for name in item.target.parameters}
    unknown = [name for name in given_parameters(session.config) if name not in known]
    return [f"--monitoring-param: no report has a parameter {name}{nearest(name, known)}" for name in unknown]


_AT_A_TIME = 2  # connections; the role of deploy/postgresql.sql may have 5, and the checks ask meanwhile
_FULL = "connections"  # is in what is said of a role, or a server, that may have no more of them
_PAUSE = 0.2  # seconds; a server counts a session for a moment after its end


class ReportFile(pytest.File):
    """One .sql file, with one report in it."""

    def collect(self) -> Iterator["ReportItem"]:
        yield ReportItem.from_parent(self, name=collection.clean_id(self.path.stem))


class ReportItem(collection.CheckItem):
    """A report as a check: its probe runs the query, its test checks the expectation."""

    target: Report

    def __init__(self, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.check = CHECK
        shown = _shown(self.path, self.config.invocation_params.dir)
        above = folder_of(self.path, self.session) or self.config.rootpath
        self.target, self._problems = read_report(self.path, report_name(self.path, above), shown)
        self.probe = PROBE
        self.query_result: QueryResult | None = None
        self._shown, self._database = shown, self.target.database
        self.add_marker(collection.MARKER)

    def prepare(self, configuration: "Configuration") -> Iterable[Problem]:
        wrong = [*map(str, self._problems), *(f"needs: {each}" for each in configuration.unknown_needs(self.target))]
        wrong = [each for each in wrong if each != self.target.chart_problem]
        databases = configuration.targets_of("database")
        if not databases:
            self.add_marker(pytest.mark.skip(reason=f"no [database.NAME] in {configuration.name}"))
            return
        name = self.target.database or configuration.settings.reports.database or _only(databases)
        if name in databases:
            self._database = name
            self.target.connect(databases[name].access(), given_parameters(self.config))
        elif self.target.database:
            wrong.append(_no_database(name, databases, configuration.name))
        else:
            yield Problem(self._shown, _no_database(name, databases, configuration.name))
        if wrong:
            self.stash[collection.PROBLEM] = "; ".join(wrong)

    def runtest(self) -> None:
        run = self.config.stash[RUN]
        self.query_result, self.stash[METRICS] = None, []
        stop_if_blocked(self.target, run)
        query_result = value_of_bytes(value_of(self, run, run.pool.submit(self.probe, self.target)))
        assert isinstance(query_result, QueryResult)
        self.query_result = query_result
        if not self.config.getoption(OPTION):  # with parameters of this run it is another number
            self.stash[METRICS] = metrics_of(self.target, query_result)
        evaluate(self.target, query_result)

    def extras(self) -> dict[str, Any]:
        return {"report": self.target, "query_result": self.query_result, "database": self._database, "path": self.path}

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, 0, self.target.label


def _only(databases: Mapping[str, Any]) -> str:
    return next(iter(databases)) if len(databases) == 1 else ""


def _no_database(name: str, databases: Mapping[str, Any], file: str) -> str:
    if name:
        return f"there is no [database.{name}] in {file}{nearest(name, databases)}"
    return f"which database? Write -- database: NAME, or [reports] database = NAME ({', '.join(sorted(databases))})"


def _shown(path: Path, here: Path) -> str:
    """Return how messages name the file."""
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def report_name(path: Path, above: Path) -> str:
    """Return what the report is known by: its path below the nearest folder called reports, without .sql."""
    relative = path.relative_to(above) if path.is_relative_to(above) else Path(path.name)
    return collection.clean_id(relative.with_suffix("").as_posix())


def run_query(report: Report) -> QueryResult:
    """Return the rows of a report: its probe. A refused connection is tried again until half of the time is over."""
    query = Query(
        text=report.sql,
        parameters=report.parameters,
        limit=report.limit,
        counted=report.expect.counted if report.expect else 0,
        role=report.requires,
        name=report.name,
    )
    while True:
        try:
            return ask(report.access, query)
        except Unhealthy as error:
            if _FULL not in str(error) or remaining() < report.timeout / 2:
                raise
        clock.sleep(_PAUSE)


PROBE = Probe(run_query, "report", Report, _AT_A_TIME)
