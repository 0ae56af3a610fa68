"""Logins: the form is there, takes name and password, and leads to what only members see."""

from dataclasses import dataclass
from typing import Self

from pydantic import Field, model_validator

from healthchecks import Target, Unhealthy, probe
from healthchecks.clients.http import forms
from healthchecks.clients.http.client import Answer, Client, Question
from healthchecks.clients.http.evidence import kept_on_failure
from healthchecks.clients.http.options import SecretByName, Texts, WebKeys
from healthchecks.clients.http.urls import Url

_FIRST_ERROR = 400


class Login(WebKeys, Target):
    fields: SecretByName = Field(min_length=1)
    """The form's fields by name, such as username and password, with what to fill in."""
    form: str | int | None = None
    """The form, by id, name or number (from 0); else the first that has all the fields."""
    submit: str | None = None
    """The button, by id, name or caption; else the first of the form."""
    then: Url | None = None
    """Page to open when logged in; else what the login itself leads to is judged."""
    contains: Texts = ()
    """Text, or texts, that only those see who are logged in."""
    not_contains: Texts = ()
    """Text, or texts, that must not be there."""

    @model_validator(mode="after")
    def _success_is_told(self) -> Self:
        if not self.contains and not self.not_contains:
            raise ValueError("contains or not_contains is needed: a failed login, too, answers 200")
        if not self.max_redirects:
            raise ValueError("max_redirects = 0 has no meaning here: a login leads on by a redirect")
        return self


@dataclass(frozen=True)
class Arrival:
    """Where the login led in the end, and whether its form was there again."""

    page: Answer
    asked_again: bool


@probe
def arrival(login: Login) -> Arrival:
    with Client(login) as client:
        page = client.ask(Question(login.url))
        with kept_on_failure(page):
            if page.status >= _FIRST_ERROR:
                raise Unhealthy(f"login page: status {page.words} at {page.here}")
            form = forms.find(page, login.fields, login.form)
            sent = forms.filled(form, page, login.dict_of(login.fields), login.submit)
        page = client.ask(sent)
        with kept_on_failure(page):
            if page.status >= _FIRST_ERROR:
                raise Unhealthy(f"login form submitted: status {page.words} at {page.here}")
        asked_again = forms.is_on(page, login.fields)
        if login.then and not asked_again:
            page = client.ask(Question(login.then))
            asked_again = forms.is_on(page, login.fields)
    return Arrival(page, asked_again)


def test_website_login(login: Login, arrival: Arrival) -> None:
    with kept_on_failure(arrival.page):
        _judge(login, arrival)


def _judge(login: Login, arrival: Arrival) -> None:
    page, here = arrival.page, arrival.page.here
    assert not arrival.asked_again, f"login failed: form with {', '.join(login.fields)} shown again at {here}"
    assert page.status < _FIRST_ERROR, f"logged in, but status {page.words} at {here}"
    for text in login.contains:
        assert text in page.text, f'logged in, but "{text}" not found at {here}'
    for text in login.not_contains:
        assert text not in page.text, f'logged in, but "{text}" found at {here}'
