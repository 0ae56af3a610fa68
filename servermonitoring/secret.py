"""A value that never shows: not in repr, page, log, history, metrics or Sentry."""

from typing import Any

from servermonitoring.files import at_home, read_regular
from servermonitoring.scrubbing import remember

_LARGEST = 65_536  # bytes of a secret's file
FILE_PREFIX = "file:"


class Secret:
    """A password or token: `reveal()` gives it to the client that needs it, all else sees asterisks."""

    __slots__ = ("_value",)

    def __init__(self, value: str, *, remembered: bool = True) -> None:
        self._value = value
        if remembered:
            remember(value)

    @classmethod
    def load(cls, text: str) -> "Secret":
        """From the text itself, or with `file:/path` from the first line of a file. Raises ValueError."""
        if not text.startswith(FILE_PREFIX):
            return cls(text)
        path = at_home(text.removeprefix(FILE_PREFIX))
        try:
            lines = read_regular(path, _LARGEST).decode("utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8"
            raise ValueError(f"cannot read the secret file {path}: {reason}") from None
        if not lines or not lines[0].strip():
            raise ValueError(f"the secret file {path} is empty")
        return cls(lines[0].strip())

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret('**********')"

    def __str__(self) -> str:
        return "**********"

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> Any:
        """How pydantic reads one; only called where pydantic is in use."""
        from pydantic_core import core_schema

        return core_schema.json_or_python_schema(
            json_schema=core_schema.str_schema(),
            python_schema=core_schema.no_info_plain_validator_function(cls._validated),
        )

    @classmethod
    def _validated(cls, value: object) -> "Secret":
        if isinstance(value, Secret):
            return value
        if isinstance(value, str):
            return cls.load(value)
        raise ValueError("a secret is a text, or file:/path of a file that holds it")
