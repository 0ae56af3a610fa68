"""[website.NAME], against a real website and servers that misbehave: the failing cases first."""

import re

import pytest

from healthchecks.clients.certificate import context
from healthchecks.clients.http import transport
from healthchecks.clients.http.body import first_difference
from healthchecks.clients.http.client import Client, Request
from healthchecks.clients.http.options import WebKeys
from healthchecks.clients.http.urls import http_url, is_at, origin, redacted, same_origin
from healthchecks.test_website import Website
from tests.healthchecks.metrics import assert_agrees, metrics_of
from tests.reliability import reliability
from tests.servers.certificates import SOON
from tests.servers.server import HOST
from tests.servers.website import PASSWORD, USER
from tests.suite import IN_TIME, table

CHECK = "website_access[home]"


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


BAD_ANSWERS = [
    ("/status/503", {}, "status 503 Service Unavailable instead of 200 at HOST/status/503"),
    (
        "/status/404",
        {"status": [200, "3xx", 500]},
        "status 404 Not Found instead of 200 or 3xx or 500 at HOST/status/404",
    ),
    ("/status/404", {"status": "5xx"}, "status 404 Not Found instead of 5xx at HOST/status/404"),
    ("/", {"contains": "Goodbye"}, '"Goodbye" not found at HOST/'),
    ("/", {"contains": ["Welcome", "Goodbye"]}, '"Goodbye" not found at HOST/'),
    ("/", {"not_contains": "Welcome"}, '"Welcome" found at HOST/'),
    ("/json", {"json": {"workers.busy": 3}}, "workers.busy is 2 instead of 3 at HOST/json"),
    ("/json", {"json": {"queues.1.name": "mail"}}, "the JSON has no queues.1.name at HOST/json"),
    ("/", {"json": {"status": "ok"}}, "the body is not JSON at HOST/"),
    ("/", {"jmespath": "a"}, "the body is not JSON at HOST/"),
    (
        "/json",
        {"jmespath": ["status == 'ok'", "workers.busy < `2`"]},
        "jmespath workers.busy < `2` is false: found 2 at HOST/json",
    ),
    (
        "/json",
        {"jmespath": "queues[?waiting > `5`]"},
        "jmespath queues[?waiting > `5`] is [] instead of true at HOST/json",
    ),
    (
        "/json",
        {"jmespath": "length(nothing) > `0`"},
        "jmespath length(nothing) > `0`: length() is called with null instead of string or array or object at HOST/",
    ),
    ("/", {"headers": {"X-Served-By": "test"}}, "header X-Served-By missing at HOST/"),
    (
        "/json",
        {"headers": {"Content-Type": "html"}},
        "header Content-Type: application/json does not contain html at HOST/json",
    ),
    ("/large?bytes=5000001", {}, "body is larger than 5 MB"),
    ("/endless", {}, "body is larger than 5 MB"),
    ("/bomb", {}, "body is larger than 5 MB"),
    ("/redirect/loop?seconds=0", {}, "more than 10 redirects, last to HOST/redirect/loop"),
    ("/redirect/3", {"max_redirects": 2}, "more than 2 redirects, last to HOST/"),
    ("/members", {"final_url": "HOST/members"}, "final URL HOST/login, expected HOST/members"),
    ("/basic", {"user": USER, "password": "wrong"}, "status 401 Unauthorized instead of 200 at HOST/basic"),
]


def test_bad_answers(run_suite, website):
    """Each kind of wrong answer fails, and says what was expected where."""
    cases = [(path, _at(website, keys), _at(website, expected)) for path, keys, expected in BAD_ANSWERS]
    tables = [table("website", f"n{i}", url=website.url(path), **keys) for i, (path, keys, _) in enumerate(cases)]
    outcome = run_suite("\n".join(tables))
    messages = [outcome.message(f"website_access[n{i}]") for i in range(len(cases))]
    expected = [expected for _, _, expected in cases]
    assert [each[: len(begin)] for each, begin in zip(messages, expected, strict=True)] == expected


def test_conditions_on_json(home, website):
    """One expression, or several."""
    for conditions in ("length(queues) > `0`", ["status == 'ok'", "sum([workers.busy, workers.idle]) == `8`"]):
        outcome = home(website.url("/json"), jmespath=conditions)
        assert outcome.status == 0, outcome.output


