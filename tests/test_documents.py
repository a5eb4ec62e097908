"""Links lead somewhere, and the files and modules that prose and comments name are there."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
PACKAGE = REPOSITORY / "hyenadna_cli"
FOLDERS = (REPOSITORY, PACKAGE, PACKAGE / "core", PACKAGE / "commands")
"""Where a path may begin: `docs/species.md`, `core/io/bed.py`, `io/bed.py`, `options/model.py`."""

# A path below something else (`../x/y.py`, `$here/y.py`, `{data}/y.tsv`) is not ours to check.
_NAMED = re.compile(
    r"(?<![\w./*$<>{}-])"
    r"(?P<path>(?:[\w.*-]+/)*[\w.*-]*\w"
    r"\.(?:bed|cff|csv|def|fa|json|md|nf|png|py|sh|toml|tsv|txt|vcf|ya?ml))\b"
)
# `commands.tsv` is a table.
_BACKTICKED_MODULE = re.compile(
    r"`(?:hyenadna_cli\.)?(?P<name>(?:core|ops|commands)(?!\.tsv`)(?:\.\w+)+)`"
)
_FULL_MODULE = re.compile(r"\bhyenadna_cli\.(?P<name>\w+(?:\.\w+)*)")
_LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#+ (?P<title>.+)$", re.MULTILINE)

ALLOWED: set[str] = set()
"""Paths that are named but not there, each with its reason."""


def tracked(*patterns: str) -> list[Path]:
    """Files under version control; skips where this is not a checkout."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    command = ["git", "ls-files", "-z", "--", *patterns]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("not a git checkout")
    paths = (REPOSITORY / name for name in done.stdout.split("\0") if name)
    return [path for path in paths if path.exists()]


def texts() -> Iterator[tuple[Path, str]]:
    """What people write: code, pages, scripts, settings; no tables, weights or generated files."""
    made = {".bed", ".csv", ".fa", ".fai", ".json", ".png", ".safetensors", ".tsv", ".vcf"}
    for path in tracked():
        if path.suffix not in made and path != Path(__file__):
            yield path, path.read_text(encoding="utf-8")


def lines_with(pattern: re.Pattern[str], text: str) -> Iterator[tuple[int, re.Match[str]]]:
    """Matches with the number of their line."""
    for number, line in enumerate(text.splitlines(), 1):
        for match in pattern.finditer(line):
            yield number, match


def is_there(name: str, names: set[str]) -> bool:
    """Whether what is named exists: a path that begins in a folder of ours, or a Python file.

    Other paths are those of examples; those that begin with `..` are links, or a caller's.
    """
    first, slash, _ = name.partition("/")
    if first == "..":
        return True
    if not slash:
        return not name.endswith(".py") or "*" in name or name in names
    begins = [folder for folder in FOLDERS if (folder / first).is_dir()]
    return not begins or any(any(folder.glob(name)) for folder in begins)


def has_module(name: str) -> bool:
    """Whether `core.io.bed` is a module of the package, or a name that such a module mentions."""
    parts = name.split(".")
    for n_module in (len(parts), len(parts) - 1):
        path = PACKAGE.joinpath(*parts[:n_module])
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if file.exists():
            attributes = parts[n_module:]
            return all(re.search(rf"\b{part}\b", file.read_text()) for part in attributes)
    return False


def anchors(page: str) -> set[str]:
    """The ids that headings of a page get."""
    titles = (match["title"].lower() for match in _HEADING.finditer(page))
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}


def test_every_relative_link_leads_somewhere():
    broken = []
    for path in tracked("*.md"):
        for number, match in lines_with(_LINK, path.read_text(encoding="utf-8")):
            target, _, anchor = match["target"].partition("#")
            if re.match(r"\w+:", target):
                continue
            found = path.parent / target if target else path
            is_broken = not found.exists()
            if anchor and not is_broken:
                is_broken = anchor not in anchors(found.read_text(encoding="utf-8"))
            if is_broken:
                broken.append(f"{path.relative_to(REPOSITORY)}:{number}: {match['target']}")

    assert not broken, "\n" + "\n".join(broken)


def test_prose_and_code_name_no_files_that_are_missing():
    names = {path.name for path in tracked()}
    # Tests write programs of their own, without a folder.
    tests = {path for path in tracked("tests") if path.suffix == ".py"}
    missing = [
        f"{path.relative_to(REPOSITORY)}:{number}: {match['path']}"
        for path, text in texts()
        for number, match in lines_with(_NAMED, text)
        if match["path"] not in ALLOWED
        and not is_there(match["path"], names)
        and not (path in tests and "/" not in match["path"])
    ]

    assert not missing, "\n" + "\n".join(missing)


def test_prose_and_code_name_no_modules_that_are_missing():
    missing = [
        f"{path.relative_to(REPOSITORY)}:{number}: {match['name']}"
        for path, text in texts()
        for pattern in (_BACKTICKED_MODULE, *([] if path.suffix == ".py" else [_FULL_MODULE]))
        for number, match in lines_with(pattern, text)
        if not has_module(match["name"])
    ]

    assert not missing, "\n" + "\n".join(missing)


@pytest.mark.parametrize("page", ["docs/architecture.md"])
def test_the_picture_of_the_code_has_every_room(page):
    text = (REPOSITORY / page).read_text()

    rooms = [path.parent.name for path in (PACKAGE / "core").glob("*/__init__.py")]
    missing = [room for room in rooms if not re.search(rf"core/{room}\b|\b{room}/", text)]

    assert len(rooms) > 5
    assert not missing


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("core/io/bed.py", True),
        ("io/bed.py", True),
        ("tests/core/io/test_*.py", True),
        ("core/scoring.py", False),
        ("docs/figures/species/none.tsv", False),
        ("run/metrics.tsv", True),
        ("regions.bed", True),
        ("no_such_module.py", False),
    ],
)
def test_a_path_is_looked_for_where_it_may_begin(name, there):
    assert is_there(name, {"bed.py"}) is there


@pytest.mark.parametrize(
    ("name", "there"),
    [("core.io.bed", True), ("ops.long_conv.long_conv_gate", True), ("core.scoring", False)],
)
def test_a_module_is_looked_for_in_the_package(name, there):
    assert has_module(name) is there
