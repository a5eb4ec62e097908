"""A hook of mkdocs: the site has the pages of docs/, and those that lie elsewhere in the checkout.

Links are written for a checkout. On the site, one to a page leads to that page, and one to a
folder or file that is not a page is left as text.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
DOCS = REPOSITORY / "docs"

ELSEWHERE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "hyenadna_cli/models/builtin/README.md": "builtin-weights.md",
}
"""Pages outside docs/, and what they are called on the site."""

_LINK = re.compile(
    r"(?P<is_image>!?)\[(?P<text>[^]]*)\]\((?P<target>[^)#\s]+)(?P<anchor>#[^)\s]*)?\)"
)
_KEPT = {".md", ".png", ".tsv"}
_TITLE = re.compile(r"^# (?P<title>.+)$", re.MULTILINE)


def on_files(files: Any, config: Any) -> Any:
    """Add the pages from elsewhere."""
    from mkdocs.structure.files import File

    for source, name in ELSEWHERE.items():
        text = (REPOSITORY / source).read_text(encoding="utf-8")
        files.append(File.generated(config, name, content=text))
    files.append(File.generated(config, "figures.md", content=figures()))
    return files


def figures() -> str:
    """The page of all pictures, each under the title of the page that shows it."""
    parts = ["# Figures", "The pictures of all pages; each page says how its own were made."]
    for path in sorted(DOCS.glob("*.md")):  # not of tutorials, whose pictures are of made-up data
        text = path.read_text(encoding="utf-8")
        shown = [found for found in _LINK.finditer(text) if found["is_image"]]
        title = _TITLE.search(text)
        if shown and title:
            parts.append(f"## [{title['title']}]({path.name})")
            parts += [found[0] for found in shown]
    return "\n\n".join(parts) + "\n"


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Rewrite the links of a page."""
    name = page.file.src_uri
    sources = {name: source for source, name in ELSEWHERE.items()}
    return rewritten(markdown, REPOSITORY / sources.get(name, f"docs/{name}"), name)


def rewritten(markdown: str, source: Path, name: str) -> str:
    """A page of the checkout, with its links as the page `name` of the site needs them."""

    def link(found: re.Match[str]) -> str:
        target, anchor = found["target"], found["anchor"] or ""
        if re.match(r"\w+:", target):
            return found[0]
        path = (source.parent / target).resolve()
        elsewhere = ELSEWHERE.get(str(path.relative_to(REPOSITORY)))
        is_on_site = elsewhere or (path.is_relative_to(DOCS) and path.suffix in _KEPT)
        if not is_on_site:
            return found["text"]
        there = DOCS / elsewhere if elsewhere else path
        relative = os.path.relpath(there, (DOCS / name).parent)
        return f"{found['is_image']}[{found['text']}]({relative}{anchor})"

    return _LINK.sub(link, markdown)
