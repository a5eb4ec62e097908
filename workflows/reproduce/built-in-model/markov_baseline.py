"""Interpolated Markov models on the regions of a pretraining run: a baseline for the model.

    python markov_baseline.py hg38.fa run/regions.bed published_regions.fa

Counts both strands of the training regions. Order k backs off to order k - 1:

    p_k(b | c) = (n(c, b) + alpha * p_(k-1)(b | c')) / (n(c) + alpha)

Prints, for each order and the best of a few alphas on the validation regions, nats per base on the
validation and test regions together and on the sequences of the last argument (their plus strand).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pysam

ORDERS = (8, 10, 12)
ALPHAS = (2.0, 5.0, 10.0, 20.0, 40.0)
_CODES = np.full(256, 4, np.uint8)
for _letters, _code in (("Aa", 0), ("Cc", 1), ("Gg", 2), ("Tt", 3)):
    for _letter in _letters:
        _CODES[ord(_letter)] = _code


def encode(sequence: str) -> np.ndarray:
    """0-3 for A, C, G, T; 4 for anything else."""
    return _CODES[np.frombuffer(sequence.encode(), np.uint8)]


def words(codes: np.ndarray, length: int) -> np.ndarray:
    """The number of every word of `length` bases that holds only A, C, G, T."""
    windows = np.lib.stride_tricks.sliding_window_view(codes, length)
    numbers = np.zeros(len(windows), np.int64)
    for column in range(length):
        numbers = numbers * 4 + (windows[:, column] & 3)
    return numbers[(windows < 4).all(axis=1)]


def both_strands(codes: np.ndarray) -> list[np.ndarray]:
    """A sequence and its reverse complement."""
    return [codes, np.where(codes < 4, 3 - codes, 4)[::-1]]


def count(sequences: list[np.ndarray], order: int) -> list[np.ndarray]:
    """Counts (4 ** k, 4) of each base after each context, over both strands, for k = 0 ... order.

    Shorter contexts are sums over longer ones: only the first bases of a sequence go uncounted.
    """
    longest = np.zeros(4 ** (order + 1), np.int64)
    for codes in sequences:
        for strand in both_strands(codes):
            if strand.size > order:
                numbers, n = np.unique(words(strand, order + 1), return_counts=True)
                longest[numbers] += n
    counts = [longest.reshape(-1, 4)]
    while counts[0].shape[0] > 1:
        counts.insert(0, counts[0].reshape(4, -1, 4).sum(axis=0))
    return counts


def nats_per_base(
    sequences: list[np.ndarray], counts: list[np.ndarray], order: int, alpha: float
) -> float:
    """Mean of -ln p over all bases with a full context."""
    loss, n_bases = 0.0, 0
    for codes in sequences:
        if codes.size <= order:
            continue
        numbers = words(codes, order + 1)
        p = np.full(numbers.size, 0.25)
        for k in range(order + 1):
            word = numbers % 4 ** (k + 1)
            context, base = word // 4, word % 4
            of_context = counts[k][context]
            n = of_context[np.arange(word.size), base]
            p = (n + alpha * p) / (of_context.sum(axis=1) + alpha)
        loss -= float(np.log(p).sum())
        n_bases += numbers.size
    return loss / n_bases


def main(genome: str, regions: str, published: str) -> None:
    """Count, choose alpha on the validation regions, print the table."""
    splits: dict[str, list[np.ndarray]] = {"train": [], "valid": [], "test": []}
    with pysam.FastaFile(genome) as fasta, Path(regions).open() as lines:
        for line in lines:
            contig, start, end, split = line.split("\t")[:4]
            splits[split].append(encode(fasta.fetch(contig, int(start), int(end))))
    with pysam.FastxFile(published) as records:
        published_regions = [encode(record.sequence) for record in records]
    counts = count(splits["train"], max(ORDERS))
    print("order\talpha\theld_out\tpublished_regions")
    for order in ORDERS:
        alpha = min(ALPHAS, key=lambda a: nats_per_base(splits["valid"], counts, order, a))
        held_out = nats_per_base(splits["valid"] + splits["test"], counts, order, alpha)
        eight = nats_per_base(published_regions, counts, order, alpha)
        print(f"{order}\t{alpha:g}\t{held_out:.4f}\t{eight:.4f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