def test_slow_response(home, website):
    message = home.message(website.url("/slow?seconds=0.3"), max_response_time=0.2)
    seconds = re.fullmatch(r"response took ([\d.]+) s, maximum 0\.2 s", message)
    assert seconds, message
    assert float(seconds[1]) >= 0.3


PHASES = ["dns", "connect", "first byte", "body"]


def test_metrics_of_the_response(home, website):
    """The limit of the response time is the one that fails, else the one that marks the check; phases are its parts."""
    for keys in ({"max_response_time": 0.2, "slow": 9}, {"max_response_time": 60, "slow": 9}):
        outcome = home(website.url("/slow?seconds=0.3"), max_body="4kB", **keys)
        found = metrics_of(outcome, CHECK)
        assert [*found] == ["response time", *PHASES, "body size"]
        assert {each["unit"] for each in found.values()} == {"seconds", "bytes"}
        assert found["response time"]["limit"] == keys["max_response_time"]
        assert_agrees(outcome, CHECK, "response time")
        assert found["response time"]["value"] >= sum(found[name]["value"] for name in PHASES)
        assert found["first byte"]["value"] >= 0.3
        assert found["body size"]["limit"] == 4000
    outcome = home(website.url("/redirect/2"), slow=0.001)
    assert metrics_of(outcome, CHECK)["response time"]["limit"] == 0.001
    assert outcome.checks[CHECK]["status"] == "slow"
    assert [*metrics_of(outcome, CHECK)] == ["response time", *PHASES, "body size"]


def test_metrics_of_a_failing_website(home, website):
    """What is known is reported, whatever fails."""
    website.answer("/short", "four", status=500)
    outcome = home(website.url("/short"))
    assert metrics_of(outcome, CHECK)["body size"]["value"] == 4
    assert metrics_of(outcome, CHECK)["response time"]["limit"] is None
    assert outcome.status == 1


@pytest.mark.parametrize(
    ("keys", "limit", "status"),
    [({}, 14, "failed"), ({"min_certificate_days": 1}, 1, "ok"), ({"verify": False}, None, "ok")],
)
def test_metrics_of_a_certificate(home, website, keys, limit, status):
    """Its limit is there where it is checked."""
    trust = {} if "verify" in keys else {"ca": website.authority}
    outcome = home(website.url("/", tls="expiring"), **trust, **keys)
    found = metrics_of(outcome, CHECK)
    assert [*found] == ["response time", "dns", "connect", "tls", "first byte", "body", "body size", DAYS]
    assert 0 < found[DAYS]["value"] <= SOON.days + 1
    assert (found[DAYS]["lower_limit"], outcome.checks[CHECK]["status"]) == (limit, status)


DAYS = "certificate days left"


def _at(website, value):
    """HOST stands for the website."""
    if isinstance(value, dict):
        return {key: _at(website, each) for key, each in value.items()}
    return value.replace("HOST", website.url("")) if isinstance(value, str) else value


BAD_SERVERS = {
    "hole": "connected to PEER, no response within 6 s",
    "drip_header": "status 200 from PEER, headers incomplete within 6 s",
    "drip_body": "status 200 from PEER, body incomplete within 6 s",
    "drip_raw": "connected to PEER, no response within 6 s",
    "closes": "connection closed without a response at PEER",
    "garbage": "response is not HTTP at PEER: '\\x00\\x01GARBAGE \ufffd\ufffd!!'",
    "endless": "body is larger than 5 MB",
    "endless_redirect": "more than 50 redirects, last to http://PEER/",
}


@reliability(
    "Messages",
    fault="a server accepts and is silent, drips, redirects for ever, or sends without end",
    promise="the message has the address and how far the client came, and the limit that was hit",
)
def test_bad_servers(run_suite, bad):
    """Whatever a server does to keep us waiting: the result comes with the timeout, and the exit is not held up."""
    tables = [table("website", name, url=bad.url(name), timeout=6, max_redirects=50) for name in BAD_SERVERS]
    outcome = run_suite("\n".join(tables))
    expected = {name: text.replace("PEER", f"{HOST}:{bad.port(name)}") for name, text in BAD_SERVERS.items()}
    assert {name: outcome.message(f"website_access[{name}]") for name in BAD_SERVERS} == expected
    assert outcome.duration < IN_TIME


