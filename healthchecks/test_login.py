"""Logins: submits a login form and checks the page that only members see."""

from dataclasses import dataclass
from typing import Self

from pydantic import Field, model_validator

from healthchecks import Target, Unhealthy, metric, probe
from healthchecks.clients import preload
from healthchecks.clients.http.client import Client, Request, Response
from healthchecks.clients.http.options import SecretByName, Texts, WebKeys
from healthchecks.clients.http.rehearsal import rehearse_request
from healthchecks.clients.http.urls import Url
from healthchecks.clients.http.webpage import attach_on_failure, fill_form, find_form, has_form

_FIRST_ERROR = 400


class Login(WebKeys, Target):
    fields: SecretByName = Field(min_length=1)
    """The form's fields by name, with their values; a secret, except those with harmless names."""
    form: str | int | None = None
    """The form by id, name or number (from 0); default: the first with all the fields."""
    submit: str | None = None
    """The button by id, name or caption; default: the first of the form."""
    then: Url | None = None
    """Page to open after the login; default: the page that the login leads to."""
    contains: Texts = ()
    """Text, or list of texts, that must be in the last page; this or `not_contains` is required."""
    not_contains: Texts = ()
    """Text, or list of texts, that must not be in the last page."""

    @classmethod
    def rehearse(cls) -> None:
        rehearse_request()

    @model_validator(mode="after")
    def _has_success_condition(self) -> Self:
        if not self.contains and not self.not_contains:
            raise ValueError("contains or not_contains is needed: a failed login also has status 200")
        if not self.max_redirects:
            raise ValueError("max_redirects = 0 has no meaning here: a login ends with a redirect")
        preload("lxml.html")
        return self


@dataclass(frozen=True)
class Arrival:
    """The final page, whether it has the login form again, and the duration of all responses in seconds."""

    page: Response
    has_form_again: bool
    duration: float


@probe
def arrival(login: Login) -> Arrival:
    with Client(login) as client:
        page = client.send(Request(login.url))
        duration = page.duration
        with attach_on_failure(page):
            if page.status >= _FIRST_ERROR:
                raise Unhealthy(f"login page: status {page.status_line} at {page.location}")
            form = find_form(page, login.fields, login.form)
            sent = fill_form(form, page, login.dict_of(login.fields), login.submit)
        page = client.send(sent)
        duration += page.duration
        with attach_on_failure(page):
            if page.status >= _FIRST_ERROR:
                raise Unhealthy(f"login form submitted: status {page.status_line} at {page.location}")
        has_form_again = has_form(page, login.fields)
        if login.then and not has_form_again:
            page = client.send(Request(login.then))
            duration += page.duration
            has_form_again = has_form(page, login.fields)
    return Arrival(page, has_form_again, duration)


def test_website_login(login: Login, arrival: Arrival) -> None:
    arrival.page.report(arrival.duration, login.slow, login.max_body)
    if certificate := arrival.page.certificate:
        metric("certificate days left", certificate.days_left)
    with attach_on_failure(arrival.page):
        _assert_expected(login, arrival)


def _assert_expected(login: Login, arrival: Arrival) -> None:
    page, here = arrival.page, arrival.page.location
    assert not arrival.has_form_again, f"login failed: form with {', '.join(login.fields)} shown again at {here}"
    assert page.status < _FIRST_ERROR, f"logged in, but status {page.status_line} at {here}"
    for text in login.contains:
        assert text in page.text, f'logged in, but "{text}" not found at {here}'
    for text in login.not_contains:
        assert text not in page.text, f'logged in, but "{text}" found at {here}'
