"""[website.NAME], against a real website and servers that misbehave: the failing cases first."""

import pytest

from healthchecks.clients.addresses import is_at, same_origin, shown
from healthchecks.clients.values import unlike
from tests.servers.certificates import SOON
from tests.servers.server import HOST
from tests.servers.website import PASSWORD, USER
from tests.suite import table

CHECK = "website_access[home]"
IN_TIME = 3  # a run with a deadline of 2 s is over within so many times that


@pytest.fixture
def home(run_suite):
    """Runs one website named home; `home.message(...)` for one that has to fail."""

    def run(url, **keys):
        return run_suite(table("website", "home", url=url, **keys))

    def message(url, **keys):
        outcome = run(url, **keys)
        assert outcome.status == 1, outcome.output
        return outcome.message(CHECK)

    run.message = message
    return run


@pytest.mark.parametrize(
    ("path", "keys", "expected"),
    [
        ("/status/503", {}, "answers 503 Service Unavailable instead of 200 at URL"),
        ("/", {"contains": "Goodbye"}, '"Goodbye" is not on URL'),
        ("/", {"contains": ["Welcome", "Goodbye"]}, '"Goodbye" is not on URL'),
        ("/", {"lacks": "Welcome"}, '"Welcome" is on URL'),
        ("/json", {"json": {"workers.busy": 3}}, "workers.busy is 2 instead of 3 at URL"),
        ("/json", {"json": {"queues.1.name": "mail"}}, "the JSON has no queues.1.name at URL"),
        ("/", {"json": {"status": "ok"}}, "the body is not JSON at URL"),
        ("/", {"headers": {"X-Served-By": "test"}}, "sends no header X-Served-By at URL"),
        ("/json", {"headers": {"Content-Type": "text/html"}}, "sends Content-Type: application/json without text/html at URL"),
        ("/slow?seconds=0.3", {"time": 0.2}, "took 0.3 s, more than 0.2 s"),
        ("/large?bytes=5000001", {}, "body is larger than 5 MB"),
        ("/endless", {}, "body is larger than 5 MB"),
        ("/bomb", {}, "body is larger than 5 MB"),
        ("/redirect/loop?seconds=0", {}, "redirected more than 10 times, last to URL"),
        ("/redirect/3", {"redirects": 2}, "redirected more than 2 times, last to HOST/"),
        ("/members", {"ends_at": "HOST/members"}, "ends at HOST/login instead of HOST/members"),
    ],
)  # fmt: skip
def test_bad_answers(home, website, path, keys, expected):
    """Each kind of wrong answer fails, and says what was expected where."""
    host = website.url("").rstrip("/")
    keys = {key: value.replace("HOST", host) if isinstance(value, str) else value for key, value in keys.items()}
    message = home.message(website.url(path), **keys)
    assert message.startswith(expected.replace("URL", host + path.split("?")[0]).replace("HOST", host)[:-2])


@pytest.mark.parametrize("name", ["hole", "drip_header", "drip_body", "redirects"])
def test_no_answer_in_time(home, bad, name):
    """Whatever a server does to keep us waiting: the verdict comes with the deadline."""
    outcome = home(bad.url(name), deadline=2, redirects=50)
    assert outcome.message(CHECK) == "no answer within 2 s"
    assert outcome.seconds < 2 * IN_TIME


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("closes", "closed the connection without an answer at PEER"),
        ("garbage", "answers with something that is not HTTP at PEER"),
        ("endless", "body is larger than 5 MB"),
    ],
)
def test_bad_servers(home, bad, name, expected):
    assert home.message(bad.url(name)) == expected.replace("PEER", f"{HOST}:{bad.port(name)}")


def test_server_is_gone_or_stands_still(home, website):
    url = website.url()
    website.pause()
    assert home.message(url, deadline=2) == "no answer within 2 s"
    website.stop()
    assert home.message(url) == f"connection refused at {HOST}:{website.port}"