@reliability(
    "Messages",
    fault="a server redirects again and again, each time before the timeout",
    promise="the message says where from, and how far the client came with the last one",
)
def test_slow_redirects_without_end(run_suite, bad):
    """The timeout may come at any step of a redirect: mostly while the next answer is awaited."""
    first = bad.url("redirects") + "first"
    outcome = run_suite(table("website", "redirects", url=first, timeout=6, max_redirects=50))
    peer = f"{HOST}:{bad.port('redirects')} (redirected from {first})"
    assert outcome.message("website_access[redirects]") in (
        f"connected to {peer}, no response within 6 s",
        f"status 302 from {peer}, body incomplete within 6 s",
    )
    assert outcome.duration < IN_TIME


def test_server_is_gone_or_stands_still(home, website):
    url = website.url()
    website.pause()
    assert home.message(url, timeout=6) == f"connected to {HOST}:{website.port}, no response within 6 s"
    website.stop()
    assert home.message(url) == f"connection refused at {HOST}:{website.port}"


def test_unknown_host(home):
    assert home.message("http://nowhere.invalid/").startswith("cannot resolve nowhere.invalid")


BAD_CERTIFICATES = {
    "expired": "certificate has expired (on 20",
    "self_signed": "certificate is self-signed",
    "other_host": "certificate is for other.example, not for localhost",
    "expiring": f"certificate expires in {SOON.days}.",
}


def test_bad_certificates(run_suite, website):
    tables = [table("website", tls, url=website.url(tls=tls), ca=website.authority) for tls in BAD_CERTIFICATES]
    outcome = run_suite("\n".join(tables))
    messages = {tls: outcome.message(f"website_access[{tls}]") for tls in BAD_CERTIFICATES}
    assert {tls: messages[tls][: len(text)] for tls, text in BAD_CERTIFICATES.items()} == BAD_CERTIFICATES


def test_certificate_of_an_authority_nobody_knows(home, website):
    assert "certificate authority is not trusted" in home.message(website.url(tls="good"))


@reliability(
    "Messages",
    fault="the certificate of a website is from an authority that only this system knows",
    promise="it is trusted, as by RabbitMQ's check and by alerts",
)
def test_authority_of_the_system(run_suite, website, monkeypatch):
    """As one that update-ca-certificates installed."""
    monkeypatch.setenv("SSL_CERT_FILE", str(website.authority))
    run_suite(table("website", "home", url=website.url(tls="good"))).assert_ok("website_access[home]")


def test_tls_where_there_is_none(home, website, bad):
    assert home.message(website.url().replace("http:", "https:")).startswith("no TLS at 127.0.0.1:")
    closes, drips = (bad.url(name).replace("http:", "https:") for name in ("closes", "drip_raw"))
    assert home.message(closes).startswith("connection closed during the TLS handshake at ")
    incomplete = f"connected to {HOST}:{bad.port('drip_raw')}, TLS handshake incomplete within 4 s"
    assert home.message(drips, timeout=4) == incomplete


GOOD_ANSWERS = [
    ("/", {"contains": ["Welcome", "Grüße"], "not_contains": ["Goodbye"], "headers": {"content-type": "utf-8"}}),
    ("/status/404", {"status": 404}),
    ("/status/404", {"status": [200, 404]}),
    ("/status/204", {"status": "2XX"}),
    ("/status/404", {"status": ["2xx", "404"]}),
    ("/redirect/3", {"contains": "Welcome", "final_url": "HOST/"}),
    ("/redirect/3", {"status": 302, "max_redirects": 0, "headers": {"Location": "/redirect/2"}}),
    ("/json", {"json": {"status": "ok", "workers.idle": 6, "queues.0.name": "mail"}}),
    ("/large?bytes=5000000", {"max_response_time": 10}),
    ("/large?bytes=6000000", {"max_body": "6MB"}),
    ("/", {"method": "HEAD"}),
    ("/large?bytes=9000000", {"method": "HEAD"}),
    ("/echo", {"method": "POST", "body": "Grüße", "contains": '"method": "POST"', "json": {"body": "Grüße"}}),
    ("/echo", {"request_headers": {"X-Mine": "yes"}, "json": {"headers.x-mine": "yes"}}),
    ("/echo", {"token": "abc-def", "json": {"headers.authorization": "Bearer abc-def"}}),
    ("/basic", {"user": USER, "password": PASSWORD, "contains": "You are known"}),
]


