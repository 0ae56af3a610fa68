"""An alert in words for people, made of the webhook's document: for chats, mail and whatever else shows text.

docs/alerts.md shows the document. A spool may hold one of a later version, so that no key of it is taken for granted.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from servermonitoring.values import metric_with_limits

WebhookFormat = Literal["json", "slack"]
_LONGEST_TITLE = 200  # characters
_LONGEST_HOST = 64
_LONGEST_MESSAGE = 1000
_LONGEST_BODY = 3500  # Slack wants less than 4,000 characters, Telegram takes no more than 4,096
_MOST_METRICS = 10
# What chats make a call to everybody of, or a link to somebody: "@here", Slack's "<!channel>", "<@U123>".
_MENTION = re.compile(r"@(?=(?:all|channel|everyone|here)\b)|<(?=[!@#])", re.IGNORECASE)
_WORD_JOINER = "\u2060"  # invisible


@dataclass(frozen=True)
class AlertText:
    """Title, in one line, and body of an alert. Neither has a secret that the document has not."""

    title: str
    body: str


def text_of(document: Mapping[str, Any]) -> AlertText:
    """Return the text of an alert."""
    title, message = _title(document), _plain(_text(document, "message")).strip()
    lines = [*_lines(document)] if message in title else [_cut(message, _LONGEST_MESSAGE), *_lines(document)]
    return AlertText(title, _cut("\n".join(filter(None, lines)), _LONGEST_BODY))


def _title(document: Mapping[str, Any]) -> str:
    """Return "Failed: website[home]: status 502 instead of 200 (web1)"."""
    action, status = (_text(document, key) for key in ("action", "status"))
    of_action = {"reminder": f"Still {status}", "changed": f"Now {status}", "alert": status, "test": "Test"}
    word = of_action.get(action, "")
    host = _one_line(_text(document, "host"))
    title = f"{word[:1].upper()}{_one_line(word[1:])}: " * bool(word) + _one_line(_text(document, "title"))
    of_host = f" ({_cut(host, _LONGEST_HOST)})" if host else ""
    return _cut(title, _LONGEST_TITLE - len(of_host)) + of_host


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    yield from _metrics(document.get("metrics"))
    yield _since(document)
    yield "Severity: warning" if document.get("level") == "warning" else ""
    for name, key in (("Group", "group"), ("Page", "link"), ("What to do", "runbook")):
        text = _one_line(_text(document, key))
        yield f"{name}: {text}" if text else ""
    data = document.get("data")
    for key, value in data.items() if isinstance(data, Mapping) else ():
        yield f"{_one_line(str(key))}: {_plain(str(value)).strip()}"


def _metrics(metrics: object) -> Iterator[str]:
    for each in metrics[:_MOST_METRICS] if isinstance(metrics, list) else ():
        try:
            limits = each.get("limit"), each.get("lower_limit")
            yield _one_line(metric_with_limits(str(each["name"]), float(each["value"]), str(each["unit"]), *limits))
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
            continue


def _since(document: Mapping[str, Any]) -> str:
    """Return "Since 2026-11-24 04:10 UTC, 7 runs in a row, 5 of them without an alert"."""
    since, failures, suppressed = (document.get(key) for key in ("since", "failures", "suppressed"))
    if not isinstance(since, str) or not since:
        return ""
    moment = since[:16].replace("T", " ") + (" UTC" if since.endswith("Z") else "")
    runs = f", {failures} runs in a row" if isinstance(failures, int) and failures > 1 else ""
    silent = f", {suppressed} of them without an alert" if runs and isinstance(suppressed, int) and suppressed else ""
    since_when = "It had failed since" if document.get("action") == "recovered" else "Since"
    return _one_line(f"{since_when} {moment}{runs}{silent}")


def _text(document: Mapping[str, Any], key: str) -> str:
    value = document.get(key)
    return value if isinstance(value, str) else ""


def _one_line(text: str) -> str:
    return " ".join(_plain(text).split())


def _plain(text: str) -> str:
    """Return the text without control characters, and without a form by which a chat calls people."""
    printable = "".join(each if each.isprintable() or each in "\n\t" else " " for each in text)
    return _MENTION.sub(lambda match: match[0] + _WORD_JOINER, printable)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
