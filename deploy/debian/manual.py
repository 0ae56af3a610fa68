"""Writes man pages and bash completions of the two commands, from their own parsers: manual.py USR.

Run by debian/rules, in the environment of the package with argparse-manpage and shtab (requirements/manual.lock).
"""

import argparse
import gzip
import sys
from pathlib import Path

import shtab
from argparse_manpage.manpage import Manpage

from healthchecks.plugin.options import add_options
from servermonitoring import __version__
from watchdog.arguments import parser as watchdog_parser

_RUN = """Runs the health checks once, by hand: `pytest healthchecks` with the configuration /etc/servermonitoring.toml
or $SERVERMONITORING_CONFIG. Started by root it changes to the user servermonitoring. These are the options of the
suite; all others are those of pytest: -k NAME runs a part, -x stops at the first failure."""


class _SuiteParser(argparse.ArgumentParser):
    """Takes the options of a plugin of pytest."""

    def getgroup(self, name: str) -> argparse._ArgumentGroup:
        group = self.add_argument_group(name)
        group.addoption = group.add_argument  # type: ignore[attr-defined]
        return group

    def addini(self, *_: object, **__: object) -> None:
        """Ignore it: a line of pytest.ini is none of the command's."""


def suite_parser() -> argparse.ArgumentParser:
    parser = _SuiteParser(prog="servermonitoring", description=_RUN)
    add_options(parser)  # type: ignore[arg-type]
    return parser


def main(usr: Path) -> None:
    for parser in suite_parser(), watchdog_parser():
        page = Manpage(parser, {"project_name": "servermonitoring", "version": __version__, "manual_section": "1"})
        _write(usr / "share/man/man1" / f"{parser.prog}.1.gz", gzip.compress(str(page).encode(), mtime=0))
        completion = shtab.complete(parser, "bash")
        _write(usr / "share/bash-completion/completions" / parser.prog, completion.encode())


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
