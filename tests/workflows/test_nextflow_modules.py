"""The shell scripts of the Nextflow modules, run for real: their options exist, outputs appear.

Nextflow itself is not needed: what its modules put into a script is put in here.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

MODULES = Path(__file__).parents[2] / "workflows/nextflow/modules/local/hyenadna"
NAMES = sorted(path.name for path in MODULES.iterdir())
STEPS = "--batch-bases 256 --threads 1 --save-every 2"


def interpolated(text, values):
    """Groovy's "${name}", with the few expressions that modules use in it."""
    return re.sub(
        r"\$\{([\w.]+)\}", lambda found: str(values[found[1]]), text.replace("\\\\\n", "\\\n")
    )


def rendered(module, section, values):
    """The shell script of a section, as Nextflow would write it."""
    text = (MODULES / module / "main.nf").read_text()
    body = re.split(rf"^    {section}:$", text, flags=re.MULTILINE)[1]
    definitions, script = body.split('"""')[:2]
    values = dict(values)
    for name, expression in re.findall(r"^    (?:def )?(\w+) = (.+)$", definitions, re.MULTILINE):
        choice = re.fullmatch(r"""(\w+) \? ["'](.*)["'] : ["'](.*)["']""", expression)
        if choice:
            values[name] = interpolated(choice[2] if values[choice[1]] else choice[3], values)
        else:
            assert name in values, f"{module}: this test gives no {name}"
    return interpolated(script, values)


def declared(module, prefix, values):
    """The files of the output section that are not optional."""
    text = (MODULES / module / "main.nf").read_text()
    found = re.findall(r'path\("([^"]+)"\)(.*)', text.split("output:")[1].split("when:")[0])
    return [
        interpolated(name, values | {"prefix": prefix})
        for name, rest in found
        if "optional: true" not in rest
    ]


@pytest.fixture
def data(inputs, tmp_path, text_file, fasta_file):
    """What goes into the modules, by the names of their inputs."""
    bases = "".join(inputs.fasta.read_text().splitlines()[1:])
    splits = ("train", "train", "valid", "test")
    labels = "sequence\tlabel\tsplit\n" + "".join(
        f"{bases[i * 40 : i * 40 + 40]}\t{'ab'[i % 2]}\t{splits[i % 4]}\n" for i in range(80)
    )
    species = "species\tfasta\ttrain_contigs\tvalid_contigs\ttest_contigs\n"
    for name, start in (("one", 0), ("two", 20_000)):
        contigs = {
            c: bases[start + 2_000 * i : start + 2_000 * (i + 1)] for i, c in enumerate("abc")
        }
        fasta_file(contigs, name=f"{name}.fa")
        species += f"{name}\t{name}.fa\ta\tb\tc\n"
    genome = fasta_file({"train": bases[:9_000], "valid": bases[9_000:12_000]}, name="two.fasta")
    bed = "".join(inputs.bed.read_text().splitlines(keepends=True)[:20])
    vcf = "".join(inputs.vcf.read_text().splitlines(keepends=True)[:20])
    return {
        "fasta": inputs.fasta,
        "genome.fa": genome,
        "model": inputs.model,
        "bed": text_file(bed, name="few.bed"),
        "vcf": text_file(vcf, name="few.vcf"),
        "labels": text_file(labels, name="labels.tsv"),
        "manifest": text_file(species, name="species.tsv"),
        "prompts": fasta_file({"p": "ACGT"}, name="prompts.fa"),
    }


def run(script, folder):
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture
def classifier(data, path_with_hyenadna, tmp_path):
    """What the fine-tuning modules leave, for the modules that predict."""

    def train(module):
        command = {
            "finetune": f"finetune --data {data['labels']} --epochs 1 --compare none",
            "classifyspeciestrain": f"classify-species train --manifest {data['manifest']} "
            f"--length 64 --max-steps 2 --probe-bases 2k {STEPS}",
        }[module]
        folder = tmp_path / "classifier"
        run(f"hyenadna {command} -m {data['model']} --device cpu -o {folder}", tmp_path)
        return folder

    return train


@pytest.mark.workflow
@pytest.mark.parametrize("module", NAMES)
def test_the_script_of_a_module_runs_and_leaves_what_the_module_declares(
    module, data, classifier, path_with_hyenadna, tmp_path
):
    args = {
        "scorevariants": "--window 64",
        "mutagenize": "--window 64",
        "generate": "--sequences 2",
        "finetune": "--epochs 1 --compare none",
        "prompttune": "--epochs 1",
        "pretrain": f"--max-steps 2 --valid-contigs valid {STEPS}",
        "classifyspeciestrain": f"--max-steps 2 --probe-bases 2k {STEPS}",
        "validate": "",
    }.get(module, "")
    values = {
        **data,
        "args": args,
        "prefix": "sample",
        "device": "cpu",
        "task.cpus": 1,
        "is_bed": False,
        "length": 64 if module == "classifyspeciestrain" else 20,
        "input": data["vcf"],
        "command": f"embed --bed {data['bed']} -o sample.h5ad",
    }
    if module in ("finetune", "prompttune"):
        values["fasta"] = ""
    if module == "pretrain":
        values |= {"fasta": data["genome.fa"], "bed": ""}
    if module == "predict":
        values["model"] = classifier("finetune")
    if module == "classifyspeciespredict":
        values["model"] = classifier("classifyspeciestrain")
    if module == "merge":
        shards = [tmp_path / f"{i}.h5ad" for i in (1, 2)]
        for i, shard in enumerate(shards, start=1):
            run(
                f"hyenadna embed --fasta {data['fasta']} --bed {data['bed']} -m {data['model']} "
                f"--shard {i}/2 -o {shard}",
                tmp_path,
            )
        values |= {"shards": " ".join(map(str, shards)), "suffix": "h5ad", "index": ""}
    folder = tmp_path / "task"
    folder.mkdir()

    run(rendered(module, "script", values), folder)

    for name in declared(module, "sample", values):
        assert (folder / name).exists(), name


@pytest.mark.parametrize("module", NAMES)
def test_the_stub_of_a_module_leaves_what_the_module_declares(module, tmp_path):
    values = {"prefix": "sample", "suffix": "vcf.gz"}

    run(rendered(module, "stub", values), tmp_path)

    for name in declared(module, "sample", values):
        assert (tmp_path / name).exists(), name


@pytest.mark.parametrize("module", NAMES)
def test_a_parser_of_nextflow_reads_a_module(module):
    reftrace = pytest.importorskip("reftrace", reason="pip install reftrace")

    parsed = reftrace.Module.from_file(str(MODULES / module / "main.nf"))

    (process,) = parsed.processes
    assert parsed.dsl_version == 2
    assert process.name == f"HYENADNA_{module.upper()}"
    assert len(process.condas) == len(process.containers) == len(process.labels) == 1
    assert process.unknowns == []
