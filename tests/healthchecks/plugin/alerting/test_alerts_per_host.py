"""Several hosts with one configuration: what is about a machine is an issue, and a monitor, of its own."""

import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthchecks.plugin.alerting.sentry import monitor_slug
from tests.healthchecks.plugin.alerting.shops import Shops
from tests.reliability import reliability
from tests.servers.server import program
from tests.suite import ROOT


@pytest.fixture
def run_on(tmp_path):
    """Runs the shop that is closed, this machine's disk and other files of checks, as one of these hosts."""
    program("unshare")

    def run(host, dsn, configuration, **checks):
        folder = tmp_path / host
        folder.mkdir()
        shops = Shops(folder, "a").alert(dsn)
        shops.configure(configuration)
        shops.say(a="closed")
        names = [shops.write(f"{name}.py", text).name for name, text in checks.items()]
        files = ["test_mine.py", *names, str(ROOT / "healthchecks" / "test_disk.py")]
        command = ["unshare", "--uts", "--map-root-user", "sh", "-c", f'hostname {host} && exec "$@"', "sh"]
        done = subprocess.run(
            [*command, sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", *files],
            cwd=folder, env=shops.environment, capture_output=True, text=True, timeout=90, check=False,
        )  # fmt: skip
        assert done.returncode == 1, done

    return run


@reliability(
    "Alerts",
    fault="several hosts have one configuration",
    promise="their disks, and all that is about a machine, are an issue for each host; a shared website is one",
)
def test_checks_of_a_machine_are_an_issue_for_each_host(run_on, bugsink):
    configuration = "[shop.a]\n[disk.root]\npath = '/'\nmax_used = '0.01%'\n[dashboard]\ndirectory = '/proc/nowhere'\n"
    for host in ("web1", "web2"):
        run_on(host, bugsink.dsn, configuration)
    issues = sorted((issue.title.partition(":")[0], issue.events) for issue in bugsink.issues())
    assert issues == [("disk[root]", 1)] * 2 + [("shop[a]", 2)] + [("suite[page]", 1)] * 2


def test_checks_of_ones_own_may_be_about_a_machine(run_on, bugsink):
    own = "import pytest\n@pytest.mark.healthcheck(local=True)\ndef test_own():\n    assert False, 'broken'\n"
    for host in ("web1", "web2"):
        run_on(host, bugsink.dsn, "[shop.a]\n", test_own=own)
    issues = sorted((issue.title.partition(":")[0], issue.events) for issue in bugsink.issues())
    assert issues == [("own", 1)] * 2 + [("shop[a]", 2)]


@reliability(
    "Alerts",
    fault="several hosts with one configuration check in, and one of them is dead",
    promise="{host} in the monitor's slug makes a monitor for each",
)
def test_each_host_has_a_monitor_of_its_own(run_on, kent):
    for host in ("web1", "Web2.Example.com"):
        run_on(host, kent.dsn, "[shop.a]\n[sentry.check_in]\nmonitor = 'checks-{host}'\n")
    assert {each["monitor_slug"] for each in kent.check_ins()} == {"checks-web1", "checks-web2-example-com"}


@pytest.mark.parametrize(
    ("monitor", "host", "slug"),
    [
        ("healthchecks", "web1", "healthchecks"),
        ("{host}", "web1", "web1"),
        ("{host}", "10", "host-10"),
        ("{host}", "Größe.example.com", "gr-e-example-com"),
        ("checks-{host}-daily", "a_b", "checks-a_b-daily"),
        ("{host}", "☃", "host"),
    ],
)
def test_slugs(monitor, host, slug):
    assert monitor_slug(monitor, host) == slug


@given(host=st.text(), prefix=st.from_regex(r"[a-z0-9_-]{0,44}", fullmatch=True))
def test_every_name_of_a_host_makes_a_slug_that_sentry_takes(host, prefix):
    slug = monitor_slug(f"{prefix}{{host}}", host)
    assert re.fullmatch(r"[a-z0-9_-]{1,50}", slug)
    assert not slug.isdecimal()


def test_long_names_that_begin_alike_stay_distinct():
    one, other = (f"{'very-' * 20}{number}.example.com" for number in (1, 2))
    assert monitor_slug("checks-{host}", one) != monitor_slug("checks-{host}", other)


@pytest.mark.parametrize("monitor", ["{host}{host}", "{hosts}", "Checks", "", "x" * 51])
def test_other_slugs_are_refused(suite, monitor):
    suite.write("test_mine.py", "import pytest\n@pytest.mark.healthcheck\ndef test_ok():\n    pass\n")
    suite.configure(f"[sentry.check_in]\nmonitor = '{monitor}'\n")
    outcome = suite.run()
    assert outcome.status == 4
    assert "[sentry.check_in] monitor" in outcome.output
