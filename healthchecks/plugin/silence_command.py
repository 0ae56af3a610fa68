"""The command `pytest healthchecks --monitoring-silence website.home=4h`: it contacts no target and sends nothing."""

import difflib
import os
import pwd
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

import pytest

from healthchecks.plugin import check_files, collection, silence_file
from healthchecks.plugin.check_names import check_name, target_name
from healthchecks.plugin.configuration.target import Target
from healthchecks.plugin.refusal import refuse_foreign_state
from healthchecks.plugin.result import clean, name_of
from healthchecks.plugin.run import configuration_of
from healthchecks.plugin.silence import Silence, Silences, name_of_check
from servermonitoring import clock, state_directory, values

OPTION, REASON_OPTION = "--monitoring-silence", "--monitoring-reason"
_LIST = "list"
_FORM = f'write NAME=DURATION, as in {OPTION} website.home=4h; NAME=0 ends a silence, "{_LIST}" shows all'
_LONGEST = 366 * 86400.0  # seconds
_MOST_NEAR = 3  # names that an error lists
_UNREADABLE = "files of checks could not be collected, so theirs are not known"
_LONGEST_ECHO = 100  # characters of a name in an error


class Order(NamedTuple):
    """One argument: the name of what is to be silent, and for how many seconds; 0 ends its silence."""

    name: str
    duration: float


def run_command(config: pytest.Config) -> int:
    """Carry out the option: collect the names of all checks, then change or list the silences. Return 0.

    Raise pytest.UsageError, which says what is wrong.
    """
    from _pytest.main import wrap_session

    arguments: list[str] = config.getoption("monitoring_silence")
    if arguments == [_LIST]:
        return _list(config)
    orders = [read_order(each) for each in arguments]
    config.option.verbose = -2  # pytest prints nothing of its collection
    return int(wrap_session(config, partial(_silence, orders=orders)))


def _list(config: pytest.Config) -> int:
    """Print the silences in force."""
    directory = state_directory.location(configuration_of(config).state_directory)
    try:
        _print(silence_file.read(directory))
    except (OSError, ValueError) as error:
        raise pytest.UsageError(f"{OPTION}: {error}") from None
    return 0


def read_order(argument: str) -> Order:
    """Return the order NAME=DURATION. Raise pytest.UsageError that says what to write instead."""
    name, equals, duration = argument.rpartition("=")
    if not (equals and name.strip()):
        raise pytest.UsageError(f"{OPTION} {_quoted(argument)}: {_FORM}")
    try:
        seconds = values.duration(duration)
    except ValueError as error:
        raise pytest.UsageError(f"{OPTION} {_quoted(argument)}: {error}; 0 ends the silence") from None
    if seconds > _LONGEST:
        raise pytest.UsageError(f"{OPTION} {_quoted(argument)}: at most 366d")
    return Order(name.strip(), seconds)


def _silence(config: pytest.Config, session: pytest.Session, orders: Iterable[Order]) -> None:
    """Change the silences, with the names of what pytest has collected."""
    config.hook.pytest_collection(session=session)
    configured = configuration_of(config).state_directory
    directory = state_directory.location(configured)
    refuse_foreign_state(directory)
    make = _maker(_reason(config), _user())
    try:
        state_directory.directory(configured)
        done = silence_file.change(directory, lambda old: _changed(old, orders, session, make))
    except (OSError, ValueError) as error:
        raise pytest.UsageError(f"{OPTION}: {directory}: {_words(error)}; nothing was changed") from None
    _print(done)


def _maker(reason: str, user: str) -> Callable[[str, float], Silence]:
    now = clock.time()
    return lambda name, duration: Silence(name, now + duration, now, user, reason)


