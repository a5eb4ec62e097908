"""How close sampled DNA is to human DNA, by k-mer spectrum, beside Markov models and real DNA.

    hyenadna generate --length 1000 --sequences 100 --seed 1 -o sampled.fa
    python spectrum.py hg38.fa sampled.fa > spectrum.tsv

The Markov models of orders 5 and 8 are counted on both strands of the built-in model's training
chromosomes, and sampled as often and as long as the sequences of the FASTA. Human DNA is chr17,
chr20, chr21, chr22 and chrX, which neither has seen: `human` windows are as many and as long as
the samples, and stay out of the reference. Writes TSV, a row a source and k: the Jensen-Shannon
divergence (bits) of its k-mer spectrum to that of the reference, and the standard deviation of GC
over sequences. The divergence of the human windows is what sampling alone leaves.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pysam

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "built-in-model"))
from markov_baseline import count, encode, words

HELD_OUT = ("chr17", "chr20", "chr21", "chr22", "chrX")
ORDERS = (5, 8)
LENGTHS = (2, 4, 6, 7, 8, 9, 10)


def real_stretches(genome: pysam.FastaFile, *, held_out: bool) -> list[np.ndarray]:
    """The stretches without N, of 10,000 bases at least, of some of the contigs."""
    stretches = []
    for contig in genome.references:
        if (contig in HELD_OUT) != held_out:
            continue
        codes = encode(genome.fetch(contig))
        edges = np.flatnonzero(np.diff((codes < 4).astype(np.int8), prepend=0, append=0))
        pairs = edges.reshape(-1, 2)
        stretches += [codes[start:end] for start, end in pairs if end - start >= 10_000]
    return stretches


def split_windows(
    stretches: list[np.ndarray], n_windows: int, length: int, random: np.random.Generator
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """`n_windows` windows drawn from all stretches, and what is left of the stretches."""
    tiles = [s[i : i + length] for s in stretches for i in range(0, len(s) - length + 1, length)]
    chosen = set(random.choice(len(tiles), n_windows, replace=False).tolist())
    return [tiles[i] for i in sorted(chosen)], [t for i, t in enumerate(tiles) if i not in chosen]


def markov_sample(
    counts: list[np.ndarray], n_sequences: int, length: int, random: np.random.Generator
) -> list[np.ndarray]:
    """Sequences of an unsmoothed Markov model; the first bases are drawn as a whole word."""
    order = len(counts) - 1
    cumulative = np.cumsum((counts[-1] + 1e-9) / (counts[-1] + 1e-9).sum(1, keepdims=True), axis=1)
    word_p = counts[-1].sum(axis=1) / counts[-1].sum()
    state = random.choice(4**order, n_sequences, p=word_p)
    codes = np.empty((n_sequences, length), np.uint8)
    for place in range(order):
        codes[:, place] = state // 4 ** (order - 1 - place) % 4
    for place in range(order, length):
        base = (cumulative[state] < random.random((n_sequences, 1))).sum(axis=1).clip(max=3)
        codes[:, place] = base
        state = (state * 4 + base) % 4**order
    return list(codes)


def spectrum(sequences: list[np.ndarray], k: int) -> np.ndarray:
    """Relative frequencies of all 4**k words."""
    counts = np.bincount(np.concatenate([words(codes, k) for codes in sequences]), minlength=4**k)
    return counts / counts.sum()


def divergence(p: np.ndarray, q: np.ndarray) -> float:
    """Jensen-Shannon divergence in bits."""
    middle = (p + q) / 2

    def to_middle(x: np.ndarray) -> float:
        present = x > 0
        return float((x[present] * np.log2(x[present] / middle[present])).sum())

    return (to_middle(p) + to_middle(q)) / 2


def gc_deviation(sequences: list[np.ndarray]) -> float:
    """Standard deviation over sequences of their share of G and C."""
    return float(np.std([np.isin(codes, (1, 2)).mean() for codes in sequences]))


def main(genome_path: str, sampled_path: str) -> None:
    """Sample, count, compare, print."""
    random = np.random.default_rng(0)
    with pysam.FastxFile(sampled_path) as records:
        sampled = [encode(record.sequence) for record in records]
    n_sequences, length = len(sampled), len(sampled[0])
    with pysam.FastaFile(genome_path) as genome:
        training = real_stretches(genome, held_out=False)
        windows, reference = split_windows(
            real_stretches(genome, held_out=True), n_sequences, length, random
        )
    sources = {"human": windows, "model": sampled}
    for order in ORDERS:
        sources[f"markov_{order}"] = markov_sample(
            count(training, order), n_sequences, length, random
        )
    print("source\tk\tdivergence_bits\tgc_deviation")
    for k in LENGTHS:
        of_reference = spectrum(reference, k)
        for name, sequences in sources.items():
            bits = divergence(spectrum(sequences, k), of_reference)
            print(f"{name}\t{k}\t{bits:.5f}\t{gc_deviation(sequences):.4f}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