def test_unknown_host(home):
    assert home.message("http://nowhere.invalid/").startswith("cannot resolve nowhere.invalid")


@pytest.mark.parametrize(
    ("tls", "expected"),
    [
        ("expired", "certificate has expired (on 20"),
        ("self_signed", "certificate is self-signed"),
        ("other_host", "certificate is for other.example, not for localhost"),
        ("expiring", f"certificate expires in {SOON.days}."),
    ],
)
def test_bad_certificates(home, website, tls, expected):
    assert home.message(website.url(tls=tls), ca=website.authority).startswith(expected)


def test_certificate_of_an_authority_nobody_knows(home, website):
    assert "not from an authority that is trusted here" in home.message(website.url(tls="good"))


def test_tls_where_there_is_none(home, website, bad):
    assert home.message(website.url().replace("http:", "https:")).startswith("speaks no TLS at 127.0.0.1:")
    assert home.message(bad.url("closes").replace("http:", "https:")).startswith("closed the connection before TLS")
    assert home.message(bad.url("drip_raw").replace("http:", "https:"), deadline=2) == "no answer within 2 s"


@pytest.mark.parametrize("keys", [{"verify": False}, {"certificate_days": 1}])
def test_certificates_that_will_do(home, website, keys):
    ca = {} if "verify" in keys else {"ca": website.authority}
    assert home(website.url(tls="expiring"), **keys, **ca).status == 0


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ("/", {"contains": ["Welcome", "Grüße"], "lacks": ["Goodbye"], "headers": {"content-type": "utf-8"}}),
        ("/status/404", {"status": 404}),
        ("/redirect/3", {"contains": "Welcome", "ends_at": "HOST/"}),
        ("/redirect/3", {"status": 302, "redirects": 0, "headers": {"Location": "/redirect/2"}}),
        ("/json", {"json": {"status": "ok", "workers.idle": 6, "queues.0.name": "mail"}}),
        ("/large?bytes=5000000", {"time": 5}),
        ("/large?bytes=6000000", {"max_body": "6MB"}),
        ("/", {"method": "HEAD"}),
        ("/echo", {"method": "POST", "body": "Grüße", "contains": '"method": "POST"', "json": {"body": "Grüße"}}),
        ("/echo", {"request_headers": {"X-Mine": "yes"}, "json": {"headers.x-mine": "yes"}}),
        ("/echo", {"token": "abc-def", "json": {"headers.authorization": "Bearer abc-def"}}),
        ("/basic", {"user": USER, "password": PASSWORD, "contains": "You are known"}),
    ],
)
def test_good_answers(home, website, path, keys):
    keys = {key: each.replace("HOST/", website.url("/")) if key == "ends_at" else each for key, each in keys.items()}
    outcome = home(website.url(path), **keys)
    assert outcome.status == 0, outcome.output


def test_good_certificate(home, website):
    """Also where there is no body to read, and where http leads to https."""
    keys = {"ca": website.authority, "certificate_days": 89}
    assert home(website.url(tls="good"), **keys, method="HEAD").status == 0
    website.answer("/away", status=301, headers={"Location": website.url(tls="good")})
    assert home(website.url("/away"), **keys, ends_at=website.url(tls="good")).status == 0
    assert "expires in" in home.message(website.url(tls="good"), ca=website.authority, certificate_days=91)


def test_request_is_ours_alone(home, website, monkeypatch, tmp_path):
    """Nothing of the environment is used, and no tracing headers are sent."""
    (tmp_path / ".netrc").write_text(f"machine {HOST} login {USER} password {PASSWORD}\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1/")
    assert home(website.url("/")).status == 0
    assert set(website.requests[0].headers) == {"host", "user-agent", "accept"}
    assert "servermonitoring" in website.requests[0].headers["user-agent"]


def test_proxy_of_the_target_is_used(home, website):
    """Any http server can play the proxy: it is asked for the whole URL."""
    assert home("http://app.example.com/json", proxy=website.url("/"), contains="workers").status == 0


