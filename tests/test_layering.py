"""The layers of the house: what may import what, read off the code itself."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import hyenadna_cli

PACKAGE = Path(hyenadna_cli.__file__).parent

MAY_IMPORT = {
    "cli": {"_version", "commands", "errors"},
    "__main__": {"cli"},
    "commands": {"commands", "core", "errors"},
    "core": {"_version", "core", "ops", "errors"},
    "ops": {"ops", "errors"},
    "errors": set(),
    "_version": set(),
    "__init__": {"_version", "core", "errors"},
}
SEQUENCE_SIDE = {"dna", "io", "variants.alleles", "variants.source", "tasks.labelled"}
MODEL_SIDE = {"model", "machine.runtime", "training.distributed"}


def own_imports(path: Path) -> set[str]:
    """Dotted names below the package that a file imports, those inside functions included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            module = node.module
            if module == "hyenadna_cli" or module.startswith("hyenadna_cli."):
                base = module.removeprefix("hyenadna_cli").lstrip(".")
                found |= {".".join(filter(None, (base, alias.name))) for alias in node.names}
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
            found |= {n.removeprefix("hyenadna_cli.") for n in names if "hyenadna_cli." in n}
    return found - {"__version__"}


def modules() -> list[tuple[str, Path]]:
    return [(str(path.relative_to(PACKAGE)), path) for path in sorted(PACKAGE.rglob("*.py"))]


@pytest.mark.parametrize(("name", "path"), modules(), ids=[name for name, _ in modules()])
def test_no_module_imports_upward(name, path):
    layer = name.split("/")[0].removesuffix(".py")

    imported = {target.split(".")[0] for target in own_imports(path)}

    assert imported <= MAY_IMPORT[layer]


def is_one_of(module: str, sides: set[str]) -> bool:
    """Whether a module, as named below core, is one of these or inside one."""
    return any(module == side or module.startswith(f"{side}.") for side in sides)


def test_the_sequence_side_and_the_model_side_do_not_know_each_other():
    for name, path in modules():
        layer, _, module = name.removesuffix(".py").replace("/", ".").partition(".")
        if layer != "core":
            continue
        imported = {t.removeprefix("core.") for t in own_imports(path) if t.startswith("core.")}
        if is_one_of(module, SEQUENCE_SIDE):
            assert not any(is_one_of(target, MODEL_SIDE) for target in imported), name
        if is_one_of(module, MODEL_SIDE):
            sides = SEQUENCE_SIDE - {"dna"}
            assert not any(is_one_of(target, sides) for target in imported), name


@pytest.mark.parametrize("yardstick", ["ops.reference", "core.machine.benchmark.plain_hyena"])
def test_only_tests_and_benchmarks_import_what_is_there_to_compare_with(yardstick):
    for name, path in modules():
        if "/benchmark" not in name:
            assert not any(t.startswith(yardstick) for t in own_imports(path)), name


def test_typer_stays_in_the_commands():
    for name, path in modules():
        if name.split("/")[0] in ("core", "ops"):
            assert "typer" not in path.read_text(), name


def loaded_after(code: str, *, module: str) -> bool:
    script = f"{code}\nimport sys\nprint({module!r} in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1] == "True"


@pytest.mark.parametrize(
    "module",
    [
        "io.fasta",
        "io.bed",
        "io.tsv",
        "io.embeddings_h5",
        "io.vcf",
        "io.vcf_writer",
        "io.merging",
        "outputs.sinks",
        "outputs.provenance",
        "model.checkpoints.catalogue",
    ],
)
def test_reading_and_writing_files_never_loads_torch(module):
    assert not loaded_after(f"import hyenadna_cli.core.{module}", module="torch")


@pytest.mark.parametrize("library", ["torch", "numpy", "pysam", "rich"])
def test_the_command_line_starts_without_what_only_commands_need(library):
    assert not loaded_after("import hyenadna_cli.cli", module=library)


def test_the_package_itself_loads_nothing():
    code = "import hyenadna_cli"
    assert not loaded_after(code, module="numpy")


@pytest.mark.parametrize("library", ["pysam", "cyvcf2", "Bio", "h5py"])
def test_the_model_and_its_benchmark_need_no_genomics_library(library):
    code = (
        "import hyenadna_cli.cli, hyenadna_cli.core.model.checkpoints.checkpoint, "
        "hyenadna_cli.core.io.tsv, hyenadna_cli.core.machine.benchmark.measuring, "
        "hyenadna_cli.core.machine.benchmark.worker, hyenadna_cli.core.machine.benchmark.report, "
        "hyenadna_cli.core.outputs.provenance"
    )
    assert not loaded_after(code, module=library)
