"""Mistakes of an author: each is one error that names its cause, and all other checks run."""

import json

import pytest

from tests.reliability import reliability

GOOD = """
    from pathlib import Path
    from healthchecks import Target, probe

    class Backup(Target):
        file: str = "/"

    @probe
    def age(backup: Backup) -> int:
        return 3

    def test_backup_age(backup, age):
        assert age < 5
"""
TABLES = "[backup.weekly]\n[disk.root]\npath = '/proc'\n"
DISK = ("--pyargs", "healthchecks.test_disk")


@pytest.fixture
def authors(suite):
    """A folder `mine` with a good check, and the checks that ship."""
    (suite.folder / "mine").mkdir()
    suite.write("mine/test_backup.py", GOOD)
    suite.configure(TABLES)
    return suite


def error(outcome, name):
    """The message of the one error, under this name; all else is ok."""
    assert outcome.status == 1, outcome.output
    assert {key for key, each in outcome.checks.items() if each["status"] not in ("ok", "skipped")} == {name}
    assert outcome.checks[name]["status"] == "error"
    assert outcome.document["status"] == "failed"
    return outcome.checks[name]["message"]


@reliability(
    "Authors",
    fault="a file that defines a kind of the configuration cannot be imported",
    promise="it is one error, named after the file; all other checks run",
)
def test_file_of_a_kind_does_not_import(authors):
    authors.write("mine/test_backup.py", GOOD.replace("from pathlib", "from pathlibb"))
    outcome = authors.run(*DISK, "mine")
    assert error(outcome, "backup[]") == "ModuleNotFoundError: No module named 'pathlibb'"
    assert outcome.checks["disk_space[root]"]["status"] == "ok"


@reliability(
    "Authors",
    fault="the only file of checks cannot be imported",
    promise="it is one error, recorded, shown and alerted",
)
def test_only_file_does_not_import(authors):
    authors.write("mine/test_backup.py", GOOD.replace("def test", "deff test"))
    outcome = authors.run("mine")
    assert error(outcome, "backup[]") == "SyntaxError: invalid syntax"


def test_other_tests_that_do_not_import(suite):
    """Are none of our business."""
    suite.write("test_mine.py", "import nothing_of_that_name\n")
    outcome = suite.run()
    assert outcome.status == 2
    assert not suite.state.exists()


@reliability(
    "Authors",
    fault="a broken file is mended",
    promise="its error leaves the page with the next whole run, and its alert is over",
)
def test_mended_file(authors, kent):
    authors.environment["HEALTHCHECKS_SENTRY_DSN"] = kent.dsn
    authors.write("mine/test_backup.py", "import nothing_of_that_name\n" + GOOD.replace("\n    ", "\n"))
    authors.run(*DISK, "mine")
    authors.write("mine/test_backup.py", GOOD)
    outcome = authors.run(*DISK, "mine")
    assert outcome.status == 0, outcome.output
    assert (outcome.document["status"], outcome.document["others"]) == ("ok", [])
    authors.write("mine/test_backup.py", "import nothing_of_that_name\n" + GOOD.replace("\n    ", "\n"))
    assert "Sentry: 1 sent" in authors.run(*DISK, "mine").output


@reliability(
    "Authors",
    fault="one file is run by its path, and the configuration has tables of other files",
    promise="the run checks that file, and says which tables nothing in it knows",
)
def test_part_by_path(authors):
    authors.configure(TABLES + "[disc.own]\n")
    outcome = authors.run(*DISK)
    assert outcome.status == 0, outcome.output
    assert "of kinds that no file of this run has, so ignored: [backup] [disc]" in outcome.output


@reliability(
    "Authors",
    fault="a table of the configuration is of no kind that is known",
    promise="the message says where kinds of one's own come from",
)
def test_unknown_table(authors):
    authors.configure(TABLES + "[bakkup.weekly]\n[weather.here]\n")
    outcome = authors.run(*DISK, "mine")
    assert outcome.status == 4
    assert '[bakkup]: unknown table; did you mean "backup"? A kind of your own is known by its file' in outcome.output
    assert "[weather]: unknown table; a kind of your own is known by its file: name that, or its" in outcome.output


@reliability(
    "Authors",
    fault="checks of one's own lie in another folder",
    promise="[run] checks names it, and `pytest healthchecks` runs them from everywhere",
)
def test_folders_in_the_configuration(authors):
    authors.write("mine/conftest.py", "import pytest\n@pytest.fixture\ndef three():\n    return 3\n")
    authors.write("mine/test_backup.py", GOOD.replace("backup, age", "backup, age, three").replace("< 5", "== three"))
    path = authors.configure('[run]\nchecks = ["mine"]\n' + TABLES)
    (authors.folder / "elsewhere").mkdir()
    authors.environment["SERVERMONITORING_CONFIG"] = str(path)
    authors.folder /= "elsewhere"
    chosen = ("--pyargs", "healthchecks", "-k", "disk or age")
    assert "mine/test_backup.py ." in authors.run(*chosen).output
    authors.folder = path.parent
    outcome = authors.run(*chosen)
    assert outcome.status == 0, outcome.output
    assert outcome.checks["backup_age[weekly]"]["status"] == "ok"
    assert "disk_space[root]" in outcome.checks
    assert authors.run(*DISK).status == 0  # a part of them knows the kinds as well
    schema = json.loads(authors.run("--pyargs", "healthchecks", "--monitoring-schema").output)
    assert "backup" in schema["properties"]


