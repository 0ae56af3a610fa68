"""The refusal of a run that cannot work, before anything is contacted or written.

Refused are a wrong configuration, missing plugins, workers of pytest-xdist, Python without asserts, and the directories
of another user.
"""

import itertools
import os
import pwd
import shlex
import sys
from pathlib import Path

import pytest

from healthchecks.plugin import collection, options
from healthchecks.plugin.configuration.loader import Configuration
from healthchecks.plugin.run import Run
from servermonitoring.configuration import ConfigurationError

_XDIST = "health checks run side by side already: run them without -n (the workers of pytest-xdist)"
_CACHE_PLUGINS = ("lfplugin", "nfplugin", "stepwiseplugin")  # which write at the end of every run


def leave_worker(config: pytest.Config) -> None:
    """End a worker of pytest-xdist: each would run every probe."""
    if hasattr(config, "workeroutput"):
        config.workeroutput[collection.REFUSAL] = _XDIST
        pytest.exit(_XDIST, returncode=pytest.ExitCode.USAGE_ERROR)


def refuse_optimized() -> None:
    """Raise pytest.UsageError if Python leaves out asserts (-O): every check would pass."""
    if not __debug__:
        raise pytest.UsageError(
            "Python was started with -O (or $PYTHONOPTIMIZE), without which checks assert nothing: start it without"
        )


def refuse_plugins(config: pytest.Config) -> None:
    """Raise pytest.UsageError if a plugin that health checks need is switched off, or one would end the process.

    pytest-html makes the page, `skipping` skips kinds without targets, the terminal lists failures.
    """
    missing = [name for name in ("skipping", "terminal") if not config.pluginmanager.has_plugin(name)]
    if not hasattr(config.hook, "pytest_html_report_title"):
        missing.append("html")
    if missing:
        without = " ".join(f"-p no:{name}" for name in missing)
        without += " and $PYTEST_DISABLE_PLUGIN_AUTOLOAD" * ("PYTEST_DISABLE_PLUGIN_AUTOLOAD" in os.environ)
        raise pytest.UsageError(f"health checks need pytest plugins that are switched off: run them without {without}")
    if getattr(config, "_env_timeout", None) and getattr(config, "_env_timeout_method", "") == "thread":
        raise pytest.UsageError('pytest-timeout\'s method "thread" ends the process without a result: use "signal"')


def refuse_mistakes(session: pytest.Session, configuration: Configuration, elsewhere: set[str]) -> list[str]:
    """Raise pytest.UsageError with all errors of the configuration and of checks with settings of their own.

    Return notices of tables that no file in this run could check.
    """
    wrong, notices = [], []
    try:
        notices = configuration.check(elsewhere, is_part=bool(options.part(session)))
    except ConfigurationError as error:
        wrong.append(str(error))
    own = [item for item in session.items if isinstance(item, collection.CheckItem)]
    wrong += [str(problem) for item in own for problem in item.prepare(configuration)]
    _check_needs(session, configuration)
    wrong += itertools.chain.from_iterable(session.config.hook.pytest_healthcheck_problems(session=session))
    if wrong:
        raise pytest.UsageError("\n".join(wrong))
    return notices


def _check_needs(session: pytest.Session, configuration: Configuration) -> None:
    """Check the `needs` of marks; the configuration checks those of its targets."""
    for item in session.items:
        marker = item.get_closest_marker(collection.MARKER)
        target = collection.target_of(item) if marker and marker.kwargs.get("needs") else None
        if target and (unknown := configuration.unknown_needs(target)):
            item.stash[collection.PROBLEM] = f"@pytest.mark.{collection.MARKER}: needs: {'; '.join(unknown)}"


def refuse_foreign_directories(run: Run, config: pytest.Config) -> None:
    """Raise pytest.UsageError where this user would leave files that the directories' owner could not read."""
    for what, wrong in (("state", _state_fault(run.directory)), ("page", _page_fault(run.page_directory))):
        if wrong:
            for name in _CACHE_PLUGINS:
                config.pluginmanager.unregister(name=name)
            raise pytest.UsageError(f"the {what} directory {wrong}")


def refuse_foreign_state(directory: Path) -> None:
    """Raise pytest.UsageError where this user would leave a file that the state directory's owner could not read."""
    if wrong := _state_fault(directory):
        raise pytest.UsageError(f"the state directory {wrong}")


def _state_fault(directory: Path) -> str:
    """Return what is wrong with it: root would write into it, or another user could not keep it private."""
    place, owner = _nearest_place(directory)
    me = os.geteuid()
    if me == 0 and owner != 0:
        return f"{place} belongs to {_user_name(owner)}: {_command_of(owner)}"
    if owner != me and place == directory:
        keep = "name another in [state] directory"
        return f"{place} belongs to {_user_name(owner)}, not to {_user_name(me)}: {keep}, or {_command_of(owner)}"
    return ""


def _page_fault(directory: Path) -> str:
    place, owner = _nearest_place(directory)
    if os.geteuid() == 0 and owner != 0 and place == directory:
        return f"{place} belongs to {_user_name(owner)}: {_command_of(owner)}"
    return ""


def _nearest_place(directory: Path) -> tuple[Path, int]:
    """Return the directory or, where it is still to be made, the one that is there above it; and its owner."""
    for place in (directory, *directory.absolute().parents):
        try:
            return place, place.stat().st_uid
        except OSError:
            continue
    return directory, os.geteuid()


def _user_name(uid: int) -> str:
    try:
        return f"user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"user {uid}"


def _command_of(uid: int) -> str:
    """Return what to type: this command as another user."""
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = f"#{uid}"
    return f"run `sudo -u {shlex.quote(user)} {shlex.join(sys.argv)}`"
