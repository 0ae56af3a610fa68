"""Every value of the configuration has a range, and what is out of it is one clear error."""

import importlib
import math
import os
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest
from pydantic import BaseModel

from healthchecks.plugin.configuration.errors import bounds, mentions
from healthchecks.plugin.configuration.loader import built_in_kinds, loaded_kinds
from healthchecks.plugin.configuration.settings import SuiteSettings
from healthchecks.sql_reports.report import Report
from healthchecks.test_disk import Disk
from servermonitoring import values
from servermonitoring.configuration import ConfigurationError, read, tables_of
from tests.reliability import reliability
from watchdog import settings as rulebook

CHECKS = """
    from healthchecks import Duration, Target, probe

    class Shop(Target):
        url: str = ""
        port: int = 1

    @probe
    def answer(shop: Shop) -> bool:
        return True

    def test_shop(shop, answer):
        assert answer
"""


def models(model):
    """A model and all that its fields are made of."""
    yield model
    for field in model.model_fields.values():
        yield from (found for each in _parts(field.annotation) for found in models(each))


def _parts(annotation):
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for each in getattr(annotation, "__args__", ()) for found in _parts(each)]


def test_every_number_has_a_range():
    """Of all kinds that ship, and all settings. Durations, sizes and percentages have one by their type."""
    for name in built_in_kinds():
        importlib.import_module(f"healthchecks.test_{name}")
    kinds = [each for each in loaded_kinds().values() if each.__module__.startswith("healthchecks.test_")]
    assert len(kinds) == len(built_in_kinds() - {"alerts"})
    without = []
    for model in {found for each in (*kinds, SuiteSettings, Report) for found in models(each)}:
        for name, field in model.model_fields.items():
            number = mentions(field.annotation, int) or mentions(field.annotation, float)
            if number and not mentions(field.annotation, str) and not _is_bounded(field):
                without.append(f"{model.__name__}.{name}")
    assert without == []


def _is_bounded(field):
    readers = {values.duration, values.size, values.percentage}
    inner = [data for each in getattr(field.annotation, "__args__", ()) for data in getattr(each, "__metadata__", ())]
    if any(getattr(each, "func", None) in readers for each in (*field.metadata, *inner)):
        return True
    limits = bounds(field)
    return bool(limits.keys() & {"gt", "ge"}) and bool(limits.keys() & {"lt", "le"})


def test_every_text_has_a_length(tmp_path):
    """By the reader of the file, whatever key it stands at; and so have texts that a variable brings."""
    problems = wrong(tmp_path, f"[shop.a]\nurl = '{'x' * 100_001}'\nlist = [['{'y' * 100_001}']]\n")
    assert problems == [
        "[shop.a] url: is a text of 100001 characters, maximum 100000",
        "[shop.a] list[0][0]: is a text of 100001 characters, maximum 100000",
    ]


@pytest.mark.parametrize("number", ["inf", "-inf", "nan", "1e16", "-1e300", "9" * 4000])
def test_every_number_has_a_size(tmp_path, number):
    problems = wrong(tmp_path, f"[shop.a]\nport = {number}\n")
    assert problems == ["[shop.a] port: is out of range: write a number from -1000000000000000 to 1000000000000000"]


def wrong(folder: Path, text: str) -> list[str]:
    path = folder / "servermonitoring.toml"
    path.write_text(text)
    return [str(each) for each in read(path)[1]]


NEEDS = "\n".join(f"[shop.s{n}]\nneeds = ['shop.s{n + 1}']" for n in range(1500))
OUT_OF_BOUNDS = {
    "a run of 300 years": ("[run]\ntimeout = 1e10", "[run] timeout: 10000000000.0 is more than 3660d"),
    "a run of a month": ("[run]\ntimeout = '30d'", "[run] timeout: 2592000.0: write more than 0, at most 1 d"),
    "a history of ages": ("[history]\nmax_age = 1000000000", "[history] max_age: 1000000000 is more than 3660d"),
    "a window up to year 9999": (
        "[maintenance.a]\nstart = 2026-01-01\nend = 9999-12-31T23:59:59Z",
        "[maintenance.a] end: ",
    ),
    "a window from year 1": ("[maintenance.a]\nstart = 0001-01-01\nend = 2026-01-01", "write a year from 1971 to 2199"),
    "a port": ("[tcp.a]\nhost = 'x'\nport = 70000", "[tcp.a] port: 70000: write a number from 1 to 65535"),
    "900 dots": (f"[shop{'.a' * 900}]\nurl = 'x'", "is nested too deeply: at most 50 levels"),
    "20,000 levels": (f"{'a.' * 20_000}a = 1", "is nested too deeply: at most 50 levels"),
    "20,000 levels in a list": (f"x = [{{ {'a.' * 20_000}a = 1 }}]", "is nested too deeply: at most 50 levels"),
    "60 lists": (f"x = {'[' * 60}{']' * 60}", "is nested too deeply: at most 50 levels"),
    "a circle of 1,501 needs": (f"{NEEDS}\n[shop.s1500]\nneeds = ['shop.s0']", "is circular: shop.s"),
    "all or 1 %": (
        "[disk.a]\npath = '/'\nmax_used = 1",
        '[disk.a] max_used: 1 may mean 1 % or all: write "1%" or "100%"',
    ),
    "a number for a text": ("[disk.a]\npath = 1", '[disk.a] path: 1: write a text, in quotes: "text"'),
    "a URL for a host": ("[tcp.a]\nhost = 'https://x'\nport = 1", "[tcp.a] host: 'https://x': is a URL"),
    "a DSN for a host": ("[database.a]\nhost = 'postgresql://db/x'", "[database.a] host: 'postgresql://db/x': is a"),
    "a host with its port": ("[rabbitmq.a]\nhost = 'mq:5672'", "[rabbitmq.a] host: 'mq:5672': contains a port"),
    "two words for a host": ("[rabbitmq.a]\nhost = 'm q'", "[rabbitmq.a] host: 'm q': is not a host"),
    "curly quotes": ("[shop.a]\nurl = “x”", '“ is a curly quote; write the straight one: " (at line 2'),
    "curly quotes within a text": ("[shop.a]\nurl = '“x”\nport = 2", "a text has no closing quote"),
    "no closing quote": ('[shop.a]\nurl = "x\nport = 2', 'a text has no closing quote: write "text" (at line 2'),
    "no closing quote at the end": ('[shop.a]\nurl = "x', 'a text has no closing quote: write "text" (at '),
    "no quotes": ("[shop.a]\nurl = http://x/", "is not TOML: "),
    "no closing bracket": ("[shop.a]\nneeds = ['shop.b'", "is not TOML: a list has no closing bracket: ]"),
    "a table of settings as a list": ("[[run]]\ntimeout = 3", "[run]: [{'timeout': 3}]: is not a table: write [run]"),
    "a word for true": ("[disk.a]\npath = '/'\nmounted = 'perhaps'", "mounted: 'perhaps': write true or false"),
    "a zero byte in a path": ('[state]\ndirectory = "a\\u0000b"', "[state] directory: 'a\\x00b': contains a zero byte"),
    "a table twice": ("[shop.a]\n[shop.b]\n[shop.a]", "is not TOML: [shop.a] appears twice"),
}  # fmt: skip