@reliability(
    "Messages",
    fault="a status other than 200 is what a website should answer",
    promise='status takes numbers, lists and classes: 404, [200, 204], "2xx"',
)
def test_good_answers(run_suite, website):
    tables = [
        table("website", f"n{i}", url=website.url(path), **_at(website, keys))
        for i, (path, keys) in enumerate(GOOD_ANSWERS)
    ]
    expiring = website.url(tls="expiring")
    tables.append(table("website", "unverified", url=expiring, verify=False))
    tables.append(table("website", "soon", url=expiring, ca=website.authority, min_certificate_days=1))
    outcome = run_suite("\n".join(tables))
    assert outcome.status == 0, outcome.output
    assert len(outcome.checks) == len(tables)


def test_good_certificate(home, website):
    """Also where there is no body to read, and where http leads to https."""
    keys = {"ca": website.authority, "min_certificate_days": 89}
    assert home(website.url(tls="good"), **keys, method="HEAD").status == 0
    website.answer("/away", status=301, headers={"Location": website.url(tls="good")})
    assert home(website.url("/away"), **keys, final_url=website.url(tls="good")).status == 0
    assert "expires in" in home.message(website.url(tls="good"), ca=website.authority, min_certificate_days=91)


@reliability(
    "Messages",
    fault="a redirect leads to an invalid URL",
    promise="the message has the Location, and the URL that sent it",
)
def test_odd_redirects(run_suite, website):
    """Where a redirect leads to no page that is said; a charset that nobody knows is taken for UTF-8."""
    website.answer("/mail", status=302, headers={"Location": "mailto:me@example.com"})
    website.answer("/broken", status=302, headers={"Location": "http://[oops/"})
    website.answer("/charset", "Welcome", headers={"Content-Type": "text/html; charset=oops"})
    paths = ("mail", "broken", "charset")
    outcome = run_suite(
        "\n".join(table("website", path, url=website.url(f"/{path}"), contains="Welcome") for path in paths)
    )
    nowhere = "redirect to an invalid URL"
    assert outcome.message("website_access[mail]") == f"{nowhere}, 'mailto:me@example.com', from {website.url('/mail')}"
    assert outcome.message("website_access[broken]") == f"{nowhere}, 'http://[oops/', from {website.url('/broken')}"
    assert outcome.checks["website_access[charset]"]["status"] == "ok", outcome.output


def test_request_is_ours_alone(home, website, monkeypatch, tmp_path):
    """Nothing of the environment is used, and no tracing headers are sent."""
    (tmp_path / ".netrc").write_text(f"machine {HOST} login {USER} password {PASSWORD}\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1/")
    assert home(website.url("/")).status == 0
    assert set(website.requests[0].headers) == {"host", "user-agent", "accept", "accept-encoding"}
    assert "servermonitoring" in website.requests[0].headers["user-agent"]


def test_proxy_of_the_target_is_used(home, website):
    """Any http server can play the proxy: it is asked for the whole URL."""
    assert home("http://app.example.com/json", proxy=website.url("/"), contains="workers").status == 0


def test_a_proxy_without_tls_reads_no_authorities(website, monkeypatch):
    """That would count as the duration of the probe; one with TLS is trusted as the website is."""
    keys = WebKeys(url="http://app.example.com/json", proxy=website.url("/"))
    secured = WebKeys(url=keys.url, proxy="https://127.0.0.1:1/")
    manager = transport.WebSession(secured, transport.Trace())._adapter.proxy_manager_for(secured.proxy)
    assert manager.proxy_config.ssl_context is context(verify=True, ca=None)
    monkeypatch.setattr(transport, "context", None)
    with Client(keys) as client:
        assert client.send(Request(keys.url)).status == 200


def test_no_secret_is_written(home, website):
    """Nothing of it, of the URL, of headers or of a form, in anything that a failing run writes."""
    url = website.url("/echo?api_key=keep-it-quiet", user=(USER, PASSWORD))
    outcome = home(url, request_headers={"Authorization-Token": "my-own-token"}, contains="nothing", status=201)
    assert outcome.status == 1
    written = outcome.all_written()
    for secret in (PASSWORD, "s3cret", "keep-it-quiet", "my-own-token"):
        assert secret not in written, secret


