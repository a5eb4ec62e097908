"""The inputs of compare_versions.py: a copy of the test data, and `inputs/` derived from it.

Every file is a function of the test data alone, so that both versions read the same bytes.
"""

from __future__ import annotations

import csv
import gzip
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

_N_REGIONS = 1_500
"""Of many.bed: six blocks of a journal, so that three shards and an interrupted run have some."""
_N_VARIANTS = 600
"""Of many.vcf: three blocks."""
_LINE_BASES = 60
_VCF_COLUMNS = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"


def write_inputs(folder: Path, test_data: Path) -> None:
    """Fill an empty folder with `test_data/` and `inputs/`."""
    shutil.copytree(test_data, folder / "test_data")
    inputs = folder / "inputs"
    inputs.mkdir()
    contigs = _read_fasta(test_data / "tiny.fa")
    with (test_data / "labelled.csv").open(newline="") as file:
        labelled = list(csv.DictReader(file))
    _write_sequences(inputs, contigs, labelled)
    _write_regions(inputs)
    _write_variants(inputs, contigs)
    _write_labels(inputs, labelled)
    _write_species(inputs, contigs)
    _write_settings(inputs)
    _write_broken(inputs)


def _read_fasta(path: Path) -> dict[str, str]:
    contigs: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        if line.startswith(">"):
            lines = contigs.setdefault(line[1:].split()[0], [])
        else:
            lines.append(line)
    return {name: "".join(lines) for name, lines in contigs.items()}


def _fasta(records: Iterable[tuple[str, str]]) -> str:
    lines = []
    for name, bases in records:
        lines.append(f">{name}")
        lines += [bases[at : at + _LINE_BASES] for at in range(0, len(bases), _LINE_BASES)]
    return "\n".join([*lines, ""])


def _table(rows: Iterable[Sequence[object]], separator: str = "\t") -> str:
    return "".join(separator.join(map(str, row)) + "\n" for row in rows)


def _write_sequences(inputs: Path, contigs: dict[str, str], labelled: list[dict[str, str]]) -> None:
    chr1 = contigs["chr1"]
    genes = [(f"gene_{i}", chr1[500 + 450 * i : 700 + 480 * i]) for i in range(8)]
    genes += [("all_n", "N" * 40), ("rna", "ACGUUGCA" * 5), ("gene_1", chr1[3_000:3_080])]
    (inputs / "genes.fa").write_text(_fasta(genes))
    (inputs / "genes.fa.gz").write_bytes(gzip.compress(_fasta(genes).encode(), mtime=0))
    reads = "".join(f"@{name}\n{bases}\n+\n{'I' * len(bases)}\n" for name, bases in genes)
    (inputs / "reads.fq").write_text(reads)
    (inputs / "prompts.fa").write_text(_fasta([("tata", "TATAAA"), ("gc", "GCGCGC")]))
    named = ((row["name"], row["sequence"]) for row in labelled)
    (inputs / "labelled.fa").write_text(_fasta(named))


def _write_regions(inputs: Path) -> None:
    few = [("chr1", 1_000, 1_060, "a", 0, "+"), ("chr2", 0, 300, "b", 0, "-")]
    (inputs / "few.bed").write_text(_table(few))
    (inputs / "renamed.bed").write_text(_table([("one", 1_000, 1_060), ("MT", 5, 90), ("2", 7, 9)]))
    (inputs / "names.tsv").write_text(_table([("one", "chr1")]))
    (inputs / "snvs.bed").write_text(_table([("chr1", 4_000, 4_012), ("chr2", 2_490, 2_510)]))
    many = []
    for number in range(_N_REGIONS):
        start = 15_000 + number * 9
        many.append(("chr1", start, start + 40 + number % 30, f"r{number}", 0, "+-"[number % 2]))
    (inputs / "many.bed").write_text(_table(many))


