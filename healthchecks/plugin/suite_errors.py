"""Suite errors: faults of the suite itself and of hooks, recorded, shown and alerted like failing checks."""

from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from healthchecks.plugin.outcome import describe
from healthchecks.plugin.outputs import scrub_repr
from healthchecks.plugin.result import Result, Status
from healthchecks.plugin.run import Run
from healthchecks.plugin.signals import Interruption
from servermonitoring.scrubbing import scrub

if TYPE_CHECKING:
    from _pytest._code.code import TerminalRepr


CHECK = "suite"
PYTEST = "pytest"
_PARTS = ("state", "history", "page", "metrics", "alerts", PYTEST)


def results(run: Run) -> Iterator[Result]:
    """Return a result for each part of the suite that this run used: error or ok."""
    parts = (*_PARTS, "reports") if run.selection.of_reports else _PARTS
    for part in {*parts, *run.suite_errors}:
        text = scrub(run.suite_errors.get(part, ""))
        yield Result(
            check=CHECK,
            target=part,
            label=f"{CHECK}[{part}]",
            status=Status.ERROR if text else Status.OK,
            message=text,
            duration=0.0,
            started=run.started,
            host=run.host,
            local=True,
        )


class InternalErrors:
    """A plugin of one run: an internal error of pytest becomes a suite error."""

    def __init__(self, run: Run) -> None:
        self._run = run

    @pytest.hookimpl(tryfirst=True)  # before the terminal prints it
    def pytest_internalerror(self, excrepr: "TerminalRepr", excinfo: "pytest.ExceptionInfo[BaseException]") -> None:
        scrub_repr(excrepr)
        self._run.add_suite_error(PYTEST, f"pytest itself failed: {describe(excinfo.value)}")


_HOOKS = (
    "pytest_runtest_protocol", "pytest_runtest_logstart", "pytest_runtest_makereport", "pytest_runtest_logreport",
    "pytest_runtest_logfinish", "pytest_report_teststatus", "pytest_exception_interact", "pytest_warning_recorded",
    "pytest_keyboard_interrupt", "pytest_sessionfinish", "pytest_terminal_summary", "pytest_unconfigure",
)  # fmt: skip
_HTML_HOOKS = "pytest_html_"
_OURS = ("healthchecks.", "runner")
_ON_PURPOSE = (GeneratorExit, pytest.exit.Exception, pytest.UsageError)
Note = Callable[[str], None]


def contain(config: pytest.Config, interruption: Interruption, note: Note) -> None:
    """Call `note` with what a hook raises from now on, instead of ending the run.

    Signals interrupt hooks of others, but not our own and not pytest's way from one hook to the next.
    """
    for name, hook in vars(config.hook).items():
        if name in _HOOKS or name.startswith(_HTML_HOOKS):
            for each in hook.get_hookimpls():
                guard = _HookGuard(name, _owner(each), interruption, note)
                call = guard.wrap if each.wrapper or each.hookwrapper else guard.call
                each.function = partial(call, each.function)


class _HookGuard:
    """One hook of one plugin. Only its first fault is noted: it may fail for each test."""

    def __init__(self, name: str, owner: str, interruption: Interruption, note: Note) -> None:
        self._name, self._interruption, self._note = f"{name} of {owner}", interruption, note
        self._raises = not owner.startswith(_OURS)
        self._is_noted = False

    def call(self, function: Callable[..., Any], *arguments: object) -> Any:
        """Return what the function returns, None if it raises."""
        interruption = self._interruption
        before = interruption._raises  # noqa: SLF001 - what held() and allowed() set, at a tenth of their price
        try:
            try:
                interruption._raises = self._raises  # noqa: SLF001
                return function(*arguments)
            finally:
                interruption._raises = before  # noqa: SLF001
        except KeyboardInterrupt:
            if not interruption.is_ending:
                raise
        except _ON_PURPOSE:
            raise
        except BaseException as error:  # noqa: BLE001 - SystemExit and pytest.fail, too
            if not self._is_noted:
                self._is_noted = True
                self._note(f"the hook {self._name} failed: {describe(error)}")
        return None

    def wrap(self, function: Callable[..., Any], *arguments: object) -> Generator[None, Any, Any]:
        """Run a hook wrapper, of the new kind or the old: when it raises, only what it adds is lost."""
        generator = function(*arguments)
        if self.call(_first_part, generator) is None:
            return (yield)
        value = inner = None
        try:
            value = yield
        except BaseException as error:  # noqa: BLE001 - raised again below
            inner = error
        result = self.call(_second_part, generator, value, inner)
        if inner is not None and result is None:
            raise inner
        return value if result is None else result


def _first_part(generator: Generator[None, Any, Any]) -> bool:
    for _ in generator:
        return True
    raise RuntimeError("it did not yield")


def _second_part(generator: Generator[None, Any, Any], value: object, inner: BaseException | None) -> Any:
    """Return what the wrapper returns, None if it only raises again what was raised inside of it."""
    try:
        if inner is None:
            generator.send(value)
        else:
            generator.throw(inner)
    except StopIteration as end:
        return end.value
    except BaseException as error:
        if error is inner:
            return None
        raise
    raise RuntimeError("it yields twice")


def _owner(implementation: Any) -> str:
    """Return the path of a conftest.py, the module of a plugin."""
    plugin, name = implementation.plugin, implementation.plugin_name
    module: str = getattr(plugin, "__name__", type(plugin).__module__)
    return name if name.endswith("conftest.py") else module.removeprefix("_pytest.")