WRONG_KEYS = [
    ({"url": "app.example.com"}, "is not a URL: write https://host/path"),
    ({"url": "ftp://app.example.com/"}, "is not a URL: write https://host/path"),
    ({"verify": False, "ca": "FILE"}, "ca has no meaning with verify = false"),
    ({"url": "http://app.example.com/", "ca": "FILE"}, "ca has no meaning for a URL that is not https"),
    ({"ca": "/nowhere.pem"}, "/nowhere.pem does not exist"),
    ({"ca": "EMPTY"}, "contains no certificate in PEM form"),
    ({"password": "x"}, "password needs user"),
    ({"user": "x", "token": "y"}, "more than one way to log in"),
    ({"method": "HEAD", "contains": "x"}, "contains needs a body, and a response to HEAD has none"),
    ({"method": "HEAD", "json": {"a": 1}}, "json needs a body"),
    ({"method": "HEAD", "jmespath": "a"}, "jmespath needs a body"),
    ({"jmespath": ["a", "a > 0"]}, "jmespath[1]: 'a > 0': is not a JMESPath expression: unexpected \"0\" at column 5"),
    ({"allowed_origins": ["https://sso.example.com/login"]}, "is not an origin: write https://host"),
    ({"allowed_origins": ["sso.example.com"]}, "is not a URL: write https://host/path"),
    ({"status": 42}, "42 is not a status: write 200, a class such as"),
    ({"status": []}, "is empty: write a status such as 200"),
    ({"status": ["2xx", "2x"]}, "'2x' is not a status"),
    ({"status": True}, "true is not a status"),
    ({"status": 200.5}, "200.5 is not a status"),
    ({"contain": "x"}, 'unknown key "contain"; did you mean "contains"?'),
]


def test_wrong_keys(run_suite, website, tmp_path):
    """One clear error for each, that names the table; exit status 4, and nothing is contacted."""
    (tmp_path / "empty.pem").touch()
    files = {"FILE": website.authority, "EMPTY": tmp_path / "empty.pem"}
    tables = []
    for i, (keys, _) in enumerate(WRONG_KEYS):
        filled = {key: files.get(str(each), each) for key, each in keys.items()}
        tables.append(table("website", f"n{i}", **{"url": website.url(tls="good"), **filled}))
    outcome = run_suite("\n".join(tables))
    assert outcome.status == 4, outcome.output
    for i, (_, expected) in enumerate(WRONG_KEYS):
        line = next(
            line
            for line in outcome.output.splitlines()
            if line.strip().startswith((f"[website.n{i}]", f"[website.n{i}."))
        )
        assert expected in line
    assert website.paths == []


def test_schema_of_status():
    """Editors take what the check takes."""
    one, several = {"type": "integer", "minimum": 100, "maximum": 599}, {"pattern": "^[1-5]([0-9]{2}|xx)$"}
    schema = Website.model_json_schema()["properties"]["status"]
    number, text, listed = schema["anyOf"]
    assert number == one
    assert text.items() >= several.items()
    assert listed["items"]["anyOf"] == [number, text]


def test_values_in_json():
    """Paths go through tables and lists; true is not 1; a key may hold a dot itself."""
    text = '{"a.b": {"c": [1, true]}, "x": {"y.z": null}}'
    assert first_difference(text, {"a.b.c.0": 1.0, "a.b.c.1": True, "x.y.z": None}) == ""
    assert first_difference(text, {"a.b.c.0": True}) == "a.b.c.0 is 1 instead of true"
    for absent in ("a", "a.b.d", "a.b.c.2", "a.b.c.x", "x.y.z.0", ""):
        assert first_difference(text, {absent: 1}) == f"the JSON has no {absent}"


def test_urls():
    assert redacted("https://me:secret@App.example.com:8443/a?ticket=1#x") == "https://app.example.com:8443/a"
    assert is_at("http://me@h/a?b=1", "http://h/a")
    assert not is_at("http://h/a?b=1", "http://h/a?b=2")
    assert is_at("http://h", "http://h/")
    assert same_origin("http://h/a", "https://h/")
    assert not same_origin("https://h/a", "http://h/")
    assert not same_origin("http://h:8080/", "http://h/")
    assert not same_origin("http://h:8080/", "https://h/")
    assert not same_origin("http://h/", "https://h:8443/")
    assert origin("https://me@[::1]:443/a") == "https://[::1]"
    assert origin("http://H:8080") == "http://h:8080"
    with pytest.raises(ValueError, match="is not a URL"):
        http_url("http://evil.example\\@app.example.com/")  # its host is another one for urllib3