@reliability(
    "Configuration",
    fault="a value of the configuration is out of every range, of the wrong form, or nested thousands of levels deep",
    promise="status 4 and an error that says what to write, at once",
)
@reliability(
    "Configuration",
    fault="a host is written as a URL, with its port, or in two words",
    promise="status 4 and an error that says which of them it is, before anything is contacted",
)
@reliability(
    "Configuration",
    fault="curly quotes, no closing quote or bracket, a table twice",
    promise="the error says what to write, and in which line",
)
@pytest.mark.parametrize(("text", "reported"), OUT_OF_BOUNDS.values(), ids=OUT_OF_BOUNDS)
def test_out_of_bounds(suite, text, reported):
    suite.write("test_mine.py", CHECKS)
    suite.configure(f"{text}\n")
    outcome = suite.run()
    assert outcome.status == 4, outcome.output[-3000:]
    assert reported in outcome.output
    assert "INTERNALERROR" not in outcome.output
    assert "Traceback" not in outcome.output


@reliability(
    "Configuration", fault="1,500 targets need each other in a chain", promise="they run, in the order of need"
)
def test_a_chain_of_needs(suite):
    suite.write("test_mine.py", CHECKS)
    suite.configure(f"{NEEDS}\n[shop.s1500]\n[run]\ntimeout = '1h'\n")
    outcome = suite.run("test_mine.py", "--collect-only", "-q")
    assert outcome.status == 0, outcome.output[-3000:]
    order = [line for line in outcome.output.splitlines() if "test_shop[" in line]
    assert order[0].endswith("[s1500]")
    assert order[-1].endswith("[s0]")
    assert len(order) == 1501


@reliability(
    "Configuration",
    fault="an environment variable that the configuration names is not UTF-8",
    promise="status 4 and an error that names the variable",
)
def test_a_variable_that_is_not_utf8(suite):
    suite.write("test_mine.py", CHECKS)
    suite.configure("[shop.a]\nurl = '${ODD_NAME}'\n")
    suite.environment["ODD_NAME"] = os.fsdecode(b"caf\xe9")
    outcome = suite.run()
    assert outcome.status == 4, outcome.output
    assert "[shop.a] url: the environment variable ODD_NAME is not UTF-8" in outcome.output


def test_a_name_of_the_file_that_is_not_utf8(suite):
    suite.write("test_mine.py", CHECKS)
    suite.environment["SERVERMONITORING_CONFIG"] = os.fsdecode(b"caf\xe9.toml")
    outcome = suite.run()
    assert outcome.status == 4, outcome.output
    assert r"caf\udce9.toml is wrong" in outcome.output


def test_many_mistakes_are_counted(tmp_path):
    path = tmp_path / "servermonitoring.toml"
    path.write_text("[watchdog.x]\n" + "".join(f"key{number} = 1\n" for number in range(500)))
    with pytest.raises(ConfigurationError, match="and 400 more") as raised:
        rulebook.load(str(path))
    assert len(str(raised.value).splitlines()) == 102


@reliability("Configuration", fault="/proc/mounts is missing", promise="the disk of / is checked")
def test_no_list_of_mounts(tmp_path, monkeypatch):
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(tmp_path))
    with pytest.raises(OSError, match="No such file"):
        psutil.disk_partitions(all=True)
    assert list(Disk.defaults()) == ["/"]


def test_what_is_within_bounds():
    """The largest values that make sense, texts with quotes of typographers, and 49 levels."""
    deep = tables_of(f"[x]\n{'a.' * 48}b = '“quoted”'\n".encode())
    assert "quoted" in repr(deep)
    window = {"start": "2026-01-01T00:00:00Z", "end": "2199-01-01T00:00:00Z"}
    settings = SuiteSettings.model_validate(
        {"run": {"timeout": "1d"}, "history": {"max_age": "3660d"}, "maintenance": {"a": window}}
    )
    assert not settings.maintenance["a"].covers("x.y", datetime(2020, 1, 1, tzinfo=UTC))
    assert math.isclose(settings.run.timeout, 86400)
