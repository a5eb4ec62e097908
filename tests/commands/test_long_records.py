"""Records that are kept on disk give the bytes of those in memory."""

from __future__ import annotations

import random

import pytest

from hyenadna_cli.core.io.long_sequences import StoredSequence

COMMANDS = {
    "perplexity": ("perplexity", "--window", 100, "--stride", 60, "--strand", "both"),
    "vectors": (
        *("embed", "--pool", "mean,max,first,last,center", "--window", 100, "--stride", 70),
        *("--strand", "both", "--exclude-n", "--exclude-softmasked"),
    ),
    "tokens": ("embed", "--pool", "token", "--bin", 7, "--window", 100, "--strand", "both"),
    "dry run": ("perplexity", "--dry-run"),
}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("has_bed", [False, True])
def test_a_record_on_disk_gives_the_bytes_of_one_in_memory(
    hyenadna, tiny_model, fasta_file, bed_file, tmp_path, monkeypatch, name, has_bed
):
    draw = random.Random(1)
    records = {
        name: "".join(draw.choices("ACGTacgtNRu", k=length))
        for name, length in (("a", 40), ("b", 901), ("c", 133), ("d", 0), ("e", 700))
    }
    fasta = fasta_file(records)
    inputs = ["--fasta", fasta]
    if has_bed:
        inputs += ["--bed", bed_file("b 10 890 x 0 -", "c 0 133 y 0 +", "b 1 900 z 0 +")]

    def run(number):
        output = tmp_path / f"{number}.h5" if name == "tokens" else tmp_path / f"{number}.tsv"
        finished = hyenadna(
            *COMMANDS[name], *inputs, "-m", tiny_model, "-o", output, "--no-version"
        )
        assert finished.code == 0, finished.err
        told = finished.out.split("estimated_seconds")[0]
        return output.read_bytes() if output.exists() else told

    in_memory = run(1)
    monkeypatch.setattr("hyenadna_cli.core.io.long_sequences._BLOCK", 50)
    for module in ("long_sequences", "records"):
        monkeypatch.setattr(f"hyenadna_cli.core.io.{module}.PIECE", 120)
    on_disk = []
    append = StoredSequence.append

    def noted(sequence, letters):
        on_disk.append(letters)
        append(sequence, letters)

    monkeypatch.setattr(StoredSequence, "append", noted)

    assert run(2) == in_memory
    assert on_disk
