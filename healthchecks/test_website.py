"""Websites: status, headers, body, redirects, response time and certificate."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from healthchecks import Duration, Secret, Target, metric, probe
from healthchecks.clients.http.body import first_difference
from healthchecks.clients.http.client import Client, Request, Response
from healthchecks.clients.http.options import Expressions, SecretByName, Statuses, Texts, WebKeys
from healthchecks.clients.http.rehearsal import rehearse_request
from healthchecks.clients.http.urls import Url, is_at, redacted
from healthchecks.clients.http.webpage import attach_on_failure
from servermonitoring.scrubbing import scrub_and_cut
from servermonitoring.values import in_words


class Website(WebKeys, Target):
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] = "GET"
    """Method of the request: GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS."""
    request_headers: SecretByName = Field(default_factory=dict)
    """Headers of the request; a secret, except those with harmless names."""
    body: str = ""
    """Body of the request; parts in the form of a credential are secret."""
    user: str = ""
    """Name for basic authentication."""
    password: Secret | None = None
    """Password for basic authentication; a secret."""
    token: Secret | None = None
    """Token, sent as `Authorization: Bearer`; a secret."""
    status: Statuses = ("200",)
    """Expected status: 200, a class such as `"2xx"`, or a list: `[200, "3xx"]`."""
    contains: Texts = ()
    """Text, or list of texts, that must be in the body."""
    not_contains: Texts = ()
    """Text, or list of texts, that must not be in the body."""
    values: dict[str, Any] = Field(default_factory=dict, alias="json")
    """Expected values in a JSON body, by dotted path: `{ "workers.0.state" = "up" }`."""
    jmespath: Expressions = ()
    """JMESPath expression, or list of expressions, that must be true for a JSON body: ``"length(items) > `0`"``."""
    headers: dict[str, str] = Field(default_factory=dict)
    """Expected headers of the response, each with text that it must contain."""
    final_url: Url | None = None
    """URL at which the redirects must end; a query is compared only if this URL has one."""
    max_response_time: Duration | None = Field(default=None, gt=0, le=86400)
    """Maximum duration of the response, redirects included; above `slow` the check only becomes slow."""
    min_certificate_days: float = Field(default=14, ge=0, le=3660)
    """Minimum number of days until the certificate expires; with `verify = false` only if it is set."""

    @classmethod
    def rehearse(cls) -> None:
        rehearse_request()

    @model_validator(mode="after")
    def _keys_fit(self) -> Self:
        secured = "https:" in f"{self.url} {self.final_url}".lower()
        if not secured and (found := self.explicit("verify", "ca", "min_certificate_days")):
            raise ValueError(f"{found[0]} has no meaning for a URL that is not https")
        if self.password and not self.user:
            raise ValueError("password needs user")
        given = [name for name in self.request_headers if name.lower() == "authorization"]
        ways = [bool(self.user), bool(self.token), bool(given), "@" in self.url.split("/")[2]]
        if sum(ways) > 1:
            raise ValueError("more than one way to log in: write user and password, or token, or the header")
        if self.method == "HEAD" and (found := self.explicit("contains", "not_contains", "values", "jmespath")):
            raise ValueError(
                f"{'json' if found[0] == 'values' else found[0]} needs a body, and a response to HEAD has none"
            )
        return self


@probe
def response(website: Website) -> Response:
    headers = website.dict_of(website.request_headers)
    if website.token:
        headers["Authorization"] = f"Bearer {website.token.reveal()}"
    password = website.password.reveal() if website.password else ""
    login = (website.user, password) if website.user else None
    body = {"data": website.body.encode()} if website.body else {}
    with Client(website) as client:
        return client.send(Request(website.url, website.method, headers, login, body))


def test_website_access(website: Website, response: Response) -> None:
    response.report(response.duration, website.max_response_time or website.slow, website.max_body)
    if certificate := response.certificate:
        limit = website.min_certificate_days if _is_certificate_checked(website) else None
        metric("certificate days left", certificate.days_left, lower_limit=limit)
    with attach_on_failure(response):
        _assert_expected(website, response)


def _assert_expected(website: Website, response: Response) -> None:
    here = response.location
    found = str(response.status)
    assert {found, f"{found[0]}xx"}.intersection(website.status), (
        f"status {response.status_line} instead of {' or '.join(website.status)} at {here}"
    )
    assert not website.final_url or is_at(response.url, website.final_url), (
        f"final URL {redacted(response.url)}, expected {redacted(website.final_url or '')}"
    )
    _assert_headers(website, response, here)
    for text in website.contains:
        assert text in response.text, f'"{text}" not found at {here}'
    for text in website.not_contains:
        assert text not in response.text, f'"{text}" found at {here}'
    wrong = first_difference(response.text, website.values)
    assert not wrong, f"{wrong} at {here}"
    if website.jmespath:
        _assert_true(website, response, here)
    assert website.max_response_time is None or response.duration <= website.max_response_time, (
        f"response took {in_words(response.duration)}, maximum {in_words(website.max_response_time or 0)}"
    )
    _assert_certificate(website, response)


def _assert_true(website: Website, response: Response, here: str) -> None:
    from healthchecks.clients.http.expression import first_untrue

    wrong = first_untrue(response.text, website.jmespath)
    assert not wrong, f"{wrong} at {here}"


def _assert_headers(website: Website, response: Response, here: str) -> None:
    for name, text in website.headers.items():
        found = response.headers.get(name)
        assert found is not None, f"header {name} missing at {here}"
        assert text in found, f"header {name}: {scrub_and_cut(found, 200)} does not contain {text} at {here}"


def _is_certificate_checked(website: Website) -> bool:
    return website.verify or bool(website.explicit("min_certificate_days"))


def _assert_certificate(website: Website, response: Response) -> None:
    if (certificate := response.certificate) and _is_certificate_checked(website):
        wrong = certificate.describe_expiry(website.min_certificate_days)
        assert not wrong, wrong
