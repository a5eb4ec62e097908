"""Is all filled in that a release needs? Lists what is not; exit 1 if there is anything.

python packaging/check_release.py                before the tag
python packaging/check_release.py --published    before the recipe goes to Bioconda: its SHA-256 too
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
PLACEHOLDER = "FILL_AT_RELEASE"
RECIPE = Path("packaging/conda/meta.yaml")


def problems(root: Path, *, is_published: bool) -> Iterator[str]:
    """What is missing, or says another version than the package."""
    code = (root / "hyenadna_cli/_version.py").read_text(encoding="utf-8")
    version = re.findall(r'__version__ = "(.+)"', code)[0]
    places = {
        RECIPE: rf'^{{% set version = "{re.escape(version)}" %}}$',
        Path("CITATION.cff"): rf"^version: {re.escape(version)}$",
        Path("CHANGELOG.md"): rf"^## \[{re.escape(version)}\]",
    }
    for path, pattern in places.items():
        text = (root / path).read_text(encoding="utf-8")
        if not re.search(pattern, text, re.MULTILINE):
            yield f"{path}: is not about version {version}"
    modules = sorted((root / "workflows/nextflow/modules").rglob("meta.yml"))
    for path in (root / RECIPE, *modules):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            is_about = PLACEHOLDER in line and not line.startswith("#")
            if is_about and (is_published or "sha256" not in line):
                yield f"{path.relative_to(root)}:{number}: {line.strip()}"
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    if "Repository" not in project.get("urls", {}):
        yield "pyproject.toml: [project.urls] has no Repository, the public address of the sources"


def main() -> None:
    """List them."""
    found = list(problems(REPOSITORY, is_published="--published" in sys.argv))
    print(*found, sep="\n")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
