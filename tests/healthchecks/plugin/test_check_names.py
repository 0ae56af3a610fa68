"""What checks of an author are called: each by a name of its own, the same one in every run."""

import pytest

from tests.reliability import reliability

MARKED = "@pytest.mark.healthcheck\n"
BACKUPS = """
    from healthchecks import Target, probe

    class Backup(Target):
        pass

    @probe
    def age(backup: Backup) -> int:
        return 3

    @probe
    def size(backup: Backup) -> int:
        return 5

    def test_backup_age(backup, age):
        assert age < 2, f"{age} days old"

    def test_backup_size(backup, size):
        assert size > 9, f"{size} GB"
"""


@reliability(
    "Authors",
    fault="two files have a check of the same name",
    promise="both run; the second has its file in its name, and the run says so",
)
def test_same_name_in_two_files(suite):
    text = f"import pytest\n{MARKED}def test_same():\n    assert 'one' in __file__\n"
    suite.write("test_one.py", text)
    suite.write("test_two.py", text)
    outcome = suite.run("test_one.py", "test_two.py")
    assert {name: each["status"] for name, each in outcome.checks.items()} == {
        "same[]": "ok",
        "test_two.same[]": "failed",
    }
    assert "test_two.py::test_same has the name of another check, so it is test_two.same here" in outcome.output


@reliability(
    "Authors",
    fault="two classes of a file have a check of the same name",
    promise="both run; the second has its class in its name, also when it runs alone",
)
def test_same_name_in_two_classes(suite):
    suite.write(
        "test_mine.py",
        """
        import pytest

        @pytest.mark.healthcheck
        class TestShop:
            def test_same(self):
                pass

        @pytest.mark.healthcheck
        class TestStore:
            def test_same(self):
                pass

            def test_other(self):
                pass
        """,
    )
    assert set(suite.run().checks) == {"same[]", "TestStore.same[]", "other[]"}
    for selection in (["-k", "TestStore and same"], ["test_mine.py::TestStore::test_same"]):
        alone = suite.run(*(selection if "::" in selection[0] else ["test_mine.py", *selection]))
        assert set(alone.checks) == {"TestStore.same[]"}


@reliability(
    "Authors",
    fault="a parameter holds a space or an umlaut",
    promise="the check is known by it as it was written",
)
def test_parameters_are_kept_as_they_are(suite):
    suite.write(
        "test_mine.py",
        f"import pytest\n{MARKED}@pytest.mark.parametrize('city', ['New York', 'München', 'a\\\\nb'])\n"
        "def test_city(city):\n    pass\n",
    )
    assert set(suite.run().checks) == {"city[New York]", "city[München]", "city[a\\nb]"}


@reliability(
    "Authors",
    fault="parameters or the name of a target have hundreds of characters, as long URLs do",
    promise="each check has a name of its own that begins with them, and the run counts as whole",
)
def test_long_names(suite):
    suite.write(
        "test_mine.py",
        f"{BACKUPS}\n    import pytest\n\n    @pytest.mark.healthcheck\n"
        "    @pytest.mark.parametrize('url', ['x' * 10_000 + each for each in 'ab'], ids=str)\n"
        "    def test_url(url):\n        assert url[-1] == 'a'\n",
    )
    suite.configure(f"[backup.{'long-' * 120}a]\n[backup.{'long-' * 120}b]\n")
    outcome = suite.run()
    assert outcome.status == 1, outcome.output
    assert not outcome.document["interrupted"], outcome.output
    assert len(outcome.checks) == 6
    statuses = {name[-10:]: each["status"] for name, each in outcome.checks.items() if name.startswith("url[xxx")}
    assert sorted(statuses.values()) == ["failed", "ok"]


@reliability(
    "Authors",
    fault="several checks are about one target",
    promise="each label in terminal, page and alerts says which check it is",
)
def test_labels_distinguish_checks_of_one_target(suite):
    suite.write("test_mine.py", BACKUPS)
    suite.configure("[backup.weekly]\n[backup.daily]\n")
    outcome = suite.run()
    for name in ("backup_age", "backup_size"):
        assert f"FAILED  {name}[weekly, daily]" in outcome.output
        assert f"{name}[weekly]" in (suite.page / "index.html").read_text()
    assert "FAILED  backup_age[weekly]" in suite.run("test_mine.py", "-k", "age and weekly").output


def test_one_check_of_a_kind_has_a_short_label(suite):
    """As long as only one check is about a kind, its targets are enough."""
    suite.write("test_mine.py", BACKUPS.replace("def test_backup_size", "def check_backup_size"))
    suite.configure("[backup.weekly]\n")
    assert "FAILED  backup[weekly]  3 days old" in suite.run().output


@pytest.mark.parametrize("group", ["", "group = 'shop'\n"])
def test_checks_of_one_kind_stand_together(suite, group):
    """Their heading on the page is the kind, or the group; not each check's own name."""
    suite.write("test_mine.py", BACKUPS.replace("age < 2", "age < 9").replace("size > 9", "size > 2"))
    suite.configure(f"[backup.weekly]\n{group}")
    assert suite.run().status == 0
    page = (suite.page / "index.html").read_text()
    assert page.count('<h2 id="group-') == 1
    assert f'<h2 id="group-1"><bdi>{"shop" if group else "backup"}</bdi>' in page
