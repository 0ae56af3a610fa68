"""Secret values: never shown in repr, page, log, history, metrics or Sentry."""

from pathlib import Path
from typing import Any

from servermonitoring.configuration import relative_to_file
from servermonitoring.files import read_regular
from servermonitoring.scrubbing import remember

_LARGEST = 65_536  # bytes of a secret's file
FILE_PREFIX = "file:"


class Secret:
    """A password or token: `reveal()` returns it for the client that needs it; everything else shows asterisks.

    A pickled one holds the value in clear text, for a pipe between two processes and for nothing else. The process that
    gets it scrubs it from then on, too.
    """

    __slots__ = ("_is_remembered", "_value")

    def __init__(self, value: str, *, remembered: bool = True) -> None:
        self._value, self._is_remembered = value, remembered
        if remembered:
            remember(value)

    @classmethod
    def load(cls, text: str, configuration: Path | None = None) -> "Secret":
        """Return the secret in a text, or with `file:PATH` in the first line of a file. Raise ValueError.

        `configuration`: the file that the text is from; a relative path is relative to it.
        """
        if not text.startswith(FILE_PREFIX):
            return cls(text)
        path = relative_to_file(configuration, text.removeprefix(FILE_PREFIX))
        try:
            lines = read_regular(path, _LARGEST).decode("utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8"
            raise ValueError(f"cannot read the secret file {path}: {reason}") from None
        if not lines or not lines[0].strip():
            raise ValueError(f"the secret file {path} is empty")
        return cls(lines[0].strip())

    def reveal(self) -> str:
        """Return the secret itself."""
        return self._value

    def __repr__(self) -> str:
        return "Secret('**********')"

    def __str__(self) -> str:
        return "**********"

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (self._value, self._is_remembered)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> Any:
        """Return pydantic's schema; called by pydantic only."""
        from pydantic_core import core_schema

        return core_schema.json_or_python_schema(
            json_schema=core_schema.str_schema(),
            python_schema=core_schema.with_info_plain_validator_function(cls._validated),
        )

    @classmethod
    def _validated(cls, value: object, info: Any) -> "Secret":
        if isinstance(value, Secret):
            return value
        if isinstance(value, str):
            return cls.load(value, info.context)
        raise ValueError("a secret is a text, or file:PATH of a file that holds it")


def _unpickled(value: str, is_remembered: bool) -> Secret:
    return Secret(value, remembered=is_remembered)
