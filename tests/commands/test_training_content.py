"""Trainings go on from the content that they began with, and from no other."""

from __future__ import annotations

import json

import numpy as np
import pytest

COMMON = ("--device", "cpu", "--threads", "1", "--no-version")
COMMANDS = {
    "pretrain": (
        *("pretrain", "--fasta", "genome.fa", "--valid-contigs", "chr2", "--d-model", "4"),
        *("--n-layer", "1", "--max-length", "32", "--batch-bases", "64", "--max-steps", "3"),
    ),
    "finetune": (
        *("finetune", "--data", "table.csv", "--fasta", "genome.fa", "--rename-chrs", "names.txt"),
        *("--compare", "none", "--epochs", "2", "--batch-size", "16", "-m", "model"),
    ),
    "prompt-tune": (
        *("prompt-tune", "--data", "table.csv", "--fasta", "genome.fa"),
        *("--rename-chrs", "names.txt", "--tokens", "2", "--epochs", "2"),
        *("--batch-size", "16", "-m", "model"),
    ),
    "classify-species": (
        *("classify-species", "train", "--manifest", "species.tsv", "--length", "32"),
        *("--length-schedule", "32:3", "--max-steps", "3", "--batch-bases", "64"),
        *("--valid-windows", "2", "--probe-bases", "0", "-m", "model"),
    ),
}
STOPPED = ("--max-time", "00:00:00")


@pytest.fixture
def files(fasta_file, text_file, tmp_path, tiny_model, monkeypatch):
    """A genome of two contigs, a table of its regions, a manifest; the folder is the current."""
    random = np.random.default_rng(0)
    for name in ("genome", "other"):
        fasta_file(
            {f"chr{n}": "".join(random.choice(list("ACGT"), 1_200)) for n in (1, 2, 3)},
            name=f"{name}.fa",
        )
    rows = [f"one,{n * 30},{n * 30 + 20},{'ab'[n % 2]}" for n in range(36)]
    text_file("\n".join(["chrom,start,end,label", *rows, ""]), name="table.csv")
    text_file("one chr1\n", name="names.txt")
    lines = [f"{name}\t{name}.fa\tchr1\tchr2\tchr3" for name in ("genome", "other")]
    header = "species\tfasta\ttrain_contigs\tvalid_contigs\ttest_contigs"
    text_file("\n".join([header, *lines, ""]), name="species.tsv")
    (tmp_path / "model").symlink_to(tiny_model)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def change_one_base(fasta):
    """Of the first contig; the size and the index stay."""
    content = bytearray(fasta.read_bytes())
    at = content.index(b"\n") + 100
    content[at : at + 1] = b"C" if content[at : at + 1] != b"C" else b"G"
    fasta.write_bytes(content)


def what_it_wrote(directory):
    names = ("model.safetensors", "prompt.safetensors", "training.json")
    return {name: (directory / name).read_bytes() for name in names if (directory / name).exists()}


@pytest.mark.slow
@pytest.mark.parametrize("stop", [STOPPED, ()], ids=["stopped", "finished"])
@pytest.mark.parametrize("command", COMMANDS)
def test_another_base_of_the_genome_is_another_training(files, hyenadna, command, stop):
    def run(output, *more):
        return hyenadna(*COMMANDS[command], *COMMON, "-o", output, *more)

    assert run("run", *stop).code == (143 if stop else 0)
    change_one_base(files / "genome.fa")

    refused = run("run", "--resume")

    assert refused.code == 2
    assert "genome.fa of 3,6" in refused.err
    [line] = [line for line in refused.err.splitlines() if "error" in line]
    assert "--resume needs the settings and data of the first run: input" in line
    assert line.endswith("--force starts over")

    again = run("run", "--resume", "--force")
    assert again.code == 0, again.err
    assert "starting over, as --force asks for" in again.err
    assert run("straight").code == 0
    assert what_it_wrote(files / "run") == what_it_wrote(files / "straight")
    same = run("run", "--resume", "--force")
    assert (same.code, "starting over" in same.err) == (0, False), same.err


