"""Units of systemd: services run, and the last run that a timer has started has succeeded."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from healthchecks import CheckError, Target, metric, probe
from healthchecks.clients.systemd import UnitState, read_units
from servermonitoring.values import in_words

_MOST = 50  # units of one target
_LONGEST = 255  # characters of a name, systemd's limit
_TYPES = (
    "service", "socket", "device", "mount", "automount", "swap", "target", "path", "timer", "slice", "scope",
)  # fmt: skip
_MOST_NAMED = 5  # units in a message
_GOOD = {"active": ("active", "reloading"), "inactive": ("inactive",)}


def _complete_name(name: str) -> str:
    """Return the name with its type, .service without one, as systemctl takes it."""
    if name.rpartition(".")[2] not in _TYPES:
        name = f"{name}.service"
    if name.startswith("-") or set(name) & set("*?[]/ \0\n\t") or not name.isprintable():
        raise ValueError(f'{name!r} is not the name of a unit: write it as systemctl lists it, as in "nginx.service"')
    return name


UnitName = Annotated[str, Field(min_length=1, max_length=_LONGEST - len(".service")), AfterValidator(_complete_name)]
"""A name of a unit, with its type; .service may be left out."""


class Unit(Target):
    local: ClassVar[bool] = True

    unit: UnitName | None = None
    """A unit, with its type: `"nginx.service"`, `"backup.timer"`; `.service` may be left out."""
    units: tuple[UnitName, ...] = Field(default=(), max_length=_MOST)
    """List of units, at most 50, in place of `unit`."""
    state: Literal["active", "inactive", "not-failed"] = "active"
    """What each unit must be: `"active"`, `"inactive"` or `"not-failed"`."""

    @model_validator(mode="after")
    def _is_one_or_several(self) -> Self:
        if (self.unit is None) == (not self.units):
            raise ValueError('write unit = "nginx.service", or units = [...] for several')
        return self

    @property
    def names(self) -> tuple[str, ...]:
        return (self.unit,) if self.unit else self.units


@probe
def states(unit: Unit) -> tuple[tuple[UnitState, ...], tuple[UnitState, ...]]:
    """Return the states of the units, and of those that timers among them start."""
    found = read_units(unit.names)
    started = [name for each in found if each.name.endswith(".timer") for name in each.triggers]
    return tuple(found), tuple(read_units(started))


def test_unit_state(unit: Unit, states: tuple[tuple[UnitState, ...], tuple[UnitState, ...]]) -> None:
    own, started = states
    metric("restarts", sum(each.restarts for each in (*own, *started)))
    if counted := [each.memory for each in own if each.memory is not None]:
        metric("memory", sum(counted), "bytes")
    if missing := [_missing(each) for each in own if not _is_loaded(each, unit.state)]:
        raise CheckError("; ".join(missing[:_MOST_NAMED]))
    wrong = [_describe(each) for each in own if not _is_good(each, unit.state)]
    wrong += [f"last run of {_describe(each)}" for each in started if _has_failed(each)]
    named = "; ".join(wrong[:_MOST_NAMED])
    more = f"; and {len(wrong) - _MOST_NAMED} more" if len(wrong) > _MOST_NAMED else ""
    wanted = "" if unit.state == "active" else f", must be {unit.state.replace('-', ' ')}"
    assert not wrong, f"{named}{more}{wanted}"


def _is_loaded(state: UnitState, wanted: str) -> bool:
    return state.load == "loaded" or (state.load == "masked" and wanted == "inactive")


def _missing(state: UnitState) -> str:
    if state.load == "not-found":
        return f"{state.name} is unknown to systemd: it is not installed, or has another name"
    return f"{state.name} is {state.load}: systemctl status {state.name} says more"


def _is_good(state: UnitState, wanted: str) -> bool:
    return not _has_failed(state) if wanted == "not-failed" else state.active in _GOOD[wanted]


def _has_failed(state: UnitState) -> bool:
    return state.active == "failed" or (state.active == "inactive" and state.result != "success")


def _describe(state: UnitState) -> str:
    """Return the state of a unit for people: "nginx.service is failed (exit-code, status 1) for 12 min"."""
    details = [state.sub] * (state.sub != state.active)
    details += [state.result] * (state.result != "success")
    details += [state.exit_status] * bool(state.exit_status and state.result != "success")
    details += [f"{state.restarts} restarts"] * bool(state.restarts)
    inside = f" ({', '.join(details)})" if details else ""
    since = f" for {in_words(round(state.age))}" if state.age is not None else ""
    return f"{state.name} is {state.active}{inside}{since}"
