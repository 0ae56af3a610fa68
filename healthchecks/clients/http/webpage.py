"""HTML pages that a server sends: an excerpt for the dashboard and the alert, and forms, filled in as by a browser."""

import contextlib
from collections.abc import Collection, Iterator, Mapping
from typing import Any
from urllib.parse import urljoin

from healthchecks import Unhealthy, attach
from healthchecks.clients.http.client import Request, Response
from healthchecks.clients.http.urls import http_url, redacted
from servermonitoring.scrubbing import scrub_and_cut

_MOST_READ = 65_536  # characters of the page that are parsed
_MOST_KEPT = 2_000  # characters of its text
_UNSEEN = "//script | //style | //template | //head"
_BUTTONS = ".//button[@type='submit' or not(@type)] | .//input[@type='submit' or @type='image']"


@contextlib.contextmanager
def attach_on_failure(page: Response) -> Iterator[None]:
    """Attach title and text of the page where the block fails."""
    try:
        yield
    except (AssertionError, Unhealthy):
        attach("page", excerpt(page))
        raise


def excerpt(page: Response) -> str:
    """Return status, URL, title, and the beginning of the visible text."""
    title, text = _read(page)
    lines = [
        f"{page.status_line} at {page.location}",
        f"title: {title}" if title else "",
        scrub_and_cut(text, _MOST_KEPT),
    ]
    return "\n".join(filter(None, lines))


def _read(page: Response) -> tuple[str, str]:
    beginning = page.text[:_MOST_READ]
    if "<" not in beginning or "json" in page.headers.get("Content-Type", ""):
        return "", beginning
    document = _document(beginning)
    if document is None:
        return "", beginning
    title = " ".join(str(document.xpath("string(//title)")).split())
    for element in document.xpath(_UNSEEN):
        element.drop_tree()
    lines = (" ".join(line.split()) for line in document.text_content().splitlines())
    return scrub_and_cut(title, 200), "\n".join(filter(None, lines))


def find_form(page: Response, names: Collection[str], wanted: str | int | None = None) -> Any:
    """Return the form with this id, name or number (from 0), by default the first with all fields. Raise Unhealthy."""
    forms = _forms(page)
    where = redacted(page.url)
    if wanted is None:
        found = [form for form in forms if _has(form, names)]
        what = f"no form with the fields {', '.join(names)}"
    else:
        found = [form for number, form in enumerate(forms) if wanted in (number, form.get("id"), form.get("name"))]
        what = f"no form {wanted!r}" if not found else f"the form {wanted!r} has no field {', '.join(names)}"
        missing = [name for name in names if found and not _has(found[0], [name])]
        if missing:
            raise Unhealthy(f"the form {wanted!r} has no field {', '.join(missing)} at {where}")
    if not found:
        raise Unhealthy(f"{what} at {where}")
    return found[0]


def has_form(page: Response, names: Collection[str]) -> bool:
    """Return whether a form on the page has all of these fields."""
    return any(_has(form, names) for form in _forms(page))


def fill_form(form: Any, page: Response, fields: Mapping[str, str], submit: str | None = None) -> Request:
    """Return the request that a browser sends, with hidden fields and presets. Raise Unhealthy."""
    button = _button(form, submit, redacted(page.url))
    values = [(name, value) for name, value in form.form_values() if name not in fields]
    values += list(fields.items())
    given: Mapping[str, str] = button.attrib if button is not None else {}
    if "name" in given:
        values.append((given["name"], given.get("value", "")))
    action = given.get("formaction") or form.get("action") or ""
    method = (given.get("formmethod") or form.get("method") or "GET").upper()
    base = form.getroottree().getroot().xpath("string(.//base/@href)")
    target = urljoin(urljoin(page.url, base), action.strip())
    try:
        body = _body(form, method, values)
        return Request(http_url(target), "POST" if method == "POST" else "GET", body=body, body_name="form fields")
    except ValueError:
        raise Unhealthy(f"form leads to an invalid URL at {redacted(page.url)}") from None


def _forms(page: Response) -> list[Any]:
    document = _document(page.text)
    return [] if document is None else list(document.forms)


def _has(form: Any, names: Collection[str]) -> bool:
    there = {each.name for each in form.inputs if each.name}
    return there.issuperset(names)


def _button(form: Any, submit: str | None, where: str) -> Any:
    """Return the button with this id, name or caption; by default the first, as for the enter key."""
    buttons = form.xpath(_BUTTONS)
    if submit is None:
        return next((each for each in buttons if "disabled" not in each.attrib), None)
    for each in buttons:
        if submit in (each.get("id"), each.get("name"), each.get("value"), each.text_content().strip()):
            return each
    raise Unhealthy(f'the form has no button "{submit}" at {where}')


def _body(form: Any, method: str, values: list[tuple[str, str]]) -> dict[str, Any]:
    if method != "POST":
        return {"params": values}
    if form.get("enctype", "").lower() == "multipart/form-data":
        return {"files": [(name, (None, value)) for name, value in values]}
    return {"data": values}


def _document(text: str) -> Any:
    """Return the page as a tree; None for an empty page."""
    from lxml import etree, html

    try:
        return html.document_fromstring(text.encode(errors="replace"), parser=html.HTMLParser(encoding="utf-8"))
    except etree.LxmlError:
        return None
