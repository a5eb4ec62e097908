"""Where a model predicts well: nats per base by annotation and by how often a word was in training.

    python region_classes.py hg38.fa run/regions.bed genes.gtf.gz MODEL... > region_classes.tsv

Held-out regions (valid and test) are read in windows of 32,768 bases, plus strand; the first of
a window is not scored. Each base belongs to one class of each kind:

    annotation   coding (CDS), other exon, intron (of any transcript), intergenic
    recurrence   how often the 16 bases that end in it occur in the training regions, both strands;
                 words that recur are repeats that the model can have learned
"""

from __future__ import annotations

import gzip
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pysam
import torch

import hyenadna_cli
from hyenadna_cli.core.dna import tokenizer
from hyenadna_cli.core.model.likelihood import observed_log_probs

WINDOW = 32_768
WORD = 16
ANNOTATION = ("intergenic", "intron", "other exon", "coding")
RANK = {"transcript": 1, "exon": 2, "CDS": 3}
RECURRENCE = {"0": 0, "1": 1, "2-9": 2, "10-99": 10, "100 or more": 100}


def annotation(gtf: str) -> dict[str, list[tuple[int, int, int]]]:
    """Intervals (0-based half-open) of each contig with their rank in ANNOTATION, rising."""
    found = defaultdict(list)
    with gzip.open(gtf, "rt") as lines:
        for line in lines:
            contig, _, kind, first, last = line.split("\t")[:5]
            if kind in RANK:
                found[contig].append((RANK[kind], int(first) - 1, int(last)))
    return {
        contig: [(start, end, rank) for rank, start, end in sorted(intervals)]
        for contig, intervals in found.items()
    }


def words(sequence: str) -> np.ndarray:
    """The number of the word that ends at each base from the WORD-th on; -1 with any N."""
    codes = np.searchsorted(
        np.frombuffer(b"ACGT", np.uint8), np.frombuffer(sequence.encode(), "u1")
    )
    is_base = np.isin(np.frombuffer(sequence.encode(), "u1"), np.frombuffer(b"ACGT", "u1"))
    numbers = np.zeros(max(0, len(sequence) - WORD + 1), np.int64)
    for offset in range(WORD):
        numbers = numbers * 4 + codes[offset : offset + len(numbers)] % 4
    whole = np.convolve(~is_base, np.ones(WORD, int), "valid") == 0 if len(numbers) else numbers > 0
    return np.where(whole, numbers, -1)


def reverse_complements(numbers: np.ndarray) -> np.ndarray:
    """The numbers of the reverse complements of these words."""
    turned = np.zeros_like(numbers)
    for _ in range(WORD):
        turned = turned * 4 + 3 - numbers % 4
        numbers = numbers // 4
    return turned


def trained_words(fasta: pysam.FastaFile, spans: list[tuple[str, int, int]]) -> np.ndarray:
    """Every word of the training regions and its reverse complement, sorted."""
    found = [words(fasta.fetch(*span).upper()) for span in spans if span[0] in fasta.references]
    plus = np.concatenate(found)
    plus = plus[plus >= 0]
    both = np.concatenate([plus, reverse_complements(plus)])
    both.sort()
    return both


def windows(spans: list[tuple[str, int, int]]) -> Iterator[tuple[str, int, int]]:
    """The spans, cut."""
    for contig, start, end in spans:
        for first in range(start, end, WINDOW):
            yield contig, first, min(first + WINDOW, end)


def classes(
    sequence: str,
    contig: str,
    start: int,
    genes: dict[str, list[tuple[int, int, int]]],
    known: np.ndarray,
) -> dict[str, np.ndarray]:
    """For every base of a window, its class of each kind; -1 where it has none."""
    rank = np.zeros(len(sequence), np.int64)
    for first, last, value in genes.get(contig, []):
        rank[max(0, first - start) : max(0, last - start)] = value
    numbers = words(sequence)
    n_seen = np.searchsorted(known, numbers, "right") - np.searchsorted(known, numbers, "left")
    recurrence = np.searchsorted(list(RECURRENCE.values()), n_seen, "right") - 1
    padded = np.full(len(sequence), -1)
    padded[len(sequence) - len(numbers) :] = np.where(numbers >= 0, recurrence, -1)
    return {"annotation": rank, "recurrence": padded}


def main(genome: str, regions: str, gtf: str, *names: str) -> None:
    """Score, classify, print one row per class with a column per model."""
    spans = defaultdict(list)
    for line in Path(regions).read_text().splitlines():
        contig, start, end, split = line.split("\t")[:4]
        spans[split].append((contig, int(start), int(end)))
    genes = annotation(gtf)
    models = {name: hyenadna_cli.load_model(name) for name in names}
    nats: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    with pysam.FastaFile(genome) as fasta, torch.inference_mode():
        known = trained_words(fasta, spans["train"])
        for contig, start, end in windows(spans["valid"] + spans["test"]):
            sequence = fasta.fetch(contig, start, end).upper()
            ids = torch.tensor(tokenizer.encode(sequence), dtype=torch.long)[None]
            of_base = classes(sequence, contig, start, genes, known)
            is_scored = np.isin(ids[0, 1:].numpy(), tokenizer.BASES)
            losses = {
                name: -observed_log_probs(model.logits(model.hidden_states(ids)[0]), ids)[0].numpy()
                for name, model in models.items()
            }
            for kind, labels in (("annotation", ANNOTATION), ("recurrence", tuple(RECURRENCE))):
                for number, label in enumerate(labels):
                    chosen = is_scored & (of_base[kind][1:] == number)
                    nats[kind, label]["bases"] += int(chosen.sum())
                    for name, loss in losses.items():
                        nats[kind, label][name] += float(loss[chosen].sum())
    print("kind", "class", "bases", *names, sep="\t")
    for (kind, label), sums in nats.items():
        means = (f"{sums[name] / max(1, sums['bases']):.4f}" for name in names)
        print(kind, label, int(sums["bases"]), *means, sep="\t")


if __name__ == "__main__":
    main(*sys.argv[1:])
