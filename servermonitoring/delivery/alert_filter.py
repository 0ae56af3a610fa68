"""Filters of channels: which alerts one takes, in the words of its key `only`."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from servermonitoring.configuration import most_similar

GROUP = "group:"
_CHOICES = (("failed", "error"), ("local", "shared"), ("critical", "warning"))
WORDS = tuple(word for words in _CHOICES for word in words)
JSON_SCHEMA: dict[str, Any] = {
    "type": "array",
    "items": {"anyOf": [{"enum": [*WORDS]}, {"type": "string", "pattern": f"^{GROUP}."}]},
    "minItems": 1,
}
"""Of the list of words."""
_LONGEST = 40  # characters of a word in a message
_KNOWN = f"{', '.join(WORDS)} and {GROUP}NAME"


@dataclass(frozen=True)
class AlertSubject:
    """What an alert is about, as far as channels choose by it: one word of each choice, and the group of the check."""

    status: str
    """ "failed" or "error"."""
    scope: str
    """ "local": about this machine; "shared": about what other servers see, too."""
    severity: str
    """ "critical" or "warning"."""
    group: str = ""


SUITE = AlertSubject("error", "local", "critical")
"""The suite itself."""
KILLED_BROWSER = AlertSubject("failed", "local", "critical")


@dataclass(frozen=True)
class AlertFilter:
    """What a channel takes: one of the words of each choice that has some; without any word all."""

    words: tuple[str, ...] = ()
    """Each once, in one order: equal filters are equal."""

    @classmethod
    def parse(cls, value: object) -> "AlertFilter":
        """Return the filter of a list of words. Raise ValueError for anything else."""
        if isinstance(value, AlertFilter):
            return value
        if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
            raise ValueError(f'is a list of words, such as ["error", "local"]: write some of {_KNOWN}')
        if not value:
            raise ValueError(f"is empty, so that nothing would be sent: leave it out, or write some of {_KNOWN}")
        if wrong := [each for each in value if not _is_known(each)]:
            raise ValueError("; ".join(map(_unknown, wrong)))
        return cls(tuple(sorted({*value}, key=_place)))

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> Any:
        """Return pydantic's schema; called by pydantic only."""
        from pydantic_core import core_schema

        as_list = core_schema.plain_serializer_function_ser_schema(lambda each: [*each.words])
        return core_schema.no_info_plain_validator_function(cls.parse, serialization=as_list)

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: Any, _handler: Any) -> dict[str, Any]:
        """Return the JSON schema of the list of words; called by pydantic only."""
        return JSON_SCHEMA

    def takes(self, subject: AlertSubject) -> bool:
        """Return whether the channel takes alerts about this."""
        chosen = [{*choice} & {*self.words} for choice in _CHOICES]
        choices = zip(chosen, (subject.status, subject.scope, subject.severity), strict=True)
        return all(not some or word in some for some, word in choices) and self._takes_group(subject.group)

    def takes_any(self, subjects: Iterable[AlertSubject]) -> bool:
        """Return whether it takes alerts about one of these."""
        return any(map(self.takes, subjects))

    @property
    def groups(self) -> tuple[str, ...]:
        """The names of the groups that it names."""
        return tuple(each.removeprefix(GROUP) for each in self.words if each.startswith(GROUP))

    def _takes_group(self, group: str) -> bool:
        return not self.groups or group in self.groups

    def __str__(self) -> str:
        return f"only {', '.join(self.words)}" if self.words else ""


def _is_known(word: str) -> bool:
    return word in WORDS or (word.startswith(GROUP) and word != GROUP)


def _place(word: str) -> tuple[int, str]:
    return (WORDS.index(word) if word in WORDS else len(WORDS), word)


def _unknown(word: str) -> str:
    close = most_similar(word, WORDS)
    hint = f'; did you mean "{close}"?' if close else ""
    return f'"{word[:_LONGEST]}" is unknown{hint or ":"} {"Write" if hint else "write"} some of {_KNOWN}'
