"""The newest file of a pattern, in directories of any size."""

import glob
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from healthchecks import ProbeTimeout, Unhealthy
from healthchecks.clients import file_search
from healthchecks.clients.file_search import find_newest

NAMES = ("a", "b.dump", "ab", "[a]", "a-b", "*", ".a")  # the newest one last


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    root = tmp_path_factory.mktemp("tree")
    for number, outer in enumerate(NAMES):
        for more, inner in enumerate(NAMES):
            path = root / outer / inner
            path.parent.mkdir(exist_ok=True)
            path.touch()
            os.utime(path, (0, number * len(NAMES) + more))
    return root


PARTS = st.text(st.sampled_from("ab.*?[]!-"), min_size=1, max_size=5).filter(lambda part: "**" not in part)


@given(outer=PARTS, inner=PARTS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_as_glob(tree, outer, inner):
    """Python's own glob finds the same, all at once."""
    pattern = f"{tree}/{outer}/{inner}"
    matching = map(Path, glob.glob(pattern))  # noqa: PTH207 - to Path.glob * is a dot, too
    files = [path for path in matching if path.is_file()]
    if not files:
        with pytest.raises(Unhealthy, match="no file matches"):
            find_newest(pattern)
    else:
        assert find_newest(pattern).modified == max(path.stat().st_mtime for path in files)


def test_large_directory(tmp_path, monkeypatch):
    """It is left when the timeout expires, whether its files match or not."""
    for number in range(file_search._STRIDE + 1):
        (tmp_path / f"{number}.dump").touch()
    monkeypatch.setattr(file_search, "remaining", lambda: 0.001)
    for pattern in ("*.dump", "*.sql", "?*/x"):
        with pytest.raises(ProbeTimeout):
            find_newest(f"{tmp_path}/{pattern}")


def test_directory_that_others_may_not_read(tmp_path, monkeypatch):
    """It hides nothing that can be read; where nothing is found it is named."""
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "shop").mkdir()
    scandir = os.scandir

    def refusing(path):
        if path.endswith("lost+found"):  # root, who may run the tests, may read everything
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(Unhealthy, match=r"no file matches .*; .*/lost\+found: Permission denied$"):
        find_newest(f"{tmp_path}/*/*.dump")
    (tmp_path / "shop" / "1.dump").touch()
    assert find_newest(f"{tmp_path}/*/*.dump").path == f"{tmp_path}/shop/1.dump"
