"""`[alerts] notify` in a run: where alerts arrive, what of the configuration is wrong, and no secret in any output."""

import pickle

import pytest

from healthchecks.plugin.configuration import settings
from healthchecks.plugin.configuration.settings import AlertSettings
from servermonitoring.delivery.notify_url import NotifyUrl, load
from servermonitoring.secret import Secret
from tests.healthchecks.plugin.alerting.shops import Shops
from tests.servers.relay import Relay
from tests.servers.server import HOST, until
from tests.servers.slack import Slack

KEY = "K3yOfTheService9876"
PASSWORD = "pä55w0rd of mail"
LONG = 120.0  # seconds, on a busy machine


@pytest.fixture
def shops(tmp_path):
    return Shops(tmp_path, "a")


@pytest.fixture
def receiver():
    with Relay("http://user@127.0.0.1:1/x") as relay:
        relay.answer(200)
        yield relay


def configure(shops, *entries, more=""):
    shops.configure(f"[shop.a]\n[alerts]\nnotify = {[*entries]}\n{more}")


def test_an_alert_arrives_at_each_service_and_no_secret_anywhere_else(shops, smtp, receiver):
    """A mail server, a chat and a service that refuses; the URLs are in a file and in the configuration."""
    with Slack() as chat:
        mail = f"mailto://{HOST}:{smtp.port}?from=monitor@example.com&to=oncall@example.com"
        (shops.folder / "urls").write_text(f"# people\n{mail}\nmmost://{HOST}:{chat.port}/{KEY}\n")
        receiver.answer(400, body=f"no such key: {KEY}, {PASSWORD}".encode())
        refusing = f"json://me:{PASSWORD.replace(' ', '%20')}@{HOST}:{receiver.port}/{KEY}"
        configure(shops, "file:urls", refusing, more="[dashboard]\nurl = 'https://status.example.com/'\n")
        shops.say(a="closed")
        output = first = shops.run().output
        until(lambda: _is_sent(shops, smtp, chat), LONG, what="alerts at three services")
        assert "alerts: E-Mail, Mattermost, JSON\n" in first
        (message,) = smtp.messages()
        assert message["Subject"].startswith("Failed: shop[a]: closed (")
        assert chat.texts[0].startswith("Failed: shop[a]: closed (")
        assert "Page: https://status.example.com/#" in chat.texts[0]
        output += shops.run("--pyargs", "healthchecks.test_alerts", "-v", "--log-cli-level=DEBUG").output
    assert "1 alert refused by notify-json-" in output
    assert "400 Bad Request: no such key: [Filtered], [Filtered]" in output
    assert "hashes" not in output
    spools = [each for each in (shops.state / "spool").iterdir() if each.is_dir()]
    assert sorted(each.name.rpartition("-")[0] for each in spools) == ["notify-json", "notify-mailto", "notify-mmost"]
    assert {each.stat().st_mode & 0o777 for each in spools} == {0o700}
    files = [
        each
        for each in shops.folder.rglob("*")
        if each.is_file() and each.name not in {"urls", "servermonitoring.toml"}
    ]
    written = output + "".join(each.read_text(errors="replace") for each in files)
    assert "no such key" in written
    for secret in (KEY, PASSWORD, PASSWORD.replace(" ", "%20"), "oncall@example.com"):
        assert secret not in written, written[max(0, written.index(secret) - 200) :][:400]


def _is_sent(shops, smtp, chat):
    """Run again while something waits: on a busy machine a run may end before the processes have started."""
    if smtp.messages() and chat.messages and list(shops.state.glob("spool/notify-json-*/refused/*")):
        return True
    shops.run()
    return False


WRONG = {
    "neither": ('["hello"]', 'entry 1: write the URL of a service as apprise has it, such as "slack://…"'),
    "text": ('"slack://a/b/K3yOfTheService9876"', "is a list of texts: write the URL of a service"),
    "numbers": ("[1]", "is a list of texts: write the URL of a service"),
    "no file": (
        '["json://h/1", "file:none"]',
        "entry 2: cannot read the file {folder}/none: No such file or directory",
    ),
    "empty file": ('["file:empty"]', "entry 1: the file {folder}/empty has no URL"),
    "in a file": ('["file:mixed"]', "line 2 of {folder}/mixed: write the URL of a service as apprise has it"),
    "twice": ('["json://h/K3yOfTheService9876", "json://h/K3yOfTheService9876"]', "entry 2 is the same as entry 1"),
    "control characters": ('["json://h/K3yOfTheService9876\\u0007"]', "entry 1: write the URL of a service"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_list_of_urls_is_an_error_of_the_configuration(shops, name):
    value, said = WRONG[name]
    (shops.folder / "empty").write_text("# none\n")
    (shops.folder / "mixed").write_text(f"json://h/{KEY}\n{KEY}-and-more\n")
    shops.configure(f"[shop.a]\n[alerts]\nnotify = {value}\n")
    outcome = shops.run()
    assert outcome.status == 4
    assert f"[alerts] notify: {said.format(folder=shops.folder)}" in outcome.output
    assert KEY not in outcome.output


def test_a_wrong_url_is_a_suite_error_and_costs_no_other_channel(shops, receiver):
    configure(shops, f"slack://{KEY}", f"json://{HOST}:{receiver.port}/")
    shops.say(a="closed")
    output = shops.run().output
    until(lambda: receiver.received or shops.run().output is None, LONG, what="the alert")
    assert "alerts: [alerts] notify: entry 1 (slack://…) is not a complete URL of Slack: see https://" in output
    assert "alerts: JSON\n" in output
    assert KEY not in output


def test_without_the_package_the_error_names_the_extra(monkeypatch):
    monkeypatch.setattr(settings, "find_spec", lambda _: None)
    with pytest.raises(ValueError, match=r"apprise, which is not installed: pip install 'servermonitoring\[notify\]'"):
        AlertSettings.model_validate({"notify": ["json://localhost/"]})
    assert AlertSettings.model_validate({"notify": []}).notify == ()


def test_a_url_is_secret_in_every_form_that_the_settings_have():
    (url,) = load([f"json://me:{KEY}@localhost/"])
    assert isinstance(url, Secret)
    assert KEY not in repr(url) + str(url) + repr([url])
    again = pickle.loads(pickle.dumps(url))
    assert (type(again), again.reveal(), again.place) == (NotifyUrl, url.reveal(), "entry 1")