def _changed(
    old: Silences,
    orders: Iterable[Order],
    session: pytest.Session,
    make: Callable[[str, float], Silence],
) -> Iterable[Silence]:
    """Return the silences after all orders. Raise pytest.UsageError for a name that nothing has."""
    known, owners, after = _known_names(session), _owners(session), {each.name: each for each in old}
    for order in orders:
        names = known.get(order.name, set())
        if order.duration == 0:
            names = {name for name in after if name in names | {order.name} or order.name in owners.get(name, ())}
        if not names and order.name not in known:
            raise pytest.UsageError(_unknown(order.name, {*known, *after}, session))
        for name in sorted(names):
            after.pop(name, None)
            if order.duration:
                after[name] = make(name, order.duration)
    return after.values()


def _known_names(session: pytest.Session) -> Mapping[str, set[str]]:
    """Return what may be silenced, by every name that a person may know it by."""
    known: dict[str, set[str]] = {}
    for name, stored in _names(session):
        known.setdefault(name, set()).add(stored[: silence_file.LONGEST_TEXT])
    return known


def _names(session: pytest.Session) -> Iterator[tuple[str, str]]:
    """Yield each name with the name under which a silence is stored."""
    for targets in configuration_of(session.config).kinds().values():
        for target in targets:
            yield from ((name, target.reference) for name in _names_of(target))
    for item in _checks(session):
        one = name_of_check(check_name(item), target_name(item))
        yield from ((name, one) for name in (check_name(item), one))
        if isinstance(item, collection.CheckItem):  # a report, which is its own target
            yield from ((name, item.target.reference) for name in _names_of(item.target))


def _owners(session: pytest.Session) -> Mapping[str, set[str]]:
    """Return the names that each single check belongs to: with a target's silence those of its checks are ended."""
    owners: dict[str, set[str]] = {}
    for item in _checks(session):
        if target := collection.target_of(item):
            one = name_of_check(check_name(item), target_name(item))
            owners.setdefault(one, set()).update(_names_of(target))
    return owners


def _names_of(target: Target) -> tuple[str, str, str]:
    return target.kind(), target.reference, target.label


def _checks(session: pytest.Session) -> Iterator[pytest.Item]:
    return (each for each in session.items if collection.is_check(each) and not collection.kind_is_absent(each))


def _unknown(name: str, known: Iterable[str], session: pytest.Session) -> str:
    near = difflib.get_close_matches(name, [*known], n=_MOST_NEAR, cutoff=0.5)
    hint = f"; did you mean {' or '.join(near)}?" if near else f"; {_FORM}"
    files = f" ({_UNREADABLE})" if check_files.broken_files(session) else ""
    return f'{OPTION}: no check or target "{name_of(name, _LONGEST_ECHO)}"{hint}{files}'


def _reason(config: pytest.Config) -> str:
    """Return the reason as one line without secrets, "" for none."""
    text = " ".join(str(config.getoption("monitoring_reason") or "").split())
    if len(text) > silence_file.LONGEST_TEXT:
        raise pytest.UsageError(f"{REASON_OPTION} has {len(text)} characters, maximum {silence_file.LONGEST_TEXT}")
    return _printable(text, silence_file.LONGEST_TEXT)


def _user() -> str:
    """Return who gives the command: also where sudo runs it as the user of the service."""
    try:
        name = os.environ.get("SUDO_USER") or pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        name = f"user {os.geteuid()}"
    return _printable(name, _LONGEST_ECHO)


def _printable(text: str, longest: int) -> str:
    """Return the text without control characters and secrets."""
    return clean("".join(each for each in text if each.isprintable()), longest)


def _print(silences: Silences) -> None:
    ordered = sorted(silences, key=lambda each: (each.until, each.name))
    print("\n".join(map(_line, ordered)) or "nothing is silenced")  # noqa: T201 - what was asked for


def _line(silence: Silence) -> str:
    left = values.in_words(max(0, round(silence.until - clock.time())))
    return f"{silence.name} is silenced until {silence.ends} (for {left}), {silence.origin}"


def _quoted(argument: str) -> str:
    return f'"{name_of(argument, _LONGEST_ECHO)}"'


def _words(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
