"""Conditions on a JSON document, in JMESPath: https://jmespath.org/specification.html.

The library is loaded with the first expression. It raises errors about functions when it meets them, so they are looked
for beforehand.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from healthchecks.clients.http.body import json_of, shown_value
from servermonitoring.configuration import nearest
from servermonitoring.values import counted

_LONGEST = 1_000  # characters of an expression


def checked_expression(text: str) -> str:
    """Return the expression. Raise ValueError for one that is none, with the place and what to write instead."""
    import jmespath.exceptions

    if len(text) > _LONGEST:
        raise ValueError(f"is an expression of {len(text)} characters, maximum {_LONGEST}")
    try:
        parsed = jmespath.compile(text).parsed
        reason = next(_faults(parsed), "")
    except RecursionError:
        reason = "it is nested too deeply"
    except jmespath.exceptions.JMESPathError as error:
        reason = _reason(error)
    if reason:
        raise ValueError(f"is not a JMESPath expression: {reason}")
    return text


def first_untrue(text: str, expressions: Sequence[str]) -> str:
    """Return a message for the first expression that is not true for a JSON text; empty where all are."""
    if not expressions:
        return ""
    try:
        document = json_of(text)
    except ValueError as error:
        return str(error)
    return next(filter(None, (_difference(document, each) for each in expressions)), "")


def _difference(document: Any, text: str) -> str:
    import jmespath.exceptions

    try:
        expression = jmespath.compile(text)
        value = expression.search(document)
        return "" if value is True else f"jmespath {text} is {_found(expression.parsed, document, value)}"
    except jmespath.exceptions.JMESPathTypeError as error:
        expected = " or ".join(error.expected_types)
        value = shown_value(error.current_value)
        return f"jmespath {text}: {error.function_name}() is called with {value} instead of {expected}"
    except Exception as error:  # noqa: BLE001 - whatever the library raises for a document that nobody expected
        return f"jmespath {text} cannot be evaluated for this document: {type(error).__name__}"


def _found(parsed: Any, document: Any, value: Any) -> str:
    """Return the value in words, of a comparison with what was compared."""
    if parsed["type"] != "comparator":
        return f"{shown_value(value)} instead of true"
    from jmespath.visitor import TreeInterpreter

    sides = [each for each in parsed["children"] if each["type"] != "literal"]
    found = [shown_value(TreeInterpreter().visit(each, document)) for each in sides]
    return f"{shown_value(value)}: found {' and '.join(found)}"


def _reason(error: Any) -> str:
    """Return what is wrong, and where; columns are counted from 1."""
    from jmespath.exceptions import IncompleteExpressionError, LexerError, ParseError

    if isinstance(error, LexerError):
        hint = ": write == to compare" if error.lexer_value == "=" else ""
        return f"{error.message[:1].lower()}{error.message[1:]} at column {error.lexer_position + 1}{hint}"
    if isinstance(error, IncompleteExpressionError):
        return "it is incomplete"
    if not isinstance(error, ParseError):
        return "it is empty"
    token = str(error.token_value)
    hint = f": write a number as `{token}`" if isinstance(error.token_value, int) else ""
    return f'unexpected "{token}" at column {error.lex_position + 1}{hint}'


def _faults(parsed: Any) -> Iterator[str]:
    """Yield what is wrong in every document: functions, and slices without a step."""
    if parsed["type"] == "function_expression":
        yield from _faults_of_call(parsed["value"], len(parsed["children"]))
    if parsed["type"] == "slice" and parsed["children"][2] == 0:
        yield "the step of a slice is 0"
    for each in parsed["children"]:
        if isinstance(each, dict):
            yield from _faults(each)


def _faults_of_call(name: str, count: int) -> Iterator[str]:
    from jmespath.functions import Functions

    known: dict[str, Any] = Functions.FUNCTION_TABLE
    if name not in known:
        yield f"there is no function {name}(){nearest(name, known)}"
        return
    signature = known[name]["signature"]
    is_variadic = bool(signature and signature[-1].get("variadic"))
    if count < len(signature) or (count > len(signature) and not is_variadic):
        number = counted(len(signature), "argument")
        yield f"{name}() takes {'at least ' if is_variadic else ''}{number}, not {count}"
