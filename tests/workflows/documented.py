"""Commands in README, the pages and the scripts, as a shell reads them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).parents[2]
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_ASSIGNED = re.compile(r"^(?:export )?(\w+)=(\"[^\"]*\"|[^\s;]+)$")


class Command(NamedTuple):
    """A line of a document."""

    page: str
    text: str
    """With variables replaced."""

    def __str__(self) -> str:
        return f"{self.page}: {self.text[:80]}"


def lines_of(block: str) -> list[str]:
    """The commands of a block: continued lines joined, variables replaced, prompts left out."""
    known: dict[str, str] = {}
    found = []
    for line in re.sub(r" *\\\n\s*", " ", block).splitlines():
        text = re.sub(r"\s+#.*$", "", line.strip()).removeprefix("$ ")
        for name, value in known.items():
            text = re.sub(rf"\${name}\b", lambda _, value=value: value, text)
        parts = [part.strip() for part in text.split(";")]
        if text and all(_ASSIGNED.match(part) for part in parts):
            known |= {m[1]: m[2].strip('"') for part in parts if (m := _ASSIGNED.match(part))}
        elif text:
            found.append(text)
    return found


def _in_pages() -> list[Command]:
    """Of all blocks without a language, but for the reference, whose examples have a test."""
    pages = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
    pages += sorted((REPOSITORY / "workflows").rglob("*.md"))
    return [
        Command(str(page.relative_to(REPOSITORY)), line)
        for page in pages
        if page.name != "reference.md"
        for language, block in _FENCED.findall(page.read_text())
        if not language
        for line in lines_of(block)
    ]


def _in_scripts() -> list[Command]:
    """Of the text that a workflow or script begins with."""
    scripts = (REPOSITORY / "workflows").rglob("*")
    found = []
    for path in sorted(path for path in scripts if path.suffix in (".py", ".smk", "")):
        if path.is_dir() or (not path.suffix and path.name != "Snakefile"):
            continue
        text = path.read_text()
        docstring = text.split('"""')[1] if text.lstrip("#!r").startswith('"""') else ""
        indented = re.findall(r"^ {4}(.*)$", docstring, re.MULTILINE)
        found += [
            Command(str(path.relative_to(REPOSITORY)), line)
            for line in lines_of("\n".join(indented))
            if line.startswith(("snakemake ", "python ", "hyenadna "))
        ]
    return found


COMMANDS = [*_in_pages(), *_in_scripts()]
