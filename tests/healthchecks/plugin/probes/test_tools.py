"""What checks use of pytest and of the suite works wherever they run: in a probe, in its test, in a plain test."""

import xml.etree.ElementTree as ET

import pytest

from tests.healthchecks.plugin.probes.neighbours import FORMS, assert_times_out, asserted, harm, plain

SPEAKING = """
    import logging
    from pathlib import Path
    import pytest
    from healthchecks import Target, probe

    class Job(Target):
        pass

    def speak(name):
        print(f"printed by {name}.")
        logging.getLogger("mine").warning("logged by %s.", name)

    @probe
    def contact(job: Job):
        speak(f"probe {job.name}")

    def test_job(job, contact):
        speak(f"test {job.name}")
        assert 1 == 2, "asserted"

    @pytest.mark.healthcheck
    def test_plain(record_property):
        speak("plain")
        record_property("colour", "green")
        assert 1 == 2, "asserted"
"""
VERBS = ("printed", "logged")
FIXTURES = """
import json


@pytest.fixture
def server():
    logging.getLogger("mine").warning("connected")
    yield "server"
    (FOLDER / "torn down").touch()


@pytest.fixture(scope="module")
def shared():
    yield []
    (FOLDER / "shared torn down").touch()


{harm}
def test_harm({first}server, shared, monkeypatch, tmp_path, capsys, caplog, request):
    monkeypatch.setenv("COLOUR", "green")
    monkeypatch.setattr(json, "dumps", lambda value: "patched")
    assert os.environ["COLOUR"] == "green"
    assert json.dumps(1) == "patched"
    (tmp_path / "file").write_text("written")
    print("printed")
    assert capsys.readouterr().out == "printed\\n"
    logging.getLogger("mine").warning("logged")
    assert caplog.messages == ["logged"]
    assert [each.message for each in caplog.get_records("setup")] == ["connected"]
    assert request.node.originalname == "test_harm"


@pytest.mark.healthcheck
def test_later(shared):
    assert json.dumps(1) == "1"
    assert "COLOUR" not in os.environ
"""
PROBE = """
@probe
def contact_harm(harm: Harm):
    return 1


"""
FIXTURES_OF = {
    "plain": FIXTURES.format(harm="@pytest.mark.healthcheck", first=""),
    "asserted": FIXTURES.format(harm=PROBE, first="harm, contact_harm, "),
}


def cases(path):
    """Return all text of each test case of a JUnit file, by name."""
    return {each.get("name"): "".join(each.itertext()) for each in ET.parse(path).iter("testcase")}


def test_what_is_printed_belongs_to_its_test(suite):
    suite.write("test_mine.py", SPEAKING)
    suite.configure("[job.a]\n[job.b]\n")
    outcome = suite.run("test_mine.py", "--junitxml=junit.xml", "-o", "junit_logging=all")
    assert outcome.status == 1, outcome.output
    texts = cases(suite.folder / "junit.xml")
    speakers = {"test_job[a]": ["probe a", "test a"], "test_job[b]": ["probe b", "test b"], "test_plain": ["plain"]}
    assert texts.keys() == speakers.keys()
    for case, text in texts.items():
        for each in (f"{verb} by {name}." for names in speakers.values() for name in names for verb in VERBS):
            is_own = any(each.endswith(f"{name}.") for name in speakers[case])
            assert (each in text) == is_own, (case, each)
        assert outcome.output.count(f"printed by {speakers[case][0]}.") <= 1


def test_properties_of_a_plain_test(suite):
    suite.write("test_mine.py", SPEAKING)
    suite.configure("[job.a]\n")
    suite.run("test_mine.py", "--junitxml=junit.xml")
    (case,) = ET.parse(suite.folder / "junit.xml").findall(".//testcase[@name='test_plain']")
    assert [(each.get("name"), each.get("value")) for each in case.iter("property")] == [("colour", "green")]


@pytest.mark.parametrize("kind", FIXTURES_OF)
def test_fixtures_of_pytest(neighbours, kind):
    outcome = neighbours.run(FIXTURES_OF[kind])
    assert harm(outcome)["status"] == "ok", outcome.output
    assert outcome.checks["later[]"]["status"] == "ok", outcome.output
    assert (neighbours.suite.folder / "torn down").exists()
    assert (neighbours.suite.folder / "shared torn down").exists()


@pytest.mark.parametrize("form", FORMS)
def test_on_timeout(neighbours, form):
    body = "on_timeout((FOLDER / 'cleaned up').touch); threading.Event().wait()"
    assert_times_out(neighbours, form(body), form)
    assert (neighbours.suite.folder / "cleaned up").exists()


@pytest.mark.parametrize("form", FORMS)
def test_remaining(neighbours, form):
    outcome = neighbours.run(form("raise Unhealthy(f'rest {remaining()}')"))
    assert 0 < float(harm(outcome)["message"].removeprefix("rest ")) <= 30


@pytest.mark.parametrize("form", FORMS)
def test_attachment(neighbours, form):
    outcome = neighbours.run(form("attach('notes of the check', 'text'); raise Unhealthy('bad')"))
    assert harm(outcome)["message"] == "bad"
    assert "notes of the check" in (neighbours.suite.page / "index.html").read_text()


@pytest.mark.parametrize("form", FORMS)
def test_message(neighbours, kent, form):
    neighbours.settings = f"[sentry]\ndsn = '{kent.dsn}'\n"
    neighbours.messages = ["harm[]" if form is plain else "harm[one]"]
    outcome = neighbours.run(form("capture_message('the backlog grows', level='warning', length=1200)"))
    assert harm(outcome)["status"] == "ok"
    (event,) = [each for each in kent.events() if "the backlog grows" in str(each)]
    assert event["level"] == "warning"
    assert "1200" in str(event)


@pytest.mark.parametrize("form", [asserted, plain])
def test_log_of_a_thread_of_a_test(neighbours, form):
    thread = "threading.Thread(target=logging.getLogger('mine').warning, args=['said by a thread'])"
    outcome = neighbours.run(form(f"thread = {thread}; thread.start(); thread.join(); raise Unhealthy('bad')"))
    assert harm(outcome)["message"] == "bad"
    assert "said by a thread" in (neighbours.suite.page / "index.html").read_text()


@pytest.mark.parametrize("form", FORMS)
def test_what_is_printed_without_capture_is_printed_once(neighbours, form):
    outcome = neighbours.run(form("print('harm prints'); print('and complains', file=sys.stderr)"), "-s")
    assert outcome.output.count("harm prints") == 1
    assert outcome.output.count("and complains") == 1


def test_plain_test_may_skip(neighbours):
    outcome = neighbours.run(plain("pytest.skip('not here')"))
    assert harm(outcome)["status"] == "skipped"