def test_credentials_stay_with_their_server(home, website, bad):
    """A redirect to another server takes no password along."""
    website.answer("/away", status=302, headers={"Location": website.url("/echo", tls="good")})
    keys = {
        "request_headers": {"X-Api-Key": "hunter-two"},
        "verify": False,
        "ends_at": website.url("/echo", tls="good"),
    }
    assert home(website.url("/away", user=(USER, PASSWORD)), **keys).status == 0
    first, second = website.requests
    assert "authorization" in first.headers
    assert "x-api-key" in first.headers
    assert not {"authorization", "x-api-key"} & set(second.headers)


def test_no_secret_is_told(home, website, bad):
    """Neither of the URL, nor of headers, nor of a form of it, in anything that a failing run writes."""
    url = website.url("/echo?api_key=tell-no-one", user=(USER, PASSWORD))
    outcome = home(url, request_headers={"Authorization-Token": "my-own-token"}, contains="nothing", status=201)
    assert outcome.status == 1
    written = outcome.all_written()
    for secret in (PASSWORD, "s3cret", "tell-no-one", "my-own-token"):
        assert secret not in written, secret


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"url": "app.example.com"}, "is not a URL: write https://host/path"),
        ({"url": "ftp://app.example.com/"}, "is not a URL: write https://host/path"),
        ({"verify": False, "ca": "FILE"}, "ca has no meaning with verify = false"),
        ({"verify": False, "certificate_days": 3}, "certificate_days has no meaning with verify = false"),
        ({"url": "http://app.example.com/", "ca": "FILE"}, "ca has no meaning for a URL that is not https"),
        ({"ca": "/nowhere.pem"}, "/nowhere.pem does not exist"),
        ({"ca": "EMPTY"}, "holds no certificate in PEM form"),
        ({"password": "x"}, "password needs user"),
        ({"user": "x", "token": "y"}, "more than one way to log in"),
        ({"method": "HEAD", "contains": "x"}, "contains needs a body, and HEAD brings none"),
        ({"method": "HEAD", "json": {"a": 1}}, "json needs a body"),
        ({"contain": "x"}, 'unknown key "contain"; did you mean "contains"?'),
    ],
)
def test_wrong_keys(run_suite, website, tmp_path, keys, expected):
    """One clear error that names the table, exit status 4, and nothing is contacted."""
    (tmp_path / "empty.pem").touch()
    files = {"FILE": website.authority, "EMPTY": tmp_path / "empty.pem"}
    keys = {"url": website.url(tls="good"), **{key: files.get(str(each), each) for key, each in keys.items()}}
    outcome = run_suite(table("website", "home", **keys))
    assert outcome.status == 4, outcome.output
    assert "[website.home]" in outcome.output
    assert expected in outcome.output
    assert website.paths == []


def test_values_in_json():
    """Paths go through tables and lists; true is not 1; a key may hold a dot itself."""
    text = '{"a.b": {"c": [1, true]}, "x": {"y.z": null}}'
    assert unlike(text, {"a.b.c.0": 1.0, "a.b.c.1": True, "x.y.z": None}) == ""
    assert unlike(text, {"a.b.c.0": True}) == "a.b.c.0 is 1 instead of true"
    for absent in ("a", "a.b.d", "a.b.c.2", "a.b.c.x", "x.y.z.0", ""):
        assert unlike(text, {absent: 1}) == f"the JSON has no {absent}"


def test_urls():
    assert shown("https://me:secret@App.example.com:8443/a?ticket=1#x") == "https://app.example.com:8443/a"
    assert is_at("http://me@h/a?b=1", "http://h/a")
    assert not is_at("http://h/a?b=1", "http://h/a?b=2")
    assert is_at("http://h", "http://h/")
    assert same_origin("http://h/a", "https://h/")
    assert not same_origin("https://h/a", "http://h/")
    assert not same_origin("http://h:8080/", "http://h/")
