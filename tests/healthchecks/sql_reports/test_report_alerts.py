"""An unmet expectation is alerted like any failing check: once, on both pages, until it is met again."""

import lxml.html
import pytest


@pytest.fixture
def orders(reports, bugsink, postgresql, monkeypatch):
    """A report that expects no row; `set(count)` makes so many."""
    monkeypatch.setenv("HEALTHCHECKS_SENTRY_DSN", bugsink.dsn)
    path = reports.report("orders", "select id from unpaid", expect="rows == 0")
    postgresql.execute("create table unpaid (id int)")
    postgresql.execute(f"grant select on unpaid to {reports.role.name}")

    def run(count):
        postgresql.execute("delete from unpaid")
        postgresql.execute(f"insert into unpaid select generate_series(1, {count})")
        return reports.run(str(path)).checks["report[orders]"]["status"]

    yield run
    postgresql.execute("drop table unpaid")


def shown(reports, page, text):
    return text in lxml.html.fromstring((reports.folder / "html" / page).read_text()).text_content()


def test_an_unmet_expectation_is_alerted_once_and_recovers(orders, reports, bugsink):
    assert [orders(0), orders(3), orders(2)] == ["ok", "failed", "failed"]
    (issue,) = bugsink.issues()
    assert issue.events == 1
    assert "orders" in issue.title
    for page in ("index.html", "database.html"):
        assert shown(reports, page, "2 rows (1, 2); expected rows == 0"), page
    bugsink.resolve(issue)
    assert orders(0) == "ok"
    assert [(each.events, each.resolved) for each in bugsink.issues()] == [(1, True)]
    assert orders(1) == "failed"
    assert [(each.events, each.resolved) for each in bugsink.issues()] == [(2, False)]


def test_a_run_of_all_reports_pings_a_heartbeat_of_its_own(reports, website):
    """A service that misses it alerts a morning without reports; that of the checks hears nothing."""
    for path in ("checks", "reports", "reports/start"):
        website.answer(f"/ping/{path}", "OK")
    urls = f"url = '{website.url('/ping/checks')}'\nreports_url = '{website.url('/ping/reports')}'\n"
    toml = f"{reports.toml}[heartbeat]\n{urls}"
    path = reports.report("orders", "select 1 as number", expect="rows == 0")
    part = reports.run(str(path), toml=toml)
    assert "no heartbeat, since this is a part of the reports (single files are named)" in part.output
    assert website.requests == []
    assert reports.run(toml=toml).status == 1
    start, success = website.requests
    assert [each.path.partition("?")[0] for each in (start, success)] == ["/ping/reports/start", "/ping/reports"]
    assert "report[orders]" in success.body
    same = toml.replace("/ping/checks", "/ping/reports")
    assert "[heartbeat]: url and reports_url are the same" in reports.run(toml=same).output
