"""[login.NAME], against a real login with session and token: the failing cases first."""

import pytest

from healthchecks import Unhealthy
from healthchecks import test_login as checks
from healthchecks.clients.http.client import Client, Response
from healthchecks.clients.http.webpage import fill_form, find_form
from tests.healthchecks.metrics import metrics_of
from tests.servers.server import HOST
from tests.servers.website import PASSWORD, USER
from tests.suite import table

FIELDS = {"user": USER, "password": PASSWORD}
WRONG = {"user": USER, "password": "wrong-one"}
FORM = "no form with the fields"


PHASES = ["dns", "connect", "first byte", "body"]


def test_metrics(run_suite, website):
    """The response time is that of all requests, as are its phases; the size is that of the last page."""
    website.answer("/second", "Welcome back")
    outcome = run_suite(login("members", website, then=website.url("/second"), slow=60))
    found = metrics_of(outcome, "website_login[members]")
    assert [*found] == ["response time", *PHASES, "body size"]
    assert (found["response time"]["limit"], found["body size"]["limit"]) == (60, 5_000_000)
    assert found["response time"]["value"] >= sum(found[name]["value"] for name in PHASES) > 0
    assert found["body size"]["value"] == len("Welcome back")


def test_response_time_is_that_of_all_requests(website, monkeypatch):
    pages = []

    class RecordingClient(Client):
        def send(self, request):
            pages.append(super().send(request))
            return pages[-1]

    monkeypatch.setattr(checks, "Client", RecordingClient)
    keys = {"url": website.url("/login"), "fields": FIELDS, "contains": "x", "then": website.url("/members")}
    arrival = checks.arrival._get_wrapped_function().healthchecks_probe.function(checks.Login(**keys))
    assert len(pages) == 3
    assert arrival.duration == pytest.approx(sum(page.duration for page in pages))


def login(name, website, path="/login", **keys):
    given = {"url": website.url(path), "fields": FIELDS, "contains": "Welcome back", **keys}
    return table("login", name, **given)


def test_bad_logins(run_suite, website, bad):
    """A failed login fails, whatever its status; and what is missing is named."""
    website.answer("/broken", status=500)
    website.answer("/refused", '<form method="post" action="/status/403"><input name="user"><input name="password">')
    members = website.url("/members")
    outcome = run_suite(
        "\n".join(
            [
                login("wrong", website, fields=WRONG),
                login("wrong_then", website, fields=WRONG, then=members),
                login("wrong_not_contains", website, fields=WRONG, contains=[], not_contains="some other message"),
                login("other_page", website, then=website.url("/json")),
                login("gone_page", website, then=website.url("/status/404")),
                login("no_field", website, fields={"username": USER, "password": PASSWORD}),
                login("no_form", website, "/json"),
                login("other_form", website, form=0),
                login("no_such_form", website, form="signin"),
                login("no_button", website, submit="Enter"),
                login("broken", website, "/broken"),
                login("refused", website, "/refused"),
                table("login", "hole", url=bad.url("hole"), fields=FIELDS, contains="x", timeout=6),
            ]
        )
    )
    host = website.url("")
    assert {target: outcome.message(f"website_login[{target}]") for target in EXPECTED} == {
        target: text.replace("HOST", host).replace("HOLE", f"{HOST}:{bad.port('hole')}")
        for target, text in EXPECTED.items()
    }
    written = outcome.all_written()
    assert PASSWORD not in written
    assert "wrong-one" not in written


EXPECTED = {
    "wrong": "login failed: form with user, password shown again at HOST/login",
    "wrong_then": "login failed: form with user, password shown again at HOST/login",
    "wrong_not_contains": "login failed: form with user, password shown again at HOST/login",
    "other_page": 'logged in, but "Welcome back" not found at HOST/json',
    "gone_page": "logged in, but status 404 Not Found at HOST/status/404",
    "no_field": f"{FORM} username, password at HOST/login",
    "no_form": f"{FORM} user, password at HOST/json",
    "other_form": "the form 0 has no field user, password at HOST/login",
    "no_such_form": "no form 'signin' at HOST/login",
    "no_button": 'the form has no button "Enter" at HOST/login',
    "broken": "login page: status 500 Internal Server Error at HOST/broken",
    "refused": "login form submitted: status 403 Forbidden at HOST/status/403",
    "hole": "connected to HOLE, no response within 6 s",
}


