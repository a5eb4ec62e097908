"""The Nextflow workflow: schema current, modules in form, syntax by whatever parser there is."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "workflows" / "nextflow"
MODULES = sorted(path.parent for path in (FOLDER / "modules").rglob("main.nf"))


def test_the_parameter_schema_is_that_of_the_program():
    spec = importlib.util.spec_from_file_location("make_schema", FOLDER / "make_schema.py")
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)

    found = (FOLDER / "nextflow_schema.json").read_text()

    assert found == made.text(), "run python workflows/nextflow/make_schema.py"
    options = json.loads(found)["$defs"]["score_variants"]["properties"]
    assert options["score_variants_layout"]["enum"] == ["centred", "grid"]
    assert "score_variants_shard" not in options


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_a_module_has_the_form_that_nf_core_asks_for(module):
    text = (module / "main.nf").read_text()

    parts = {"main.nf", "meta.yml", "environment.yml", "tests"}
    assert {path.name for path in module.iterdir()} == parts
    described = (module / "meta.yml").read_text()
    assert re.search(r"^authors:\n  - .+\nmaintainers:\n  - ", described, re.MULTILINE)
    assert f"process HYENADNA_{module.name.upper()} {{" in text
    assert re.search(r"label 'process_(single|low|medium|high)'", text)
    assert "topic: versions, emit: versions_hyenadna" in text
    assert "task.ext.when == null || task.ext.when" in text
    assert "task.ext.args ?: ''" in text
    assert 'task.ext.prefix ?: "${meta.id}"' in text
    assert "accelerator =" not in text
    # The stub makes every output that is not optional.
    stub = text.split("stub:")[1]
    for pattern, rest in re.findall(r'path\("(\$\{prefix\}[^"]+)"\)(.*)', text):
        assert "optional: true" in rest or pattern in stub


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_the_nf_test_of_a_module_fits_it(module):
    text = (module / "main.nf").read_text()
    inputs = text.split("    input:\n")[1].split("\n\n")[0].splitlines()
    outputs = text.split("    output:\n")[1].split("\n\n")[0].splitlines()
    emitted = [
        name
        for line in outputs
        if "optional: true" not in line
        for name in re.findall(r"emit: (\w+)", line)
    ]

    tested = (module / "tests" / "main.nf.test").read_text()

    assert f'process "HYENADNA_{module.name.upper()}"' in tested
    given = re.findall(r"^ +input\[(\d)\] = (.+)$", tested, re.MULTILINE)
    assert [int(number) for number, _ in given] == list(range(len(inputs)))
    for line, (_, value) in zip(inputs, given, strict=True):
        n_values = len(re.findall(r"path\(", line))
        assert len(re.findall(r'file\("|\[\]', value)) == n_values, line
    assert re.findall(r"process\.out\.(\w+)\.size", tested) == emitted
    for name in re.findall(r"\.\./\.\./(test_data/[^\"]+)", tested):
        assert (FOLDER / "../.." / name).is_file()


@pytest.mark.workflow
@pytest.mark.skipif(shutil.which("groovy") is None, reason="groovy is not installed")
def test_the_syntax_is_groovy():
    files = [str(path) for path in [*FOLDER.rglob("*.nf"), FOLDER / "nextflow.config"]]
    java = Path(shutil.which("java") or "/").resolve().parents[1]

    done = subprocess.run(
        ["groovy", str(FOLDER / "syntax.groovy"), *files],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "JAVA_HOME": str(java)},
    )

    assert done.returncode == 0, done.stderr
    assert f"{len(files)} files, 0 with errors" in done.stdout


@pytest.mark.workflow
@pytest.mark.slow
@pytest.mark.skipif(shutil.which("nextflow") is None, reason="nextflow is not installed")
def test_a_stub_run_of_the_workflow_ends_well(fasta_file, vcf_file, bed_file, tmp_path):
    options = {
        "--fasta": fasta_file({"chr1": "ACGT" * 100}),
        "--shards": 2,
        "--vcf": vcf_file("chr1 9 . A C"),
        "--bed": bed_file("chr1 5 50"),
    }
    words = [str(word) for pair in options.items() for word in pair]

    done = subprocess.run(
        ["nextflow", "run", str(FOLDER), "-stub", *words],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout
