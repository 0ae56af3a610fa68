"""What a plugin writes: performance data in every form of the guidelines, and text that is none."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthchecks.clients.command import LARGEST_OUTPUT
from healthchecks.clients.perfdata import parse_plugin_output

NUMBERS = {
    # of monitoring-plugins 2.3.3
    "rta=0.195000ms;100.000000;200.000000;0.000000": ("rta", 0.000195, "seconds", 0.1, 0.2),
    "pl=0%;20;40;0;": ("pl", 0, "ratio", 0.2, 0.4),
    "procs=139;;1:;0;": ("procs", 139, "none", None, None),
    "/=51269074944B;243497277849;257024904396;0;270552530944": (
        "/", 51269074944, "bytes", 243497277849, 257024904396,
    ),
    "load1=7.250;5.000;10.000;0; ": ("load1", 7.25, "none", 5, 10),
    # labels
    "'free space'=1": ("free space", 1, "none", None, None),
    "'it''s'=2": ("it's", 2, "none", None, None),
    "''''=3": ("'", 3, "none", None, None),
    "'a=b'=4": ("a=b", 4, "none", None, None),
    "C:\\=5": ("C:\\", 5, "none", None, None),
    "größe=6": ("größe", 6, "none", None, None),
    # values and units
    "t=5s": ("t", 5, "seconds", None, None),
    "t=5us;10": ("t", 0.000005, "seconds", 0.00001, None),
    "t=5µs": ("t", 0.000005, "seconds", None, None),
    "u=93.5%": ("u", 0.935, "ratio", None, None),
    "b=1B": ("b", 1, "bytes", None, None),
    "b=1KB": ("b", 1_000, "bytes", None, None),
    "b=2MB;3": ("b", 2_000_000, "bytes", 3_000_000, None),
    "b=2TB": ("b", 2e12, "bytes", None, None),
    "b=1.5GiB": ("b", 1.5 * 2**30, "bytes", None, None),
    "n=77c": ("n", 77, "none", None, None),
    "temp=-4.5C;30": ("temp", -4.5, "celsius", 30, None),
    "speed=9Mb": ("speed (Mb)", 9, "none", None, None),
    "power=230V;;;0;250": ("power (V)", 230, "none", None, None),
    "x=-.5": ("x", -0.5, "none", None, None),
    "x=5.": ("x", 5, "none", None, None),
    "x=0,25s": ("x", 0.25, "seconds", None, None),
    "x=1.5e3": ("x", 1500, "none", None, None),
    # ranges that a limit can express
    "x=1;~:10": ("x", 1, "none", 10, None),
    "x=1;0:10": ("x", 1, "none", 10, None),
    "x=1;@5:10": ("x", 1, "none", None, None),
    "x=1;nonsense;1.2.3": ("x", 1, "none", None, None),
    "x=1;": ("x", 1, "none", None, None),
    "x=1;;;;;;;": ("x", 1, "none", None, None),
}  # fmt: skip


@pytest.mark.parametrize("text", NUMBERS)
def test_number(text):
    label, value, unit, warning, critical = NUMBERS[text]
    (found,) = parse_plugin_output(f"OK|{text}").data
    assert (found.label, found.unit) == (label, unit)
    assert math.isclose(found.value, value)
    limits = [each.limit if each else None for each in (found.warning, found.critical)]
    for limit, expected in zip(limits, (warning, critical), strict=True):
        assert limit == expected or math.isclose(limit, expected)


LOWER_LIMITS = {"10:": (None, 10), "5:10": (10, 5), "-5:": (None, -5), "0:": (None, None), "@5:": (None, None)}


@pytest.mark.parametrize("text", LOWER_LIMITS)
def test_lower_limit(text):
    (found,) = parse_plugin_output(f"OK|x=7;{text}").data
    assert found.warning
    assert (found.warning.limit, found.warning.lower_limit) == LOWER_LIMITS[text]


@pytest.mark.parametrize(
    "text",
    ["", "x", "x=", "=1", "x=U", "x=U;1;2", "x=many", "x=nan", "x=inf", "x=1e999", "''=1", "'x=1", "x = 1", "--=--"],
)
def test_no_number(text):
    assert parse_plugin_output(f"OK|{text}").data == ()


SEVERAL_LINES = """DISK OK - free space: / 3326 MB (56%); | /=2643MB;5948;5958;0;5968
/ 15272 MB (77%);
/boot 68 MB (69%);
/var/log 819 MB (84%); | /boot=68MB;88;93;0;98
/home=69357MB;253404;253409;0;253414
/var/log=818MB;970;975;0;980
"""


def test_several_lines():
    """The example of the plugin API: after a | in a further line there is nothing but performance data."""
    found = parse_plugin_output(SEVERAL_LINES)
    assert found.text == "DISK OK - free space: / 3326 MB (56%);"
    assert found.long_text == "/ 15272 MB (77%);\n/boot 68 MB (69%);\n/var/log 819 MB (84%);"
    assert [(each.label, each.value / 1e6) for each in found.data] == [
        ("/", 2643), ("/boot", 68), ("/home", 69357), ("/var/log", 818),
    ]  # fmt: skip


def test_several_numbers_in_a_line():
    """What is none between them is left out, and of a label that comes twice the last number counts."""
    found = parse_plugin_output("OK|a=1 rubbish b=2s;3  'c d'=4 a=5\n")
    assert [(each.label, each.value) for each in found.data] == [("a", 5), ("b", 2), ("c d", 4)]


def test_label_is_a_name_of_a_metric():
    (long, hidden, unit) = parse_plugin_output(f"OK|{'x' * 150}=1V 'a\x1b[31mb'=2 c=3\0").data
    assert len(long.label) == 100
    assert (hidden.label, unit.label) == ("a\ufffd[31mb", "c (\ufffd)")


@pytest.mark.parametrize("piece", ["'", "''", "'a ", "=", "a=", ";", "a=1;", "'a'=", "1", "1.", "|", "\n", "a=1 ", "@"])
def test_hostile_output(piece):
    """As long as an output may be: none takes time that grows with its square."""
    parse_plugin_output("OK|" + piece * (LARGEST_OUTPUT // len(piece)))


@given(st.text(st.sampled_from("ab'=|;:@~U%sB.,-e019 \n\0é\ud800"), max_size=200))
def test_any_output(text):
    for each in parse_plugin_output(text).data:
        assert math.isfinite(each.value)
        assert each.label.isprintable()
        assert each.label.strip()
