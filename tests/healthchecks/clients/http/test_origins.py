"""What is secret goes to the configured origin only: a failure names another one, before anything is sent there."""

import pytest

from tests.reliability import reliability
from tests.servers.website import PASSWORD, USER, Website
from tests.suite import table

FIELDS = {"user": USER, "password": PASSWORD}
FORM = '<form method="{}" action="{}"><input name="user"><input name="password"></form>'


@pytest.fixture(scope="module")
def other_website():
    with Website() as server:
        yield server


@pytest.fixture
def other(other_website):
    """A second server: of another origin, since its port is another one."""
    other_website.forget()
    other_website.answer("/", "Welcome back")
    return other_website


def refusal(what, website, other):
    where = f"{other.url('')} instead of {website.url('')}"
    return f"the {what} would go to {where}: nothing was sent; if it is right, add it to allowed_origins"


LOGINS = {
    "action": ("POST", None),
    "get": ("GET", None),
    "kept": ("POST", 307),
    "permanent": ("POST", 308),
}


@reliability(
    "Secrets",
    fault="a login form names another origin, or its answer is a 307 or 308 to one",
    promise="the fields stay at home, and the failure names both origins",
)
def test_form_fields_stay_with_their_origin(run_suite, website, other):
    tables = []
    for name, (method, status) in LOGINS.items():
        action = other.url() if status is None else website.url(f"/{name}/sent")
        website.answer(f"/{name}", FORM.format(method, action))
        website.answer(f"/{name}/sent", status=status or 500, headers={"Location": other.url()})
        keys = {"fields": FIELDS, "contains": "Welcome back"}
        tables.append(table("login", name, url=website.url(f"/{name}"), **keys))
        tables.append(
            table("login", f"{name}_allowed", url=website.url(f"/{name}"), allowed_origins=[other.url("")], **keys)
        )
    outcome = run_suite("\n".join(tables))
    for name in LOGINS:
        assert outcome.message(f"website_login[{name}]") == refusal("form fields", website, other)
        assert outcome.checks[f"website_login[{name}_allowed]"]["status"] == "ok", outcome.output
    assert len(other.requests) == len(LOGINS)  # of those that are allowed
    assert PASSWORD not in outcome.all_written()


def test_login_page_of_another_origin(run_suite, website, other):
    """The page of another origin is asked for; its form gets nothing."""
    website.answer("/away", status=302, headers={"Location": other.url("/login")})
    keys = {"url": website.url("/away"), "fields": FIELDS, "contains": "Welcome back"}
    assert run_suite(table("login", "sso", **keys)).message("website_login[sso]") == refusal(
        "form fields", website, other
    )
    assert [each.method for each in other.requests] == ["GET"]
    allowed = run_suite(table("login", "sso", allowed_origins=[other.url("/")], then=other.url("/members"), **keys))
    assert allowed.status == 0, allowed.output


WEBSITES = {
    "headers": ({"request_headers": {"X-Api-Key": "hunter-two"}}, 302, "request headers"),
    "login": ({"user": USER, "password": PASSWORD}, 301, "password"),
    "token": ({"token": "hunter-three"}, 303, "request headers"),
    "body": ({"method": "POST", "body": "hunter-four"}, 307, "body"),
    "all": ({"method": "POST", "body": "hunter-four", "token": "hunter-three"}, 308, "request headers and body"),
}
FREE = {
    "nothing": ({}, 302),
    "posted": ({"method": "POST", "body": "hunter-four"}, 303),  # the body is not sent again
}


@reliability(
    "Secrets",
    fault="a redirect leads to another origin with password, token, headers or body",
    promise="they stay at home, and the failure names both origins, unless allowed_origins lists it",
)
def test_secrets_stay_with_their_origin(run_suite, website, other):
    tables = []
    for name, (keys, status, *_) in (WEBSITES | FREE).items():
        website.answer(f"/{name}", status=status, headers={"Location": other.url("/echo")})
        tables.append(table("website", name, url=website.url(f"/{name}"), **keys))
    outcome = run_suite("\n".join(tables))
    for name, (_, _, what) in WEBSITES.items():
        assert outcome.message(f"website_access[{name}]") == refusal(what, website, other)
    assert {outcome.checks[f"website_access[{name}]"]["status"] for name in FREE} == {"ok"}
    assert len(other.requests) == len(FREE)
    assert not [each for each in other.requests if "hunter" in f"{each.headers} {each.body}"]


def test_allowed_origin_gets_them(run_suite, website, other):
    tables = []
    for name, (keys, status, _) in WEBSITES.items():
        website.answer(f"/{name}", status=status, headers={"Location": other.url("/echo")})
        allowed = ["https://app.example.com", other.url("")]
        tables.append(table("website", name, url=website.url(f"/{name}"), allowed_origins=allowed, **keys))
    outcome = run_suite("\n".join(tables))
    assert outcome.status == 0, outcome.output
    sent = " ".join(f"{each.headers} {each.body}" for each in other.requests)
    assert {each for each in ("hunter-two", "hunter-three", "hunter-four", "Basic") if each in sent} == {
        "hunter-two", "hunter-three", "hunter-four", "Basic",
    }  # fmt: skip
