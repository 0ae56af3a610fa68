"""A target: one table of the configuration, what a check is about; the types and descriptions of its keys."""

import unicodedata
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationInfo,
    WithJsonSchema,
)

from servermonitoring import values
from servermonitoring.configuration import relative_to_file

_DAY = 86400.0  # seconds
_OWN_MODULES = "healthchecks."
_TEXT_OR_NUMBER = [{"type": "number", "minimum": 0}, {"type": "string"}]
Duration = Annotated[
    float,
    BeforeValidator(values.duration),
    WithJsonSchema({"anyOf": _TEXT_OR_NUMBER, "description": 'seconds, or "90s", "3m", "1h", "2d"'}),
]
"""Seconds; written 90, "90s", "3m", "1h" or "2d"."""
Size = Annotated[
    int,
    BeforeValidator(values.size),
    WithJsonSchema({"anyOf": _TEXT_OR_NUMBER, "description": 'bytes, or "1.2GB" (decimal), "1.2GiB" (binary)'}),
]
"""Bytes; written 1200, "1.2GB" (decimal) or "1.2GiB" (binary)."""
Percentage = Annotated[
    float,
    BeforeValidator(values.percentage),
    WithJsonSchema({"anyOf": _TEXT_OR_NUMBER, "description": '"90%" or 0.9'}),
]
"""A part of one, 0 to 1; written "90%" or 0.9."""


def _possible(value: object) -> object:
    if value == "":
        raise ValueError('is empty: write a path, as in "/srv/data"')
    if isinstance(value, str) and "\0" in value:
        raise ValueError('contains a zero byte: write a path, as in "/srv/data"')
    return value


def _complete(path: Path, info: ValidationInfo) -> Path:
    return relative_to_file(info.context, str(path))  # the context of every validation is the configuration file


ConfigPath = Annotated[Path, BeforeValidator(_possible), AfterValidator(_complete)]
"""A path, relative to the configuration file; ~ is the home directory."""


LONGEST_RUNBOOK = 500  # characters
_CONTROL = {"Cc", "Cs", "Zl", "Zp"}  # categories of Unicode: control characters, halves, ends of lines and paragraphs


def _one_line(text: str) -> str:
    if any(unicodedata.category(each) in _CONTROL for each in text):
        raise ValueError("contains a line break or a control character: write one line, or the URL of a longer text")
    return text.strip()


Runbook = Annotated[str, Field(max_length=LONGEST_RUNBOOK), AfterValidator(_one_line)]
"""A text of one line, or a URL."""


class Target(BaseModel):
    """Base of the tables `[kind.NAME]`; the kind is the class's name in lower case, the fields are the keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    single: ClassVar[bool] = False
    """True for a kind that is one table, `[kind]`, such as [host]."""
    configured: ClassVar[bool] = True
    """False for a kind that has no tables: a report has its settings in its own file."""
    local: ClassVar[bool] = False
    """True for a kind that is about this machine: each host's failure is an issue of its own."""

    timeout: Duration = Field(default=10.0, gt=0, le=_DAY)
    """Maximum duration of the probe; setup, test and teardown may each take as long again."""
    slow: Duration | None = Field(default=None, gt=0, le=_DAY)
    """Duration above which the check passes with status `slow`."""
    failure_threshold: int = Field(default=1, ge=1, le=1000)
    """Failures in a row before an alert is sent."""
    success_threshold: int = Field(default=1, ge=1, le=1000)
    """Passing runs in a row after which an alerted failure has recovered."""
    retries: int = Field(default=0, ge=0, le=10)
    """Times that a failing target is probed again at once before its checks fail."""
    needs: tuple[str, ...] = ()
    """Targets that must pass first, such as `["tcp.gateway"]`; else the checks of this one are `blocked`."""
    group: str = ""
    """Heading under which the page shows the target."""
    maintenance: bool = False
    """Whether somebody works on the target: it is checked and shown, but no alert is sent."""
    severity: Literal["critical", "warning"] = "critical"
    """How urgent a failure is, `"critical"` or `"warning"`: the level of its alerts, and a label for Prometheus."""
    runbook: Runbook = ""
    """What to do when a check fails, or the URL of a page that says so; shown on the page and in alerts."""

    _name: str = PrivateAttr(default="")

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        """Raise TypeError for a field that every target has by itself: a check would get that in its place.

        Kinds of this project are built when they are configured; those of others at once, so that a mistake shows.
        """
        own = {name for name in vars(Target) if not name.startswith("_")} - Target.model_fields.keys()
        if taken := sorted(own & cls.model_fields.keys()):
            cls.configured = False  # it stays among the subclasses for a while
            raise TypeError(
                f'{cls.__name__}: no key may be called "{taken[0]}", since every target has a {taken[0]} of its own: '
                f"give it another name (taken are {', '.join(sorted(own))})"
            )
        if not cls.__module__.startswith(_OWN_MODULES):
            cls.model_rebuild(raise_errors=False)

    @classmethod
    def kind(cls) -> str:
        """Return the name of its table."""
        return cls.__name__.lower()

    @classmethod
    def defaults(cls) -> dict[str, Self]:
        """Return the targets, by name, where the configuration has no table of this kind: usually none."""
        return {}

    @classmethod
    def rehearse(cls) -> None:
        """Do once in each worker what its first probe would lose time with; contacts no target."""

    def is_checked_by(self, test: str) -> bool:  # noqa: ARG002 - for kinds with limits that may be left out
        """Return whether the test of this name is about this target: not if it is for a key that is not configured."""
        return True

    def called(self, name: str) -> Self:
        """Give the target the name of its table, and return it."""
        self._name = name
        return self

    @property
    def name(self) -> str:
        """The NAME of `[kind.NAME]`; empty for a single one."""
        return str((self.__pydantic_private__ or {})["_name"])  # as self._name, which pydantic looks up slowly

    @property
    def label(self) -> str:
        """How it is called in messages: website[home], host."""
        name = self.name
        return f"{self.kind()}[{name}]" if name else self.kind()

    @property
    def reference(self) -> str:
        """How `needs` names it: website.home, host."""
        name = self.name
        return f"{self.kind()}.{name}" if name else self.kind()


class LocalTarget(Target):
    """Of a marked test without a table that is about this machine: `@pytest.mark.healthcheck(local=True)`."""

    configured: ClassVar[bool] = False
    local: ClassVar[bool] = True


def key_descriptions(model: type[BaseModel]) -> dict[str, str]:
    """Return the text below each field of a table, its own and those it inherits, by the key that it is read from.

    Pydantic's `use_attribute_docstrings` reads the same at every import, which took a fifth of a run's start: this is
    for schema, documents and errors only. Empty where the source cannot be read.
    """
    texts: dict[str, str] = {}
    for base in reversed([each for each in model.__mro__ if issubclass(each, BaseModel) and each is not BaseModel]):
        texts |= _texts_below_fields(base)
    return {field.alias or name: texts[name] for name, field in model.model_fields.items() if name in texts}


def _texts_below_fields(model: type[BaseModel]) -> dict[str, str]:
    import ast
    import inspect
    import textwrap

    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(model)))
    except (OSError, SyntaxError, TypeError):
        return {}
    texts: dict[str, str] = {}
    for field, text in pairwise(tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            match text:
                case ast.Expr(value=ast.Constant(value=str(words))):
                    texts[field.target.id] = " ".join(words.split())
    return texts
