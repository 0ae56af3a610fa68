"""What the plugin uses of pytest without a public way: a new pytest without it fails here first."""

import inspect

import pytest
from _pytest.fixtures import FixtureManager
from _pytest.main import wrap_session
from _pytest.runner import SetupState, runtestprotocol
from pytest_html.report_data import ReportData
from pytest_html.selfcontained_report import SelfContainedReport

from healthchecks.plugin import collection, stage

pytest_plugins = ["pytester"]
TEST = """
    import pytest

    @pytest.fixture
    def shop():
        return "open"

    def test_shop(shop):
        assert shop == "open"
"""


@pytest.fixture
def collected(pytester):
    """A session that has collected one test with a fixture, and the test."""
    item = pytester.getitem(TEST, "test_shop")
    return item.session, item


def test_the_fixtures_of_a_test(collected):
    info = collection.fixture_info(collected[1])
    assert info.argnames == ("shop",)
    (fixture,) = info.name2fixturedefs["shop"]
    assert fixture.func.__name__ == "shop"


def test_the_fixtures_that_a_function_asks_for(pytester):
    pytester.makeconftest(
        """
        def pytest_generate_tests(metafunc):
            (fixture,) = metafunc._arg2fixturedefs["shop"]
            assert fixture.argname == "shop"
        """
    )
    pytester.makepyfile(TEST)
    pytester.runpytest("-p", "no:cacheprovider").assert_outcomes(passed=1)


def test_a_session_that_only_collects():
    """By which checks are silenced by name."""
    assert [*inspect.signature(wrap_session).parameters] == ["config", "doit"]


def test_the_state_of_set_up_tests(collected):
    session, item = collected
    assert type(session._setupstate) is SetupState
    state = SetupState()
    stage._set_state(session, state)
    assert session._setupstate is state
    assert session._setupstate.stack == {}
    for name in ("setup", "teardown_exact", "addfinalizer"):
        assert callable(getattr(state, name))
    assert item.session is session


def test_a_fixture_that_is_abandoned(collected):
    (fixture,) = collection.fixture_info(collected[1]).name2fixturedefs["shop"]
    fixture._finalizers.append(lambda: None)
    stage._fail_fixture(fixture, ValueError("late"))
    assert (fixture._finalizers, fixture.cached_result, fixture.scope) == ([], None, "function")


def test_names_of_a_session_and_its_terminal(collected):
    session, _ = collected
    assert isinstance(session._fixturemanager, FixtureManager)
    assert isinstance(session._initialpaths, frozenset)
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    assert reporter.stats == {}
    assert hasattr(reporter._tw, "_file")
    assert session.config.trace.root._writer is None


def test_functions_that_run_tests_and_make_the_report():
    assert list(inspect.signature(runtestprotocol).parameters) == ["item", "log", "nextitem"]
    for name in ("_generate_report", "_generate_environment", "_process_report", "_write_report"):
        assert callable(getattr(SelfContainedReport, name))
    assert callable(ReportData.append_teardown_log)


def test_the_place_of_a_test_in_its_file(pytester):
    items = pytester.getitems(
        """
        import pytest

        @pytest.mark.healthcheck
        @pytest.mark.parametrize("shop", ["a", "b"])
        def test_shop(shop): ...

        class TestTown:
            @pytest.mark.healthcheck
            def test_shop(self): ...
        """
    )
    expected = [vars(item).pop("location", None) or item.location for item in items]
    for item in items:
        vars(item).pop("location", None)
    collection.share_locations(items)
    assert [vars(item)["location"] for item in items] == expected
    assert [line for _, line, _ in expected] == [2, 2, 7]
