"""Settings from the [watchdog], [state] and [sentry] tables of the configuration; reports all errors at once."""

import pwd
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from servermonitoring import configuration, values
from servermonitoring.configuration import ConfigurationError, Problem, echo, most_similar, nearest, place, safe_message
from servermonitoring.delivery.dsn import Dsn, in_force
from servermonitoring.secret import Secret
from watchdog.handover import VARIABLE, AlertDestination, WatchdogSettings
from watchdog.policy import DEFAULT, Rule


def alert_destination(table: dict[str, Any], path: Path | None = None, unresolved: str = "") -> AlertDestination:
    """Return the destination in the table [sentry] of this file; `unresolved` is an error of a variable in it."""

    def configured() -> str:
        text = table.get("dsn", "")
        if unresolved or not isinstance(text, str):
            raise ValueError(unresolved or "[sentry] dsn is not a string")
        return Secret.load(text, path).reveal() if text else ""

    environment = table.get("environment", AlertDestination().environment)
    if not isinstance(environment, str):
        return AlertDestination(problem="[sentry] environment is not a string")
    try:
        dsn = in_force(VARIABLE, configured)
        if dsn:
            Dsn.parse(dsn)
    except ValueError as error:
        return AlertDestination(problem=str(error))
    return AlertDestination(dsn, environment)


# Keys of the suite's check of the watchdog, which share the table: the suite validates them.
CHECK_KEYS = {
    "max_kills_per_hour", "timeout", "slow", "failure_threshold", "success_threshold", "retries", "needs", "group",
    "maintenance", "runbook", "severity",
}  # fmt: skip


# Former keys of the table [watchdog], with what they are called now; those of [watchdog.RULE] never changed.
RENAMED = {"deadline": "timeout", "after": "failure_threshold"}


def load(given: str | None = None) -> WatchdogSettings:
    """Return the settings, with the default rule if there is no file or it has no rule. Raise ConfigurationError."""
    path = configuration.find(given)
    if path is None:
        return WatchdogSettings([DEFAULT], None, None, alert_destination({}))
    tables, problems = configuration.read(path)
    unresolved = "; ".join(str(each) for each in problems if each.where.startswith("[sentry"))
    problems, others = _of_the_watchdog(problems)
    rules = rules_of(tables, problems)
    if rules[0] is DEFAULT:  # it applies to every Firefox: never because of a typing error
        problems += [*others, *_misspelt(tables)]
    state = _table(tables, "state", problems).get("directory")
    if state is not None and not isinstance(state, str):
        problems.append(Problem("[state] directory", f"{echo(state) or 'it'} is not a path"))
    if problems:
        raise ConfigurationError(path, problems, tables)
    sentry = tables.get("sentry", {})
    destination = alert_destination(sentry if isinstance(sentry, dict) else {"dsn": sentry}, path, unresolved)
    return WatchdogSettings(
        rules, path, str(configuration.relative_to_file(path, state)) if state else None, destination
    )


def rules_of(tables: dict[str, Any], problems: list[Problem]) -> list[Rule]:
    """Return the rules in the order of the file: the first one that matches a browser applies to it."""
    table = _table(tables, "watchdog", problems)
    rules = []
    for name, content in table.items():
        if name in CHECK_KEYS:
            continue
        if isinstance(content, dict):
            rules.append(_rule(name, content, problems))
        else:
            hint = f'; it is called "{RENAMED[name]}" now' if name in RENAMED else nearest(name, CHECK_KEYS)
            problems.append(Problem(place(["watchdog", name]), f"unknown key{_value(content, name)}{hint}"))
    return rules or [DEFAULT]


def _of_the_watchdog(problems: list[Problem]) -> tuple[list[Problem], list[Problem]]:
    """Return the watchdog's own problems, and those of tables that only the suite reads; without those of [sentry].

    A file that cannot be read may have its rules.
    """
    own = [each for each in problems if re.match(r"\[watchdog|\[state|(?!\[)", each.where)]
    return own, [each for each in problems if each not in own and not each.where.startswith("[sentry")]


def _misspelt(tables: dict[str, Any]) -> list[Problem]:
    if "watchdog" in tables:
        return []
    name = most_similar("watchdog", tables, at_least=0.85)
    return [Problem(place([name]), 'unknown table; did you mean "watchdog"?')] if name else []


def _table(tables: dict[str, Any], name: str, problems: list[Problem]) -> dict[str, Any]:
    table = tables.get(name, {})
    if isinstance(table, dict):
        return table
    problems.append(Problem(place([name]), f"{echo(table, [name]) or 'it'} is not a table"))
    return {}


def _rule(name: str, content: dict[str, Any], problems: list[Problem]) -> Rule:
    settings: dict[str, Any] = {}
    for key, value in content.items():
        where = place(["watchdog", name, key])
        if key not in _KEYS:
            problems.append(Problem(where, f"unknown key{_value(value, key)}{nearest(key, _KEYS)}"))
            continue
        try:
            settings[key] = _KEYS[key](value)
        except ValueError as error:
            problems.append(Problem(where, safe_message(str(error), value, [key])))
    return Rule(name=name, **settings)


def _value(value: Any, key: str) -> str:
    shown = echo(value, [key])
    return f" (value {shown})" if shown else ""


def _expression(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{value!r} is not a regular expression")
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"{value!r} is not a regular expression: {error}") from None
    return value


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is not true or false")  # noqa: TRY004 - a wrong value like others
    return value


def _user(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    try:
        return pwd.getpwnam(value).pw_uid
    except (KeyError, TypeError):
        users = (each.pw_name for each in pwd.getpwall())
        raise ValueError(f"this machine has no user {value!r}{nearest(str(value), users)}") from None


def _limit(read: Callable[[Any], float]) -> Callable[[Any], float | None]:
    """Return a reader of a limit, which is None for false."""

    def limit(value: Any) -> float | None:
        if value is False:
            return None
        number = read(value)
        if not number:
            raise ValueError(f"{value!r} would kill every browser: write false for no limit")
        return number

    return limit


_KEYS: dict[str, Callable[[Any], Any]] = {
    "process": _expression,
    "command": _expression,
    "user": _user,
    "automated_only": _truth,
    "max_memory": _limit(values.size),
    "validated_within": _limit(values.duration),
    "revalidated_every": _limit(values.duration),
    "grace": values.duration,
}
