"""The common ground stays light: the watchdog runs for months on it, and each check pays for it."""

import subprocess
import sys
from pathlib import Path

import servermonitoring

LATE = {"delivery.sdk"}  # with the first alert
PROGRAMS = {"delivery.notifier"}  # run as processes of their own
PACKAGE = Path(servermonitoring.__file__).parent
NAMES = {".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in PACKAGE.rglob("*.py")}
MODULES = {name.removesuffix(".__init__") for name in NAMES - {"__init__"}} - LATE - PROGRAMS


def test_it_imports_the_standard_library_only():
    """In a process of its own, with nothing else loaded: what is loaded after it came by it."""
    code = (
        "import sys; before = set(sys.modules)\n"
        f"import {', '.join(f'servermonitoring.{name}' for name in sorted(MODULES))}\n"
        "names = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(*sorted(names - sys.stdlib_module_names - {'servermonitoring'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
