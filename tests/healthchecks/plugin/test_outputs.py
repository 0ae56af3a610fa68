"""No output of a run holds a secret, whichever option of pytest writes it."""

import pytest

from healthchecks.plugin.outputs import scrub_repr
from servermonitoring.scrubbing import remember
from tests.reliability import reliability

SECRETS = ["kaleidoscope-1967", "violet", "x7!k", "007"]
CHECKS = """
    import logging, sys, warnings
    import pytest
    from healthchecks import Target, probe
    from healthchecks.clients.http.options import SecretByName

    class Shop(Target):
        fields: SecretByName = {}

    @probe
    def values(shop: Shop) -> list:
        found = [secret.reveal() for secret in shop.fields.values()]
        logging.getLogger("probed").warning("probed %s", found)
        return [*found, f"pin={found[-1]}"]

    def write_everywhere(values, record_property, record_xml_attribute, record_testsuite_property):
        for value in values[:-2] + values[-1:]:  # the PIN, too, but only next to its name
            print("printed", value)
            print("to stderr", value, file=sys.stderr)
            record_property(f"name {value}", f"property {value}")
            record_xml_attribute(f"attribute-{len(value)}", value)
            record_testsuite_property("suite", value)
            warnings.warn(f"warned of {value}")
            try:
                raise ValueError(f"raised {value}")
            except ValueError:
                logging.getLogger("mine").exception("logged %s", value)

    class TestWritten:
        def test_fails(self, shop, values, record_property, record_xml_attribute, record_testsuite_property):
            write_everywhere(values, record_property, record_xml_attribute, record_testsuite_property)
            assert False, f"bad {values[:-2]} {values[-1]}"

        def test_raises(self, shop, values):
            raise RuntimeError(f"raised {values[:-2]} {values[-1]}")

        def test_errs(self, shop, values):
            raise TypeError(f"broken {values[:-2]} {values[-1]}")

        def test_skips(self, shop, values):
            pytest.skip(f"skipped for {values[:-2]} {values[-1]}")

        def test_expected(self, shop, values):
            pytest.xfail(f"expected for {values[:-2]} {values[-1]}")

    @pytest.fixture
    def torn(values):
        yield
        raise RuntimeError(f"torn down {values[:-2]} {values[-1]}")

    def test_teardown(shop, torn):
        pass

    def test_no_check(record_property, record_xml_attribute, record_testsuite_property):
        values = ["kaleidoscope-1967", "violet", "x7!k", "007", "pin=007"]
        write_everywhere(values, record_property, record_xml_attribute, record_testsuite_property)
        assert values[:-2] == values[-1:], f"bad {values[:-2]} {values[-1]}"
"""
CONFIGURATION = """
    [shop.one]
    fields = { "X-Access" = "kaleidoscope-1967", pass = "violet", key = "x7!k", pin = "007", user = "monitor" }
"""
ARGUMENTS = ["-ra", "-v", "--junitxml=junit.xml", "--log-file=mine.log", "--log-level=INFO", "--debug=debug.log"]


@pytest.fixture
def quiet(suite):
    """Runs pytest so that everything it writes, but the files that hold the secrets, is in what it gives."""
    sources = set()

    def run(*arguments):
        outcome = suite.run(
            *arguments, *ARGUMENTS, "-o", "junit_family=xunit1", "-o", "junit_logging=all", "--tb=short"
        )
        files = [each for each in suite.folder.rglob("*") if each.is_file() and each not in sources]
        assert {"junit.xml", "mine.log", "debug.log", "index.html"} <= {each.name for each in files}
        written = {each.name: each.read_bytes().decode(errors="replace") for each in files}
        return {"the terminal": outcome.output, **written}

    run.sources = sources
    run.suite = suite
    return run


def places(written, secrets):
    return {(secret, name) for secret in secrets for name, text in written.items() if secret in text}


@reliability(
    "Secrets",
    fault="a check prints, logs, warns of, records or raises values of `fields`, whatever their names",
    promise="no output of the run has them: terminal, page, history, JUnit XML, log file, debug log",
)
def test_no_output_has_a_secret(quiet):
    quiet.sources |= {quiet.suite.write("test_mine.py", CHECKS), quiet.suite.configure(CONFIGURATION)}
    written = quiet("test_mine.py")
    assert places(written, ["pin=007", *SECRETS[:-1]]) == set()
    assert "warned of [Filtered]" in written["the terminal"], "the warnings are shown"
    assert "logged [Filtered]" in written["mine.log"]
    assert "printed [Filtered]" in written["junit.xml"]
    assert "monitor" not in SECRETS


BROKEN = """
    import warnings
    from healthchecks import Target, probe
    print("printed kaleidoscope-1967")
    warnings.warn("warned of kaleidoscope-1967")
    raise RuntimeError("password=hunter-two of kaleidoscope-1967")
"""


@reliability(
    "Secrets",
    fault="a file of checks raises an error with a secret in it when it is imported",
    promise="no output of the run has the secret, and the other checks run",
)
def test_error_at_import(quiet):
    quiet.sources |= {quiet.suite.configure("[sentry]\ntoken = 'kaleidoscope-1967'\norganization = 'mine'\n")}
    quiet.sources |= {quiet.suite.write("test_broken.py", BROKEN)}
    text = "import pytest\n@pytest.mark.healthcheck\ndef test_good():\n    pass\n"
    quiet.sources |= {quiet.suite.write("test_good.py", text)}
    written = quiet("test_broken.py", "test_good.py")
    assert "RuntimeError" in written["index.html"]
    assert "RuntimeError" in written["junit.xml"]
    assert places(written, ["hunter-two", "kaleidoscope-1967"]) == set()


@pytest.mark.parametrize("hook", ["pytest_runtest_logreport(report)", "pytest_runtest_protocol(item)"])
def test_hook_of_a_user_that_raises(suite, hook):
    """Whoever reports it, pytest or this suite, reports it without the secret."""
    suite.configure(CONFIGURATION)
    suite.write("test_mine.py", CHECKS)
    suite.write("conftest.py", f"def {hook}:\n    raise RuntimeError('it is ' + 'kaleidoscope' + '-1967')\n")
    outcome = suite.run("test_mine.py", "-ra")
    assert outcome.status != 0
    assert "it is [Filtered]" in outcome.output
    assert SECRETS[0] not in outcome.output


def test_an_error_of_pytest_itself():
    """What pytest prints after INTERNALERROR>."""
    remember(SECRETS[0])
    with pytest.raises(RuntimeError) as raised:
        raise RuntimeError(f"it is {SECRETS[0]}")
    text = raised.getrepr()
    scrub_repr(text)
    assert "RuntimeError: it is [Filtered]" in str(text)
    assert SECRETS[0] not in str(text)
