"""A probe: the fixture whose value is fetched ahead, in another process."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, cast, overload

import pytest

from healthchecks.plugin.configuration.target import Target
from healthchecks.plugin.probes.job import ProbeJob

F = TypeVar("F", bound=Callable[..., Any])
_MARK = "healthchecks_probe"


@overload
def probe(function: F) -> F: ...
@overload
def probe(*, concurrent: int | None = None) -> Callable[[F], F]: ...
def probe(function: F | None = None, *, concurrent: int | None = None) -> F | Callable[[F], F]:
    """Make a function of one target a probe, and a fixture of the function's name.

    A test that asks for it gets the returned value; what the function raises is the test's failure.
    `concurrent` bounds how many of it run at a time. Raises TypeError for a function of anything but one Target.
    """
    if function is None:
        return lambda each: _fixture(each, concurrent)
    return _fixture(function, concurrent)


def _fixture(function: F, concurrent: int | None) -> F:
    made = Probe(function, *_parameter(function), concurrent)

    def job(request: pytest.FixtureRequest, **target: Target) -> object:
        pool = request.config.stash.get(POOL, None)  # none under --setup-only, which contacts nobody
        return pool and pool.submit(made, target[made.parameter])

    parameters = ("request", made.parameter)
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    job.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # pytest asks for the target by it
        [inspect.Parameter(name, kind) for name in parameters]
    )
    job.__doc__ = function.__doc__
    job.__module__ = function.__module__
    setattr(job, _MARK, made)
    return cast("F", pytest.fixture(name=function.__name__)(job))


def _parameter(function: Callable[..., Any]) -> tuple[str, type[Target]]:
    name, parameters = function.__name__, list(inspect.signature(function).parameters)
    if len(parameters) != 1:
        raise TypeError(
            f"probe {name}({', '.join(parameters)}) needs exactly one parameter, its target: it runs before any "
            "fixture is made. Let the test ask for fixtures; for two targets, write two probes that it asks for"
        )
    target = inspect.get_annotations(function).get(parameters[0])
    if isinstance(target, str):  # under `from __future__ import annotations`
        target = function.__globals__.get(target)
    if not isinstance(target, type) or not issubclass(target, Target):
        raise TypeError(
            f"probe {name}({parameters[0]}) needs the class of its target, a healthchecks.Target: "
            f"def {name}({parameters[0]}: {parameters[0].title()})"
        )
    return parameters[0], target


@dataclass(frozen=True)
class Probe:
    """A function that contacts one target, and how many of it may run at a time."""

    function: Callable[..., Any]
    parameter: str
    target: type[Target]
    concurrent: int | None = None

    @property
    def name(self) -> str:
        return self.function.__name__


def probe_of(fixture_function: object) -> Probe | None:
    """Return the probe behind a fixture's function, if it is one."""
    return cast("Probe | None", getattr(fixture_function, _MARK, None))


class ProbeRunner(Protocol):
    """What runs the probes of a run: its pool."""

    def submit(self, probe: Probe, target: Target) -> ProbeJob:
        """Return the job of this probe of this target; the same one for every test that asks for it."""


POOL = pytest.StashKey[ProbeRunner]()
