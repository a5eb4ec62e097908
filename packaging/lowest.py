"""The lowest versions that pyproject.toml declares, as constraints of pip.

    python packaging/lowest.py [EXTRA...] > lowest.txt

Each `name>=version` becomes `name==version`; a requirement without a lower bound is an error,
because nobody could say what was tested. EXTRA adds the requirements of extras.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

PYPROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"
_REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)>=(?P<version>[\w.]+)(?P<marker>\s*;.+)?")


def lowest(requirements: Iterable[str]) -> Iterator[str]:
    """One exact pin per requirement; markers stay."""
    for requirement in requirements:
        parts = _REQUIREMENT.fullmatch(requirement)
        if parts is None:
            raise SystemExit(f"lowest.py: {requirement!r} is not of the form name>=version")
        yield f"{parts['name']}=={parts['version']}{parts['marker'] or ''}"


def pins(project: dict[str, Any], extras: Iterable[str]) -> list[str]:
    """Of the package and of these extras, each once."""
    found = list(project["dependencies"])
    for extra in extras:
        found += project["optional-dependencies"][extra]
    return list(dict.fromkeys(lowest(found)))


if __name__ == "__main__":
    print(*pins(tomllib.loads(PYPROJECT.read_text())["project"], sys.argv[1:]), sep="\n")
