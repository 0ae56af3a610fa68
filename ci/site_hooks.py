"""Hooks of mkdocs that let the links of the documentation work in the repository and on the site.

The documents at the top of the repository are pages of the site. Any other file or directory that a page links to has
a page that shows it. Links are rewritten to these pages.
"""

import os.path
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page
from pygments.lexers import find_lexer_class_for_filename

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
_LINK = re.compile(r"(?<=\]\()([^)#\s:]+)(?=[)#])")
_origins: dict[str, Path] = {}  # of each page: its name on the site, and the path that its links are relative to


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not in docs/."""
    waiting = [*DOCS.rglob("*.md"), *ROOT.glob("*.md")]
    while waiting:
        path = waiting.pop()
        uri = uri_of(path)
        if uri in _origins:
            continue
        _origins[uri] = path
        text = text_of(path)
        if not path.is_relative_to(DOCS):
            level = InclusionLevel.INCLUDED if path.parent == ROOT else InclusionLevel.NOT_IN_NAV
            files.append(File.generated(config, uri, content=text, inclusion=level))
        waiting.extend(target for target in targets(path, text) if is_on_site(target) and not is_picture(target))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Rewrite the links: from paths in the repository to pages of the site."""
    uri = page.file.src_uri
    origin = _origins[uri]

    def rewritten(match: re.Match[str]) -> str:
        target = target_of(origin, match[0])
        return os.path.relpath(uri_of(target), Path(uri).parent) if is_on_site(target) else match[0]

    return _LINK.sub(rewritten, markdown)


def targets(path: Path, text: str) -> Iterator[Path]:
    """Yield the paths that the text at this path links to."""
    return (target_of(path, link) for link in _LINK.findall(text))


def target_of(origin: Path, link: str) -> Path:
    return Path(os.path.normpath(origin.parent / link))


def is_on_site(path: Path) -> bool:
    """Return whether it is there, and in the repository: mkdocs reports the others."""
    return path.is_relative_to(ROOT) and path.exists()


def is_picture(path: Path) -> bool:
    """Return whether mkdocs copies the file from docs/ as it is."""
    return path.is_relative_to(DOCS) and path.suffix != ".md"


def uri_of(path: Path) -> str:
    """Return the name of the page on the site."""
    if path.is_relative_to(DOCS):
        return path.relative_to(DOCS).as_posix()
    if path.parent == ROOT and path.suffix == ".md":
        return "index.md" if path.stem == "README" else path.name.lower()
    name = f"repository/{path.relative_to(ROOT).as_posix()}"
    return name if path.suffix == ".md" else f"{name}.md"


def text_of(path: Path) -> str:
    """Return the page's Markdown: a document as it is, a list of what is in a directory, or the text of a file."""
    if path.suffix == ".md":
        return path.read_text()
    name = path.relative_to(ROOT)
    if path.is_dir():
        files = [each for each in sorted(path.iterdir()) if each.is_file()]
        return "\n".join([f"# {name}", "", *(f"- [{each.name}]({path.name}/{each.name})" for each in files)])
    text = path.read_text()
    lexer = find_lexer_class_for_filename(path.name, text)
    return f"# {name}\n\n~~~~ {lexer.aliases[0] if lexer else 'text'}\n{text}\n~~~~\n"
