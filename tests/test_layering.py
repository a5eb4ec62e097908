"""The layers of the house: what may import what, read off the code itself."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import hyenadna_cli

PACKAGE = Path(hyenadna_cli.__file__).parent

STANDS_ON = {
    "errors": "",
    "_version": "",
    "core.config": "errors",
    "core.dna": "core.config",
    "core.outputs": "core.dna _version",
    "core.io": "core.outputs",
    "ops": "errors",
    "core.model": "core.outputs ops",
    "core.machine": "core.model",
    "core.inference": "core.io core.machine",
    "core.variants": "core.inference",
    "core.interpretation": "core.variants",
    "core.training": "core.inference",
    "core.tasks": "core.training core.variants",
    "core.library": "core.interpretation core.tasks",
    "commands": "core.library",
    "cli": "commands",
    "__main__": "cli",
    "": "core.library",
}
"""Folders, and files that stand outside one; each may import what it stands on, down to the
ground."""

YARDSTICKS = ("ops.reference", "core.machine.benchmark.plain_hyena")
"""What is there to compare with."""

SEQUENCE_SIDE = ("core.tasks.labelled", "core.variants.alleles", "core.variants.source")
"""Readers of labels and variants, which know no model."""


def module_name(path: Path) -> str:
    """The dotted name below the package; a package's is its folder's."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__")


FILES = {module_name(path).rstrip("."): path for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {module: ast.parse(path.read_text()) for module, path in FILES.items()}


def imported(nodes: Iterator[ast.AST]) -> set[str]:
    """Full names of what these statements import: modules, or names in a module."""
    names = set()
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import of {node.module}"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names


def own(names: set[str]) -> set[str]:
    """Which of our modules these are, or are in."""
    modules = set()
    for name in names:
        parts = name.split(".")
        if parts[0] == PACKAGE.name:
            inner = ".".join(parts[1:])
            modules.add(inner if inner in FILES else ".".join(parts[1:-1]))
    return modules


IMPORTS = {module: imported(ast.walk(tree)) for module, tree in TREES.items()}
"""Of each module, those inside functions and for the type checker included."""

AT_START = {module: imported(iter(tree.body)) for module, tree in TREES.items()}
"""Of each module, those that happen when it is imported."""


def is_in(module: str, folder: str) -> bool:
    return module == folder or module.startswith(f"{folder}.")


def folder_of(module: str) -> str:
    return ".".join(module.split(".")[: 2 if module.startswith("core.") else 1])


def below(folder: str) -> set[str]:
    """All that a folder stands on."""
    direct = STANDS_ON[folder].split()
    return set(direct).union(*(below(other) for other in direct))


def loaded_with(folder: str) -> dict[str, set[str]]:
    """Of each module that importing a folder's modules loads, the libraries that it imports."""
    todo = [module for module in FILES if is_in(module, folder)]
    loaded: dict[str, set[str]] = {}
    while todo:
        module = todo.pop()
        if module not in loaded:
            libraries = {name.split(".")[0] for name in AT_START[module]} - {PACKAGE.name}
            loaded[module] = libraries - sys.stdlib_module_names
            todo += own(AT_START[module])
    return loaded


def test_each_folder_imports_only_those_below_it():
    upward = [
        f"{module} imports {target}"
        for module in FILES
        if folder_of(module) != "core"
        for target in sorted(own(IMPORTS[module]))
        if folder_of(target) != folder_of(module)
        and folder_of(target) not in below(folder_of(module))
    ]
    assert upward == []


def test_no_files_import_each_other_in_a_circle():
    graph = {module: own(names) - {module} for module, names in IMPORTS.items()}
    graphlib.TopologicalSorter(graph).prepare()


def test_readers_of_labels_and_variants_know_no_model():
    offenders = [
        f"{module} imports {target}"
        for module in FILES
        if any(is_in(module, folder) for folder in SEQUENCE_SIDE)
        for target in own(IMPORTS[module])
        if folder_of(target) in ("core.model", "core.machine", "ops")
    ]
    assert offenders == []


def test_only_tests_and_benchmarks_import_what_is_there_to_compare_with():
    offenders = [
        f"{module} imports {target}"
        for module in FILES
        if not is_in(module, "core.machine.benchmark")
        for target in own(IMPORTS[module]) & set(YARDSTICKS)
    ]
    assert offenders == []


def test_typer_stays_in_the_commands_and_torch_out_of_what_reads_and_writes():
    without = {"core": "typer", "ops": "typer", "core.dna": "torch", "core.io": "torch"}
    offenders = [
        f"{module} imports {name}"
        for folder, library in without.items()
        for module in FILES
        if is_in(module, folder)
        for name in IMPORTS[module]
        if name.split(".")[0] == library
    ]
    assert offenders == []


def test_commands_load_only_typer_before_they_run():
    assert {m: libs for m, libs in loaded_with("commands").items() if libs - {"typer"}} == {}


def test_what_reads_and_writes_loads_no_torch_nor_the_package_anything():
    files = [m for f in ("core.io", "core.dna", "core.outputs") for m in FILES if is_in(m, f)]
    torch_free = [*files, "core.config", "ops.kernels", "core.model.checkpoints.catalogue"]
    steps = (
        ([""], ("numpy", "typer", "torch", "pysam", "rich")),
        (["cli"], ("numpy", "torch", "pysam", "rich")),
        (torch_free, ("torch",)),
    )
    assert loaded_too_much(steps) == []


def test_the_model_and_its_benchmark_need_no_genomics_library():
    benchmark = [f"core.machine.benchmark.{name}" for name in ("measuring", "worker", "report")]
    modules = ["core.model.checkpoints.checkpoint", "core.io.tsv", *benchmark]
    assert loaded_too_much(((modules, ("pysam", "cyvcf2", "Bio", "h5py")),)) == []


def loaded_too_much(steps: tuple[tuple[list[str], tuple[str, ...]], ...]) -> list[str]:
    """Import modules step by step in a fresh process; libraries that are there by mistake."""
    script = "import importlib, sys\n"
    for modules, libraries in steps:
        for module in modules:
            script += f"importlib.import_module('{PACKAGE.name}.{module}'.rstrip('.'))\n"
        script += f"[print(n, 'after', {modules[-1]!r}) for n in {libraries} if n in sys.modules]\n"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