def _write_variants(inputs: Path, contigs: dict[str, str]) -> None:
    header = "##fileformat=VCFv4.2\n" + "".join(
        f"##contig=<ID={name},length={len(bases)}>\n" for name, bases in contigs.items()
    )
    many = []
    for number in range(_N_VARIANTS):
        position = 15_101 + number * 23
        ref = contigs["chr1"][position - 1].upper()
        alt = "ACGT"[("ACGT".index(ref) + 1 + number % 3) % 4]
        many.append(("chr1", position, f"m{number}", ref, alt, ".", ".", "."))
    (inputs / "many.vcf").write_text(f"{header}{_VCF_COLUMNS}\n{_table(many)}")
    # IUPAC letters, an allele that is too long, next to N, beyond the end, and two that are scored.
    chr1, chr2 = contigs["chr1"].upper(), contigs["chr2"].upper()
    others = ",".join(base for base in "ACGT" if base != chr1[7_029])
    odd = [
        ("chr1", 390, "in_n", "N", "A"), ("chr1", 7_001, "long", chr1[7_000:7_008], chr1[7_000]),
        ("chr1", 7_020, "no_alt", chr1[7_019], "."), ("chr1", 7_030, "snv", chr1[7_029], others),
        ("chr1", 15_005, "near_n", chr1[15_004], f"{chr1[15_004]}AC"),
        ("chr2", 2_501, "iupac_ref", "R", "A,G,C"), ("chr2", 2_502, "iupac_alt", chr2[2_501], "Y"),
        ("chr2", 99_999, "beyond", "A", "C"), ("chrM", 2_498, "end", "A", "ACGT"),
    ]  # fmt: skip
    # A tag of an earlier run, which leaves.
    earlier = '##INFO=<ID=HD_LLR,Number=A,Type=Float,Description="">\n'
    rows = [(*record, ".", ".", "HD_LLR=1" if record[2] == "long" else ".") for record in odd]
    (inputs / "odd.vcf").write_text(f"{header}{earlier}{_VCF_COLUMNS}\n{_table(rows)}")
    (inputs / "unsorted.vcf").write_text(f"{header}{_VCF_COLUMNS}\n{_table(many[:1:-200])}")
    (inputs / "headerless.vcf").write_text(_table(many[:3]))


def _write_labels(inputs: Path, labelled: list[dict[str, str]]) -> None:
    def write(name: str, labels: list[str]) -> None:
        rows = [("name", "split", "label", "sequence")]
        for row, label in zip(labelled, labels, strict=True):
            rows.append((row["name"], row["split"], label, row["sequence"]))
        (inputs / name).write_text(_table(rows, ","))

    bases = [row["sequence"] for row in labelled]
    n_strong = [text.count("C") + text.count("G") for text in bases]
    gc = [n / len(text) for n, text in zip(n_strong, bases, strict=True)]
    write("regression.csv", [f"{value:.4f}" for value in gc])
    write("multiclass.csv", ["low" if v < 0.42 else "high" if v > 0.6 else "middle" for v in gc])
    write("token.csv", ["".join("s" if base in "CG" else "w" for base in text) for text in bases])
    table = [(row["name"], row["label"], row["split"]) for row in labelled]
    (inputs / "labels.tsv").write_text(_table([("name", "label", "split"), *table]))


def _write_species(inputs: Path, contigs: dict[str, str]) -> None:
    swapped = str.maketrans("ACGTacgt", "CAGTcagt")
    manifest = [("species", "fasta", "train_contigs", "valid_contigs", "test_contigs")]
    genomes = {"upper": contigs, "swapped": {n: t.translate(swapped) for n, t in contigs.items()}}
    for species, genome in genomes.items():
        text, index = "", []
        for name, bases in genome.items():
            text += f">{name}\n"
            index.append((name, len(bases), len(text), len(bases), len(bases) + 1))
            text += f"{bases}\n"
        (inputs / f"{species}.fa").write_text(text)
        (inputs / f"{species}.fa.fai").write_text(_table(index))
        manifest.append((species, f"{species}.fa", "chr1", "chrM", "chr2"))
    (inputs / "species.tsv").write_text(_table(manifest))


def _write_settings(inputs: Path) -> None:
    finetune = "[finetune]\nepochs = 1\nbatch_size = 16\npooling = 'last'\nlearning_rate = 1e-3\n"
    (inputs / "finetune.toml").write_text(finetune)
    pretrain = "[model]\nd_model = 8\nn_layer = 1\nl_max = 66\n[train]\nmax_steps = 3\n"
    (inputs / "pretrain.toml").write_text(pretrain + "batch_bases = 256\nsave_every = 2\n")
    (inputs / "bad.toml").write_text("[finetune]\nepoch = 1\n")


def _write_broken(inputs: Path) -> None:
    (inputs / "bad.bed").write_text("chr1\t10\t20\nchr1\tten\t20\n")
    (inputs / "unknown.bed").write_text("chr1\t10\t20\nchr9\t10\t20\n")
    (inputs / "beyond.bed").write_text("chrM\t2400\t2600\n")
    (inputs / "empty.fa").write_text("")
    (inputs / "empty.bed").write_text("")
    (inputs / "protein.fa").write_text(">protein\nACGTEFILPQ\n")
    (inputs / "existing.tsv").write_text("somebody's own\n")
    broken = inputs / "broken_model"
    broken.mkdir()
    (broken / "config.json").write_text('{"d_model": 8}\n')
    (broken / "model.safetensors").write_bytes(b"not weights")
