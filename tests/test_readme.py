"""README's own text is what is tried: its checks run, its configuration is valid."""

import re

import pytest

from tests import ROOT
from tests.fork_server import run_pytest

README = (ROOT / "README.md").read_text()
FILES = dict(re.findall(r"<!-- file: (\S+) -->\n+```python\n(.*?)```", README, re.DOTALL))
CONFIGURATIONS = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_check_of_a_user(folder):
    """The file shown under "Own checks" works word for word: passing, failing, and for a missing file."""
    (folder / "fresh").touch()
    (folder / "servermonitoring.toml").write_text(
        '[backup.fresh]\nfile = "fresh"\n[backup.none]\nfile = "none"\n'
        '[backup.old]\nfile = "/proc/1/status"\nnewest = 0\n'
    )
    status, output = run_pytest("mychecks/test_backup.py", cwd=folder)
    assert status == 1
    assert re.search(r"FAILED  backup\[old\] +/proc/1/status is \d+ hours old", output)
    assert re.search(r"FAILED  backup\[none\] +FileNotFoundError: .*No such file or directory: 'none'", output)
    assert "2 of 3 checks failed" in output


def test_check_is_short():
    """A new kind of check is about ten lines."""
    lines = [line for line in FILES["mychecks/test_backup.py"].splitlines() if line.strip()]
    assert len(lines) <= 12


def test_plain_check(folder):
    """The marked test works word for word."""
    status, output = run_pytest("mychecks/test_plain.py", "-v", cwd=folder)
    assert status == 0, output
    assert "git_is_installed" in output


def test_configuration_is_valid(folder):
    """The configuration shown is accepted as it stands, once its variables and secret files exist."""
    (folder / "password").write_text("https://key-of-the-test@127.0.0.1/1")
    text = re.sub(r"file:/etc/servermonitoring/[\w-]+", f"file:{folder}/password", "\n".join(CONFIGURATIONS))
    text = text.replace("/var/lib/servermonitoring", str(folder / "state"))
    (folder / "servermonitoring.toml").write_text(text)
    passwords = {"MONITOR_PASSWORD": "one-of-the-test", "RABBITMQ_PASSWORD": "two-of-the-test"}
    status, output = run_pytest("--pyargs", "healthchecks", "--collect-only", "-q", cwd=folder, **passwords)
    assert status == 0, output
    assert "test_website_access[home]" in output
