"""What a failing website showed is on the page of the run: title and text, without secrets, and bounded."""

from healthchecks.clients.http.client import Response
from healthchecks.clients.http.webpage import excerpt
from tests.reliability import reliability
from tests.servers.website import PASSWORD, USER
from tests.suite import table

MAINTENANCE = "<html><head><title>Back soon</title><style>p {}</style></head><body><p>Upgrade until 4 o'clock</p>"


@reliability(
    "Messages",
    fault="a website or a login fails",
    promise="title and beginning of the page are kept with the message, without secrets",
)
def test_page_is_kept(run_suite, website):
    secret = "hunter-six-hunter"
    website.answer("/down", f"{MAINTENANCE}<p>{secret}</p>", status=503, headers={"Content-Type": "text/html"})
    fields = {"user": USER, "password": PASSWORD}
    outcome = run_suite(
        table("website", "down", url=website.url("/down"), request_headers={"X-Token": secret})
        + table("website", "ok", url=website.url("/down"), status=503)
        + table("login", "down", url=website.url("/down"), fields=fields, contains="x")
        + table("login", "other", url=website.url("/login"), fields=fields, contains="nothing of it")
    )
    assert outcome.status == 1
    page = (outcome.folder / "html" / "index.html").read_text()
    assert page.count("title: Back soon") == 2
    assert page.count("Upgrade until 4 o") == 2
    assert "title: Welcome back" in page or "Welcome back, " in page
    assert secret not in outcome.all_written()


def answer(body, content_type="text/html"):
    return Response(200, "OK", "http://h/", {"Content-Type": content_type}, body, 0.0, None)


def test_excerpt():
    assert excerpt(answer(MAINTENANCE.encode())) == "200 OK at http://h/\ntitle: Back soon\nUpgrade until 4 o'clock"
    assert excerpt(answer(b"")) == "200 OK at http://h/"
    assert excerpt(answer(b"<!---->")).startswith("200 OK at http://h/")
    assert excerpt(answer(b'{"a": "<b>"}', "application/json")).endswith('\n{"a": "<b>"}')
    assert excerpt(answer(b"<script>hidden()</script>seen")).endswith("/\nseen")
    for bomb in (b"<p>" * 1_000_000, b"<" * 1_000_000, b"x" * 1_000_000):
        assert len(excerpt(answer(bomb))) < 3_000