def test_good_logins(run_suite, website, tmp_path):
    """Hidden fields come along, the session is kept, and the user's name is no secret that blanks out messages."""
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    from_file = {"user": USER, "password": f"file:{tmp_path / 'password'}", "remember": "yes"}
    outcome = run_suite(
        "\n".join(
            [
                login("plain", website),
                login("then", website, then=website.url("/members"), submit="Log in", form=1, fields=from_file),
                table(
                    "login", "tls", url=website.url("/login", tls="good"), fields=FIELDS,
                    contains=f"Welcome back, {USER}", not_contains=["Wrong"], ca=website.authority,
                ),
            ]
        )
    )  # fmt: skip
    assert outcome.status == 0, outcome.output
    assert sum("remember=yes" in each.body for each in website.requests) == 1


def test_wrong_keys(run_suite, website):
    outcome = run_suite(
        "\n".join(
            [
                login("none", website, contains=[]),
                login("empty", website, fields={}),
                login("still", website, max_redirects=0),
                login("gone", website, fields={"password": "file:/nowhere/secret"}),
            ]
        )
    )
    assert outcome.status == 4, outcome.output
    for expected in (
        "[login.none]: contains or not_contains is needed",
        "[login.empty] fields: ",
        "[login.still]: max_redirects = 0 has no meaning",
        "cannot read the secret file /nowhere/secret",
    ):
        assert expected in outcome.output
    assert website.paths == []


def page(content, url=f"http://{HOST}/in/login?next=1"):
    return Response(200, "OK", url, {"Content-Type": "text/html"}, content.encode(), 0.0, None)


def test_forms_are_filled_as_browsers_do():
    """Presets of selects, checkboxes and hidden fields; the button that is pressed; where it leads."""
    shown = page(
        """<form method="post" action="../do?x=1"><input name=a value=old><input type=hidden name=t value=Grüße>
        <input type=checkbox name=c checked><input type=checkbox name=d value=no>
        <input type=radio name=r value=1><input type=radio name=r value=2 checked><input name=off value=1 disabled>
        <select name=s><option value=first><option value=second selected></select><textarea name=m>text</textarea>
        <button type=button name=never>x</button><button name=go value=in>Log in</button>
        <input type=submit name=other value="Log out" formaction="/out"></form>"""
    )
    form = find_form(shown, ["a"])
    question = fill_form(form, shown, {"a": "new"})
    assert (question.method, question.url) == ("POST", f"http://{HOST}/do?x=1")
    assert sorted(question.body["data"]) == [
        ("a", "new"), ("c", "on"), ("go", "in"), ("m", "text"), ("r", "2"), ("s", "second"), ("t", "Grüße"),
    ]  # fmt: skip
    other = fill_form(form, shown, {}, "Log out")
    assert other.url == f"http://{HOST}/out"
    assert ("other", "Log out") in other.body["data"]


def test_forms_of_other_kinds():
    """No action leads to the page itself; GET and multipart are sent as such; an odd place is refused."""
    plain = page("<form><input name=q></form>")
    question = fill_form(find_form(plain, ["q"]), plain, {"q": "x"})
    assert (question.method, question.url) == ("GET", plain.url)
    assert question.body == {"params": [("q", "x")]}
    parts = page("<base href='/base/'><form method=post action=a enctype=multipart/form-data><input name=q></form>")
    question = fill_form(find_form(parts, ["q"]), parts, {"q": "x"})
    assert (question.url, question.body) == (f"http://{HOST}/base/a", {"files": [("q", (None, "x"))]})
    script = page("<form action='javascript:send()'><input name=q></form>")
    with pytest.raises(Unhealthy, match="form leads to an invalid URL"):
        fill_form(find_form(script, ["q"]), script, {"q": "x"})
    with pytest.raises(Unhealthy, match=FORM):
        find_form(page(""), ["q"])
