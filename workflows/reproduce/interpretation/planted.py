"""Planted truth: a model is trained on made sequences, and asked what depends on what in them.

    python workflows/reproduce/interpretation/planted.py DIR [--steps N] [--records N] [--seed N]

Every record has 96 bases, drawn at random but for

- a hairpin: bases 11-18 are random, 23-30 their reverse complement;
- in half of the records a pair of motifs, TGACGTCA at 37 and CCACGTGG 40 bases further on.

`hyenadna pretrain` learns from them from random weights; then 12 records with motifs that it has
never seen are read: maps by `mutagenize --dependencies`, attributions by `--gradients` and by
`--full`. Prints TSV, `measure value`:

    auroc_hairpin, auroc_motifs   of the dependencies of coupled pairs (a base and its partner; any
                                  base of one motif and any of the other) against those of all
                                  other pairs, median of the records; pairs inside a motif are
                                  neither
    top_is_motif_*                of the 16 strongest attributions of a record (of 96), those that
                                  lie in the motifs, as a fraction; 0.17 is chance
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pysam
from sklearn.metrics import roc_auc_score

from hyenadna_cli import cli
from hyenadna_cli.core.interpretation.dependency_file import read_map

LENGTH = 96
STEM, LOOP_END, STEM_LENGTH = 10, 22, 8
MOTIFS = {36: "TGACGTCA", 76: "CCACGTGG"}
PAIRS = {"A": "T", "C": "G", "G": "C", "T": "A"}
N_ASKED = 12
IN_MOTIF = [first + n for first, motif in MOTIFS.items() for n in range(len(motif))]


def record(drawn: np.random.Generator, *, has_motifs: bool) -> str:
    """One made sequence."""
    bases = drawn.choice(list("ACGT"), LENGTH)
    stem = bases[STEM : STEM + STEM_LENGTH]
    bases[LOOP_END : LOOP_END + STEM_LENGTH] = [PAIRS[base] for base in stem[::-1]]
    if has_motifs:
        for first, motif in MOTIFS.items():
            bases[first : first + len(motif)] = list(motif)
    return "".join(bases)


def make(directory: Path, *, n_records: int, seed: int) -> None:
    """The genome, its split, and the records that are asked about."""
    drawn = np.random.default_rng(seed)
    n_valid = max(8, n_records // 20)
    with (directory / "made.fa").open("w") as fasta, (directory / "split.bed").open("w") as bed:
        for number in range(n_records):
            fasta.write(f">r{number}\n{record(drawn, has_motifs=bool(number % 2))}\n")
            split = "valid" if number < n_valid else "train"
            bed.write(f"r{number}\t0\t{LENGTH}\t{split}\n")
    with (directory / "asked.fa").open("w") as fasta:
        for number in range(N_ASKED):
            fasta.write(f">asked{number}\n{record(drawn, has_motifs=True)}\n")
    for name in ("made.fa", "asked.fa"):
        pysam.faidx(str(directory / name))


def hyenadna(*arguments: object) -> None:
    """Run a command here, which spares starting Python for each of them."""
    try:
        cli.main([str(argument) for argument in arguments])
    except SystemExit as end:
        if end.code:
            raise


def train(directory: Path, *, n_steps: int, seed: int) -> None:
    """A small model from random weights."""
    # Of 96 taps each can be its own: 24 frequencies of position, where published models have 2.
    (directory / "model.toml").write_text("[model]\nemb_dim = 49\n")
    hyenadna(
        *("pretrain", "--fasta", directory / "made.fa", "--bed", directory / "split.bed"),
        *("--config", directory / "model.toml", "--max-length", LENGTH),
        *("--d-model", 64, "--n-layer", 2, "--d-inner", 128),
        *("--batch-bases", 64 * LENGTH, "--max-steps", n_steps, "--lr", 0.002, "--seed", seed),
        *("--valid-every", max(1, n_steps // 4), "-o", directory / "model", "--resume", "-q"),
    )


def coupled(*, of: str) -> tuple[np.ndarray, np.ndarray]:
    """Which pairs are coupled, and which count: (LENGTH, LENGTH) each."""
    is_coupled = np.zeros((LENGTH, LENGTH), dtype=bool)
    counts = ~np.eye(LENGTH, dtype=bool)
    if of == "hairpin":
        for n in range(STEM_LENGTH):
            is_coupled[STEM + n, LOOP_END + STEM_LENGTH - 1 - n] = True
    else:
        one, other = ([first + n for n in range(8)] for first in MOTIFS)
        is_coupled[np.ix_(one, other)] = True
        for inside in (one, other):
            counts[np.ix_(inside, inside)] = False
    return is_coupled | is_coupled.T, counts


def ask(directory: Path) -> dict[str, float]:
    """What maps and attributions say of the planted pairs."""
    common = ("--fasta", directory / "asked.fa", "-m", directory / "model", "--force", "-q")
    found: dict[str, list[float]] = {"auroc_hairpin": [], "auroc_motifs": []}
    for number in range(N_ASKED):
        output = directory / f"asked{number}.h5"
        region = ("--region", f"asked{number}", "--dependencies", output)
        hyenadna("mutagenize", *common, *region)
        values = read_map(output).values
        for of in ("hairpin", "motifs"):
            is_coupled, counts = coupled(of=of)
            others = coupled(of="motifs" if of == "hairpin" else "hairpin")
            counts = counts & others[1] & ~others[0] & np.isfinite(values)
            found[f"auroc_{of}"].append(roc_auc_score(is_coupled[counts], values[counts]))
    measured = {name: float(np.median(values)) for name, values in found.items()}
    regions = directory / "asked.bed"
    regions.write_text("".join(f"asked{n}\t0\t{LENGTH}\n" for n in range(N_ASKED)))
    for name, option in (("gradient", "--gradients"), ("llr", "--full")):
        output = directory / f"{name}.npz"
        hyenadna("mutagenize", *common, "--bed", regions, option, "--attributions", output)
        with np.load(output) as arrays:
            own = (arrays["one_hot"] * arrays["attributions"]).sum(axis=1)
        top = np.argsort(-own, axis=1)[:, : len(IN_MOTIF)]
        measured[f"top_is_motif_{name}"] = float(np.isin(top, IN_MOTIF).mean())
    return measured


def main() -> None:
    """Make, train, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument("--steps", type=int, default=3_000)
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    asked.directory.mkdir(parents=True, exist_ok=True)
    make(asked.directory, n_records=asked.records, seed=asked.seed)
    train(asked.directory, n_steps=asked.steps, seed=asked.seed)
    print("measure\tvalue")
    for name, value in ask(asked.directory).items():
        print(f"{name}\t{value:.3f}")


if __name__ == "__main__":
    main()
