"""Commands: any Nagios plugin, by its exit status, its text and its performance data."""

import json
import re
import shlex
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, WithJsonSchema

from healthchecks import CheckError, ConfigPath, Duration, Secret, Target, attach, metric, probe
from healthchecks.clients.command import CommandOutput, run_command
from healthchecks.clients.perfdata import PerformanceDatum, parse_plugin_output
from healthchecks.clients.process_tree import remove_leftovers_once
from servermonitoring.configuration import relative_to_file
from servermonitoring.scrubbing import scrub
from servermonitoring.secret import FILE_PREFIX

_OK, _WARNING, _CRITICAL, _UNKNOWN = range(4)  # exit statuses, by the plugin API
_WORDS = {_WARNING: "warning", _CRITICAL: "critical", _UNKNOWN: "unknown"}
_MOST_METRICS = 20  # of one check
_MACRO = re.compile(r"\$[A-Z][A-Z0-9_]*\$")
_LONGEST_HINT = 300  # characters


def _split(value: object) -> object:
    if not isinstance(value, str):
        return value
    raise ValueError(f"write a list, with the program and each argument as a text of its own{_as_list(value)}")


def _as_list(text: str) -> str:
    """Return what to write instead of one text, as a shell would split it."""
    try:
        words = shlex.split(text)
    except ValueError:
        return ""
    hint = json.dumps(words, ensure_ascii=False)
    return f": {hint}" if words and len(hint) <= _LONGEST_HINT else ""


def _no_zero(text: str) -> str:
    if "\0" in text:
        raise ValueError("contains a zero byte, which no argument and no variable can hold")
    return text


def _no_macro(text: str) -> str:
    if found := _MACRO.search(text):
        raise ValueError(f"contains {found[0]}, a macro of Nagios: write its value")
    return _no_zero(text)


def _complete(command: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
    """Return the command with the path of its program completed; a name without a slash is searched for later."""
    program, *arguments = command
    if not program:
        raise ValueError("begins with an empty text: write the program first")
    return (str(relative_to_file(info.context, program)) if "/" in program else program, *arguments)


def _variable_name(name: str) -> str:
    if not name or "=" in name or "\0" in name:
        raise ValueError("contains a variable without a name, or with = in it")
    return name


def _variables(value: object) -> object:
    """Make every value a Secret; only those of files are scrubbed by that, those with a secret's name are already."""
    if not isinstance(value, dict):
        return value
    return {
        name: Secret(_no_zero(text), remembered=False)
        if isinstance(text, str) and not text.startswith(FILE_PREFIX)
        else text
        for name, text in value.items()
    }


Arguments = Annotated[
    tuple[Annotated[str, AfterValidator(_no_macro)], ...],
    Field(min_length=1, max_length=1_000),
    BeforeValidator(_split),
    AfterValidator(_complete),
    WithJsonSchema({"type": "array", "items": {"type": "string"}, "minItems": 1}),
]
"""A program and its arguments."""

Variables = Annotated[dict[Annotated[str, AfterValidator(_variable_name)], Secret], BeforeValidator(_variables)]
"""Variables of an environment; `file:/path` reads a value from a file."""


class Command(Target):
    local: ClassVar[bool] = True

    timeout: Duration = Field(default=15.0, gt=0, le=86400)
    """Maximum duration of the program. Most plugins have a timeout of their own of 10 s, and say what they waited
    for."""
    command: Arguments
    """List of the program and its arguments, each a text of its own. There is no shell: no quotes, no `*`, no pipe."""
    environment: Variables = Field(default_factory=dict)
    """Variables for the program; `file:PATH` reads a secret value from a file."""
    directory: ConfigPath = Path("/")
    """Directory in which the program runs."""
    warning: Literal["fail", "pass"] = "fail"
    """What exit status 1 means, `"fail"` or `"pass"`."""

    @classmethod
    def rehearse(cls) -> None:
        remove_leftovers_once()


@dataclass(frozen=True)
class PluginResult:
    """What came of a plugin."""

    exit_status: int
    text: str
    """One line, or what it wrote to standard error."""
    long_text: str
    data: tuple[PerformanceDatum, ...]
    left_out: int
    """Number of metrics above the most that a check may have."""


@probe
def plugin_result(command: Command) -> PluginResult:
    variables = {name: secret.reveal() for name, secret in command.environment.items()}
    return _result_of(run_command(command.command, variables, command.directory))


def test_command_status(command: Command, plugin_result: PluginResult) -> None:
    is_strict = command.warning == "fail"
    is_passing = plugin_result.exit_status in ((_OK,) if is_strict else (_OK, _WARNING))
    for datum in plugin_result.data:
        _report(datum, is_strict=is_strict, is_passing=is_passing)
    if plugin_result.exit_status != _OK or plugin_result.long_text or plugin_result.left_out:
        attach("output", _whole(plugin_result))
    if plugin_result.exit_status not in (_OK, _WARNING, _CRITICAL):
        raise CheckError(_error(plugin_result), _whole(plugin_result))
    assert is_passing, plugin_result.text or f"{_WORDS[plugin_result.exit_status]}, without a text"


def _result_of(output: CommandOutput) -> PluginResult:
    said = parse_plugin_output(output.text)
    text, long_text = said.text, said.long_text
    if errors := output.errors.strip():
        text = text or errors.partition("\n")[0]
        long_text = f"{long_text}\n{errors}".strip()
    left_out = max(0, len(said.data) - _MOST_METRICS)
    return PluginResult(output.exit_status, text, long_text, said.data[:_MOST_METRICS], left_out)


def _report(datum: PerformanceDatum, *, is_strict: bool, is_passing: bool) -> None:
    """Report a metric with the limits at which the check fails.

    Some plugins do not mean a range: of free swap space they write the least. Limits that a status contradicts are
    left out.
    """
    warning = datum.warning if is_strict else None
    ranges = [each for each in (warning, datum.critical) if each]
    limit = next((each.limit for each in ranges if each.limit is not None), None)
    lower_limit = next((each.lower_limit for each in ranges if each.lower_limit is not None), None)
    is_beyond = (limit is not None and datum.value > limit) or (lower_limit is not None and datum.value < lower_limit)
    if is_passing and is_beyond:
        limit = lower_limit = None
    metric(scrub(datum.label), datum.value, datum.unit, limit=limit, lower_limit=lower_limit)


def _error(result: PluginResult) -> str:
    text = f": {result.text}" if result.text else ", without a text"
    if result.exit_status == _UNKNOWN:
        return result.text if "unknown" in result.text.lower() else f"unknown{text}"
    if result.exit_status < 0:
        return f"ended by {_signal_name(-result.exit_status)}{text}"
    return f"exit status {result.exit_status} instead of 0 (ok), 1 (warning), 2 (critical) or 3 (unknown){text}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"


def _whole(result: PluginResult) -> str:
    """Return all of its text, and what was left out."""
    more = [f"{result.left_out} metrics left out: a check has at most {_MOST_METRICS}"] if result.left_out else []
    return "\n".join([result.text, *filter(None, [result.long_text]), *more])