@pytest.mark.slow
@pytest.mark.parametrize("stop", [STOPPED, ()], ids=["stopped", "finished"])
@pytest.mark.parametrize("command", COMMANDS)
def test_other_settings_are_another_training(files, hyenadna, command, stop):
    def run(output, *more):
        return hyenadna(*COMMANDS[command], *COMMON, "-o", output, *more)

    assert run("run", *stop).code == (143 if stop else 0)
    before = what_it_wrote(files / "run")

    refused = run("run", "--resume", "--seed", "7")

    assert refused.code == 2
    assert "seed" in refused.err
    [line] = [line for line in refused.err.splitlines() if "error" in line]
    assert "--force starts over" in line
    assert what_it_wrote(files / "run") == before

    again = run("run", "--resume", "--force", "--seed", "7")
    assert again.code == 0, again.err
    assert "starting over, as --force asks for" in again.err
    assert run("straight", "--seed", "7").code == 0
    assert what_it_wrote(files / "run") == what_it_wrote(files / "straight")
    same = run("run", "--resume", "--force", "--seed", "7")
    assert (same.code, "starting over" in same.err) == (0, False), same.err


@pytest.mark.slow
def test_another_shape_is_another_pretraining(files, hyenadna):
    def run(*more):
        return hyenadna(*COMMANDS["pretrain"], *COMMON, "-o", "run", *more)

    assert run(*STOPPED).code == 143

    refused = run("--resume", "--d-model", "8")

    assert (refused.code, "another shape" in refused.err) == (2, True), refused.err
    assert run("--resume", "--force", "--d-model", "8").code == 0
    assert json.loads((files / "run" / "config.json").read_text())["d_model"] == 8


@pytest.mark.slow
def test_another_table_of_names_is_another_training(files, hyenadna):
    def run(*more):
        return hyenadna(*COMMANDS["finetune"], *COMMON, "-o", "run", *more)

    assert run(*STOPPED).code == 143
    (files / "names.txt").write_text("one chr2\n")

    refused = run("--resume")

    assert (refused.code, "input 3 was names.txt of 9 bytes" in refused.err) == (2, True)


@pytest.mark.slow
def test_other_contigs_held_out_are_another_pretraining(files, hyenadna):
    def run(*more):
        return hyenadna(*COMMANDS["pretrain"], *COMMON, "-o", "run", *more)

    assert run(*STOPPED).code == 143

    refused = run("--resume", "--valid-contigs", "chr3")

    assert (refused.code, "regions was" in refused.err) == (2, True), refused.err


@pytest.mark.slow
def test_a_training_without_a_whole_checkpoint_ends_with_4_and_starts_over_by_force(
    files, hyenadna
):
    def run(*more):
        return hyenadna(*COMMANDS["pretrain"], *COMMON, "-o", "run", *more)

    assert run(*STOPPED).code == 143
    [checkpoint] = (files / "run" / "checkpoints").iterdir()
    (checkpoint / "state.json").unlink()

    refused = run("--resume")

    assert refused.code == 4
    assert "step_00000001: state.json is missing" in refused.err
    assert len([line for line in refused.err.splitlines() if "error" in line]) == 1
    assert checkpoint.exists()
    assert run("--resume", "--force").code == 0


@pytest.mark.slow
def test_a_finished_training_of_the_first_version_is_refused(files, hyenadna):
    """It knew sizes of inputs, and not their content."""

    def run(*more):
        return hyenadna(*COMMANDS["pretrain"], *COMMON, "-o", "run", *more)

    assert run().code == 0
    path = files / "run" / "training.json"
    record = json.loads(path.read_text())
    for file in record["made_by"]["inputs"]:
        del file["sha256"]
    path.write_text(json.dumps(record))

    refused = run("--resume")

    assert refused.code == 4
    assert "was written by hyenadna 0.1.0" in refused.err
    assert run("--resume", "--force").code == 0
