"""Reads the rules from the [watchdog] tables of the configuration, and says everything that is wrong."""

import pwd
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from servermonitoring import configuration, values
from servermonitoring.configuration import ConfigurationError, Problem, echo, most_similar, nearest, place, told
from servermonitoring.secret import Secret
from servermonitoring.sentry.dsn import Dsn, in_force
from watchdog.rules import DEFAULT, Rule

VARIABLE = "WATCHDOG_SENTRY_DSN"


class Addressee(NamedTuple):
    """What is wrong with it stops no watchdog: it is told, and the watchdog goes on without alerts."""

    dsn: str = ""
    environment: str = "production"
    problem: str = ""

    def __repr__(self) -> str:
        return f"Addressee(environment={self.environment!r}, problem={self.problem!r})"


def addressee(table: dict[str, Any], unresolved: str = "") -> Addressee:
    """Of the table [sentry]; `unresolved` says what is wrong with a variable that it names."""

    def configured() -> str:
        text = table.get("dsn", "")
        if unresolved or not isinstance(text, str):
            raise ValueError(unresolved or "[sentry] dsn is not a text")
        return Secret.load(text).reveal() if text else ""

    environment = table.get("environment", Addressee().environment)
    if not isinstance(environment, str):
        return Addressee(problem="[sentry] environment is not a text")
    try:
        dsn = in_force(VARIABLE, configured)
        if dsn:
            Dsn.parse(dsn)
    except ValueError as error:
        return Addressee(problem=str(error))
    return Addressee(dsn, environment)


# Keys of the suite's check of the watchdog, which share the table: the suite judges them.
_CHECK = {
    "max_kills_per_hour", "timeout", "slow", "failure_threshold", "success_threshold", "retries", "needs", "group",
    "maintenance",
}  # fmt: skip


class Rulebook(NamedTuple):
    rules: list[Rule]
    source: Path | None  # the file they were read from
    state: str | None  # the configured state directory
    addressee: Addressee  # of alerts


def load(given: str | None = None) -> Rulebook:
    """The rules in force; the default one if there is no file or it holds none.

    Raises ConfigurationError.
    """
    path = configuration.find(given)
    if path is None:
        return Rulebook([DEFAULT], None, None, addressee({}))
    tables, problems = configuration.read(path)
    unresolved = "; ".join(str(each) for each in problems if each.where.startswith("[sentry"))
    problems, others = _of_the_watchdog(problems)
    rules = rules_of(tables, problems)
    if rules[0] is DEFAULT:  # it kills every Firefox: not because of a slip of the pen
        problems += [*others, *_misspelt(tables)]
    state = _table(tables, "state", problems).get("directory")
    if state is not None and not isinstance(state, str):
        problems.append(Problem("[state] directory", f"{echo(state) or 'it'} is not a path"))
    if problems:
        raise ConfigurationError(path, problems)
    sentry = tables.get("sentry", {})
    to = addressee(sentry if isinstance(sentry, dict) else {"dsn": sentry}, unresolved)
    return Rulebook(rules, path, str(configuration.beside(path, state)) if state else None, to)


def rules_of(tables: dict[str, Any], problems: list[Problem]) -> list[Rule]:
    """The rules, in the order of the file: the first that matches a browser is the one for it."""
    table = _table(tables, "watchdog", problems)
    rules = []
    for name, content in table.items():
        if name in _CHECK:
            continue
        if isinstance(content, dict):
            rules.append(_rule(name, content, problems))
        else:
            hint = nearest(name, _CHECK)
            problems.append(Problem(place(["watchdog", name]), f"unknown key{_value(content, name)}{hint}"))
    return rules or [DEFAULT]


def _of_the_watchdog(problems: list[Problem]) -> tuple[list[Problem], list[Problem]]:
    """Split the problems: its own, and those of tables that only the suite reads; of [sentry] is told elsewhere."""
    own = [each for each in problems if each.where.startswith(("[watchdog", "[state"))]
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
            problems.append(Problem(where, told(str(error), value, [key])))
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
        raise ValueError(f"{value!r} is neither true nor false")  # noqa: TRY004 - a wrong value like others
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
    """A limit, or false for none."""

    def limit(value: Any) -> float | None:
        if value is False:
            return None
        number = read(value)
        if not number:
            raise ValueError(f"{value!r} would kill every browser; for no limit write false")
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
