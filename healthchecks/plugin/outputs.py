"""Removes secrets from what pytest itself writes: reports, warnings, JUnit XML, its debug log."""

import warnings
from typing import TYPE_CHECKING, Any

import pytest
from _pytest.junitxml import xml_key
from _pytest.reports import CollectErrorRepr

from healthchecks.plugin.result import clean, text_of
from servermonitoring.scrubbing import scrub

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from _pytest._code.code import TerminalRepr


_LONGEST_OUTPUT = 100_000  # characters of a traceback or of captured output


def scrub_report(report: Any) -> None:
    """Scrub what a report holds besides its outcome; a traceback that holds no secret keeps its colours."""
    report.sections = [(name, clean(text, _LONGEST_OUTPUT, keep_end=True)) for name, text in report.sections]
    properties = getattr(report, "user_properties", [])  # a file that cannot be collected has none
    report.user_properties = [
        (clean(name, _LONGEST_OUTPUT), clean(value, _LONGEST_OUTPUT)) for name, value in properties
    ]
    if hasattr(report, "wasxfail"):
        report.wasxfail = clean(report.wasxfail, _LONGEST_OUTPUT)
    if isinstance(report.longrepr, tuple):
        path, line, reason = report.longrepr
        report.longrepr = (path, line, clean(reason, _LONGEST_OUTPUT))
    elif report.longrepr is not None:
        text = text_of(report.longrepr)
        shown = clean(text, _LONGEST_OUTPUT, keep_end=True)
        report.longrepr = report.longrepr if shown == text else shown


def scrub_collect_report(report: pytest.CollectReport) -> None:
    """Scrub the report of a file of checks that cannot be imported."""
    scrub_report(report)
    if isinstance(report.longrepr, str):
        report.longrepr = CollectErrorRepr(report.longrepr)


def scrub_repr(text: "TerminalRepr") -> None:
    """Scrub an error of pytest's own, which others are about to print."""
    shown = clean(text, _LONGEST_OUTPUT, keep_end=True)
    text.toterminal = lambda tw: tw.write(shown)  # type: ignore[method-assign]


def scrub_outputs(config: pytest.Config) -> None:
    """Scrub what pytest has kept to write at the end of the run: warnings, and JUnit XML."""
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    for warning in reporter.stats.get("warnings", ()) if reporter else ():
        warning.message = scrub(warning.message)
    junit: Any = config.stash.get(xml_key, None)
    if junit is not None:
        junit.global_properties[:] = [(scrub(name), scrub(value)) for name, value in junit.global_properties]
        for each in junit.node_reporters_ordered:
            _fix(each, each.to_xml())


def scrub_trace(config: pytest.Config) -> None:
    """Scrub from now on what `--debug` writes."""
    root = config.trace.root
    write = root._writer  # noqa: SLF001 - it can be set, but not asked for
    if write is not None:
        root.setwriter(lambda text: write(scrub(text)))


def _fix(reporter: Any, element: "Element") -> None:
    """Have JUnit's reporter of one test give this element, scrubbed."""
    for each in element.iter():
        each.text = scrub(each.text) if each.text else each.text
        each.attrib.update({name: scrub(value) for name, value in each.attrib.items()})
    reporter.to_xml = lambda: element


_LONGEST_WARNING = 2_000  # characters


class WarningText:
    """A plugin of one run."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_warning_recorded(self, warning_message: warnings.WarningMessage) -> None:
        warning_message.message = UserWarning(clean(warning_message.message, _LONGEST_WARNING))
