"""Text of checks and of what they speak to: valid UTF-8, bounded, and without secrets."""

import re
import traceback
from pathlib import PurePath

from servermonitoring.scrubbing import scrub_and_cut

_SURROGATE = re.compile(r"[\ud800-\udfff]")  # half a character, as JSON's "\ud800": no UTF-8 can be made of it


def text_of(value: object) -> str:
    """Return str(value), or what can be said of a value that refuses to be a text. Raises nothing."""
    try:
        return str.__str__(value if isinstance(value, str) else str(value))
    except BaseException as error:  # noqa: BLE001 - the value is a check's, and so is what its __str__ does
        return f"<{type(value).__name__}, whose text cannot be made: {type(error).__name__}>"


def valid(text: str) -> str:
    """Return the text with U+FFFD in place of what is no character."""
    return _SURROGATE.sub("\ufffd", text)


def clean(value: object, longest: int, *, keep_end: bool = False) -> str:
    """Return the value as a text of at most `longest` characters that may be stored, shown and sent."""
    text = text_of(value)
    return scrub_and_cut(valid(text), longest, keep_end=keep_end) if text else ""


def name_of(value: object, longest: int) -> str:
    """Return the value as a text by which things are known, and which is therefore never scrubbed."""
    return valid(text_of(value))[:longest]


def with_place(error: BaseException) -> str:
    """Return the kind of an error that has no text, and where it was raised: SystemExit (test_backup.py, line 12)."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} ({PurePath(frames[-1].filename).name}, line {frames[-1].lineno})"