@reliability(
    "Authors",
    fault="a folder that [run] checks names is missing",
    promise="it is one error; all other checks run",
)
def test_missing_folder(authors):
    authors.configure('[run]\nchecks = ["mine", "yours"]\n' + TABLES)
    outcome = authors.run("--pyargs", "healthchecks", "-k", "disk or age")
    message = error(outcome, "yours[]")
    assert message == f"[run] checks names {authors.folder}/yours, and there is no such file or folder"


MISTYPED = {
    "a target by itself": ("def test_x(backup):", '"backup", and there is no such fixture: ask for a'),
    "a probe": ("def test_x(backup, agee):", '"agee", and there is no such fixture; did you mean "age"?'),
    "the target": ("def test_x(backkup, age):", '"backkup", and there is no such fixture; did you mean "backup"?'),
    "a fixture": ("def test_x(age, tmp_paht):", '"tmp_paht", and there is no such fixture; did you mean "tmp_path"?'),
    "a fixture of a marked test": ("@pytest.mark.healthcheck\ndef test_x(tmp_paht):", '"tmp_paht", and there is'),
    "nothing near": ("def test_x(qqq):", "and there is no such fixture; probes of this file: age"),
}  # fmt: skip


@reliability(
    "Authors",
    fault="a test asks for a target without a probe, or for a mistyped name",
    promise="it is one error in summary, status.json, page and alerts, of one line that names what is meant",
)
@pytest.mark.parametrize(("head", "reported"), MISTYPED.values(), ids=MISTYPED)
def test_mistyped(suite, head, reported):
    body = "\n".join(f"    {line}" for line in f"{head}\n    pass".splitlines())
    suite.write("test_mine.py", f"    import pytest\n{GOOD}\n{body}\n")
    suite.configure("[backup.weekly]\n")
    outcome = suite.run()
    (name,) = (key for key in outcome.checks if key.startswith("x["))
    assert reported in error(outcome, name)
    assert reported in (suite.page / "index.html").read_text().replace("&#34;", '"')
    assert "pluggy/" not in outcome.output
    assert len(outcome.output.splitlines()) < 40


@reliability(
    "Authors",
    fault="a test asks for a probe that its file does not import",
    promise="it is one error that says what to import",
)
def test_probe_that_is_not_imported(authors):
    authors.write("mine/test_more.py", "def test_more(backup, age):\n    pass\n")
    message = error(authors.run("mine"), "more[]")
    assert message.endswith('"age", and there is no such fixture in its file; import it: from test_backup import age')


@reliability(
    "Authors",
    fault="a plain test in a folder of checks lacks the mark",
    promise="the run gives a hint; what fails there is shown and alerted",
)
def test_forgotten_mark(authors):
    authors.write(
        "mine/test_more.py", "from pathlib import Path\ndef test_more():\n    assert Path('x').exists(), 'no x'\n"
    )
    outcome = authors.run(*DISK, "mine")
    assert (outcome.status, outcome.checks["more[]"]["status"]) == (1, "failed")
    assert outcome.checks["more[]"]["message"] == "no x"
    hint = "not checked under a timeout, for want of @pytest.mark.healthcheck: mine/test_more.py::test_more"
    assert hint in outcome.output
    (authors.folder / "x").touch()
    outcome = authors.run(*DISK, "mine")
    assert (outcome.status, len(outcome.checks), outcome.document["others"]) == (0, 2, [])
    assert hint in outcome.output


REFUSED = {
    "a key called name": (
        GOOD.replace("file: str", "name: str"),
        'TypeError: Backup: no key may be called "name", since every target has a name of its own: give it another',
    ),
    "a key called label": (GOOD.replace("file: str", "label: str"), 'no key may be called "label"'),
    "a key called kind": (GOOD.replace("file: str", "kind: str"), 'no key may be called "kind"'),
    "a probe with a fixture": (
        GOOD.replace("backup: Backup)", "backup: Backup, tmp_path)"),
        "TypeError: probe age(backup, tmp_path) needs exactly one parameter, its target: it runs before any",
    ),
    "a probe of two targets": (
        GOOD.replace("backup: Backup)", "backup: Backup, other: Backup)"),
        "TypeError: probe age(backup, other) needs exactly one parameter, its target: it runs before any",
    ),
    "a probe without a class": (
        GOOD.replace("age(backup: Backup)", "age(backup)"),
        "TypeError: probe age(backup) needs the class of its target, a healthchecks.Target: def age(",
    ),
}


@reliability(
    "Authors",
    fault="a key or a probe is one that cannot work",
    promise="the file is one error that says why; no check passes by it",
)
@pytest.mark.parametrize(("text", "reported"), REFUSED.values(), ids=REFUSED)
def test_refused(authors, text, reported):
    authors.write("mine/test_backup.py", text)
    assert reported in error(authors.run(*DISK, "mine"), "backup[]")
