"""What a probe raised, as plain data: raised again in another process with its class, text and attributes.

pickle alone cannot do that: pytest.skip's exception calls itself a builtin, classes within functions have no place, and
constructors of authors want other arguments than `args` holds. Of other attributes only plain ones are taken: those of
requests hold a response, which pickle would read to its end.
"""

import operator
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from healthchecks.plugin.result import clean, text_of

_LONGEST = 100_000  # characters or bytes of the text, an argument or an attribute
_MOST = 20  # arguments, or attributes
_LARGEST = 2**64  # of a number
_OUTCOMES = "_pytest.outcomes"  # where the exceptions of pytest.skip and pytest.fail are, whatever they say


@dataclass(frozen=True)
class ErrorRecord:
    """Plain data, at most 4 MB of it, scrubbed."""

    name: str
    """Of the error's class."""
    place: tuple[str, str]
    """Module and qualified name of that class, or of the nearest base that another process can make again."""
    is_whole: bool
    """Whether that class itself can be made again from arguments and attributes."""
    text: str
    arguments: tuple[Any, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, error: BaseException) -> Self:
        """Return the record of an error, of any class. Raise nothing."""
        kind, text = type(error), clean(text_of(error), _LONGEST)
        arguments = tuple(_plain(enumerate(error.args)).values())
        if len(arguments) < len(error.args):
            arguments = (text,)
        whole = cls(kind.__name__, _place(kind), True, text, arguments, _plain(vars(error).items()))
        if _is_restored(whole):
            return whole
        stand_ins = (replace(whole, place=_place(base), is_whole=False) for base in kind.__mro__)
        return next(filter(_is_restored, stand_ins))

    def restore(self) -> BaseException:
        """Return the error, or one of the same name, base and text where its class cannot be made again."""
        found: type[BaseException] = _class_at(self.place)
        if not self.is_whole:
            found = type(self.name, (found,), {"__str__": lambda _: self.text})
        error = found.__new__(found, *self.arguments)
        error.args = self.arguments
        vars(error).update(self.attributes)
        return error


def _is_restored(record: ErrorRecord) -> bool:
    """Return whether another process gets an error with this text."""
    try:
        return clean(text_of(record.restore()), _LONGEST) == record.text
    except Exception:  # noqa: BLE001 - whatever the class of an author does
        return False


def _place(found: type) -> tuple[str, str]:
    """Return where a class is, as module and qualified name; two empty texts where it is nowhere."""
    for module in (found.__module__, _OUTCOMES):
        place = module, found.__qualname__
        try:
            if _class_at(place) is found:
                return place
        except (AttributeError, KeyError, TypeError):
            continue
    return "", ""


def _class_at(place: tuple[str, str]) -> Any:
    return operator.attrgetter(place[1])(sys.modules[place[0]])


def _plain(values: Any) -> dict[Any, Any]:
    """Return the items with plain values, cleaned and cut."""
    found: dict[Any, Any] = {}
    for name, value in [*values][:_MOST]:
        if type(value) is str:
            found[name] = clean(value, _LONGEST)
        elif type(value) is bytes:
            found[name] = value[:_LONGEST]
        elif value is None or (type(value) in (bool, int, float) and not abs(value) >= _LARGEST):
            found[name] = value
    return found
