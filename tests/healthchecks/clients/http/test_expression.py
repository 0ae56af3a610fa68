"""Conditions in JMESPath: what is wrong with an expression, and what a document is found to be."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthchecks.clients.http.expression import checked_expression, first_untrue

WRONG = {
    "": "it is empty",
    "a ==": "it is incomplete",
    "a > 0": 'unexpected "0" at column 5: write a number as `0`',
    "a = 'ok'": "unknown token '=' at column 3: write == to compare",
    "a & b": 'unexpected "&" at column 3',
    "a == 'b": "unclosed ' delimiter at column 6",
    "lenght(a)": 'there is no function lenght(); did you mean "length"?',
    "items[*].{a: lenght(b)}": 'there is no function lenght(); did you mean "length"?',
    "sort_by(a, &length(b, c))": "length() takes 1 argument, not 2",
    "join(',')": "join() takes 2 arguments, not 1",
    "merge()": "merge() takes at least 1 argument, not 0",
    "a[::0]": "the step of a slice is 0",
    "!" * 990 + "a": "it is nested too deeply",
}


@pytest.mark.parametrize("text", WRONG, ids=range(len(WRONG)))
def test_wrong_expression(text):
    with pytest.raises(ValueError, match="is not a JMESPath expression") as caught:
        checked_expression(text)
    assert str(caught.value) == f"is not a JMESPath expression: {WRONG[text]}"


def test_long_expression():
    with pytest.raises(ValueError, match=r"is an expression of 1001 characters, maximum 1000"):
        checked_expression("a" * 1001)


DOCUMENT = {"items": [], "status": "up", "nothing": None, "zero": 0, "yes": True, "names": ["a", 1]}

UNTRUE = {
    "length(items) > `0`": "is false: found 0",
    "status == 'ok'": 'is false: found "up"',
    'status == "ok"': 'is false: found "up" and null',
    "nothing > `3`": "is null: found null",
    "items": "is [] instead of true",
    "status": 'is "up" instead of true',
    "zero": "is 0 instead of true",
    "missing": "is null instead of true",
    "yes && items": "is [] instead of true",
}


@pytest.mark.parametrize("text", UNTRUE)
def test_untrue(text):
    """Only true is true: a number or a list shows that a comparison was forgotten."""
    expressions = ["yes", checked_expression(text), "lenght(a)"]
    assert first_untrue(json.dumps(DOCUMENT), expressions) == f"jmespath {text} {UNTRUE[text]}"


def test_functions_of_other_types():
    text = json.dumps(DOCUMENT)
    assert first_untrue(text, ["length(zero) == `1`"]) == (
        "jmespath length(zero) == `1`: length() is called with 0 instead of string or array or object"
    )
    assert first_untrue(text, ["sort(names) == names"]) == (
        "jmespath sort(names) == names: sort() is called with 1 instead of array-string or array-number"
    )


@pytest.mark.parametrize("text", ["yes", "!nothing", "length(items) == `0`", "status == 'up' && zero == `0`"])
def test_true(text):
    assert first_untrue(json.dumps(DOCUMENT), [text]) == ""


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "9" * 100_000, "\ufeff\ufeff{}"], ids=range(5))
def test_no_json(text):
    assert first_untrue(text, ["yes"]) == "the body is not JSON"


HOSTILE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
)
FUNCTIONS = (
    "avg(a)", "sum(a)", "max_by(a, &b)", "sort_by(a, &b)", "join(',', a)", "to_string(@)", "to_number(a)", "a == b",
    "merge(a, b)", "map(&a, @)", "ceil(a)", "contains(a, b)", "a[::-1]", "*.a[]", "a > b", "reverse(a)", "keys(@)",
)  # fmt: skip


@given(document=HOSTILE, text=st.sampled_from(FUNCTIONS))
def test_any_document(document, text):
    """It is a message, and no error of the check, whatever a peer sends."""
    message = first_untrue(json.dumps(document), [text])
    assert message in {"", "the body is not JSON"} or message.startswith(f"jmespath {text}")
    assert len(message) < 400
