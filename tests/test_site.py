"""The documentation as a site: no link, no anchor and no page is lost, and a page loads nothing from elsewhere."""

import os
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.test_packaging import ROOT, tracked_files

MKDOCS = ROOT / ".cache/site/bin/mkdocs"
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]


def build(directory: Path, site: Path) -> subprocess.CompletedProcess[str]:
    if not MKDOCS.exists():
        pytest.skip("missing: mkdocs")
    command = [MKDOCS, "build", "--strict", "--site-dir", site]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "NO_COLOR": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    directory = tmp_path_factory.mktemp("site")
    done = build(ROOT, directory)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return directory


def test_each_document_is_a_page(site):
    pages = {"index" if path.name == "README.md" else path.stem.lower() for path in DOCUMENTS}
    assert pages | {"404"} == {path.stem for path in site.glob("*.html")}


def test_what_is_broken_stops_the_build(tmp_path):
    """A link to no file, to none outside docs/, to no heading of either, and a page that the navigation lacks."""
    for name in tracked_files():
        if not name.startswith(("tests/", "healthchecks/", "servermonitoring/", "watchdog/")):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    wrong = ["missing.md", "../deploy/missing.conf", "alerts.md#missing-one", "../README.md#missing-two", "missing.png"]
    (tmp_path / "docs/lonely.md").write_text("# Lonely\n\n" + "\n".join(f"[link]({each})" for each in wrong))
    (tmp_path / "docs/alerts.md").write_text("# Alerts\n")
    done = build(tmp_path, tmp_path / "site")
    assert done.returncode == 1
    for message in (
        'not included in the "nav" configuration:\n  - lonely.md',
        "'missing.md', but the target is not found",
        "'../deploy/missing.conf', but the target",
        "'missing.png', but the target",
        "'alerts.md#missing-one', but the doc 'alerts.md' does not contain an anchor '#missing-one'",
        "'index.md#missing-two', but the doc 'index.md' does not contain an anchor '#missing-two'",
    ):
        assert message in done.stderr, done.stderr


class Loaded(HTMLParser):
    """What a page loads by itself, or links to."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.feed(page.read_text())

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag == "a":
            self.links.append(given.get("href") or "")
        elif address := given.get("src") or given.get("href") or given.get("data"):
            self.loads.append(address)


def test_a_page_loads_nothing_from_elsewhere(site):
    pages = sorted(site.rglob("*.html"))
    loads = {page.name: Loaded(page).loads for page in pages}
    assert all(loads.values())
    assert [(page, each) for page, all_of in loads.items() for each in all_of if re.match(r"(\w+:)?//", each)] == []
    styles = "".join(path.read_text() for path in site.rglob("*.css"))
    assert re.findall(r"(?:url\(|@import)\s*['\"]?(?:\w+:)?//[^)]*", styles) == []


def test_a_link_out_of_docs_shows_the_file(site):
    """As in the repository: one page links to a file, one to a directory, and README to the pages of docs/."""
    package = Loaded(site / "debian-package.html").links
    assert "repository/deploy/nginx.conf.html" in package
    assert "limit_req_zone" in (site / "repository/deploy/nginx.conf.html").read_text()
    listed = Loaded(site / "repository/reports/postgresql.html").links
    reports = [path.name for path in (ROOT / "reports/postgresql").iterdir()]
    assert {f"postgresql/{name}.html" for name in reports} <= set(listed)
    overview = Loaded(site / "index.html").links
    assert {"alerts.html", "changelog.html", "operations.html#the-scheduled-command"} <= set(overview)


def test_lists_are_read_alike_in_both_places():
    """GitHub takes a paragraph that is indented by 2 or 3 blanks for a part of a list; mkdocs wants 4."""
    indented = re.compile(r"\n\n {1,3}\S|^ {1,3}(?:[-*]|\d+\.) ", re.MULTILINE)
    fence = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
    texts = {path.name: fence.sub("", path.read_text()) for path in DOCUMENTS}
    assert indented.search("1. One\n\n   more of it")
    assert not indented.search("1. One\n   more\n\n    code")
    assert [name for name, text in texts.items() if indented.search(text)] == []


def test_the_built_site_is_not_part_of_the_repository():
    done = subprocess.run(["git", "check-ignore", "--quiet", "dist/site"], cwd=ROOT, capture_output=True, check=False)
    if done.returncode == 128:
        pytest.skip("missing: a checkout of git")
    assert done.returncode == 0
