"""Interpolated Markov models on the targets of `perplexity --contexts`, as tables like its own.

    python markov.py hg38.fa --train train.bed --bed held_out.bed --contexts 64,1k -o markov
    python markov.py mouse.fa dog.fa --train-fasta hg38.fa --train train.bed --contexts 1k -o markov

It counts both strands of the training regions (`markov_baseline.py`) and reads the plus strand of
the very targets that the command draws from --bed, or from the whole of each genome. A table lies
in the folder -o under the genome's name. Its value does not depend on the context, which is longer
than its order; it stands in every row so that `hyenadna plot perplexity` draws a line. With
--order 0 it knows the composition of the training regions (their GC), and nothing else.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "reproduce" / "built-in-model"))
from markov_baseline import count, encode, words

from hyenadna_cli.core.config.texts import parse_bases
from hyenadna_cli.core.dna.coordinates import Interval
from hyenadna_cli.core.interpretation import contexts
from hyenadna_cli.core.interpretation.contexts import ContextSettings
from hyenadna_cli.core.interpretation.settings import parse_contexts
from hyenadna_cli.core.interpretation.tracks import regions_of
from hyenadna_cli.core.io.fasta import Genome
from hyenadna_cli.core.io.region_files import RegionFile
from hyenadna_cli.core.io.tsv import TsvWriter


def log_probs(text: str, counts: list[np.ndarray], order: int, alpha: float) -> np.ndarray:
    """Ln p of the bases of a text after the first `order`, without those near an N."""
    word_of_all = words(encode(text), order + 1)
    p = np.full(word_of_all.size, 0.25)
    for k in range(order + 1):
        word = word_of_all % 4 ** (k + 1)
        context, base = word // 4, word % 4
        of_context = counts[k][context]
        n = of_context[np.arange(word.size), base]
        p = (n + alpha * p) / (of_context.sum(axis=1) + alpha)
    return np.log(p)


def row_of(
    fasta: str, bed: str | None, settings: ContextSettings, counts: list[np.ndarray], alpha: float
) -> tuple[int, float, float, float]:
    """Targets of a genome, nats per base of them, and the ends of its interval."""
    order = len(counts) - 1
    with Genome(fasta) as genome:
        regions = regions_of(genome, RegionFile(fasta=fasta, bed=bed))
        sites = contexts.draw_sites(genome, regions, settings, is_whole=bed is None)
        sums = np.zeros((len(sites), 2))
        for row, site in zip(sums, sites, strict=True):
            place = site.interval
            text = genome.fetch(Interval(place.contig, place.start - order, place.end))
            found = log_probs(text, counts, order, alpha)
            row[:] = -found.sum(), found.size
    units = [site.unit for site in sites]
    low, high = contexts.interval(sums[:, 0], sums[:, 1], units, seed=settings.seed)
    total, n_bases = sums.sum(axis=0)
    return int(n_bases), total / n_bases, low, high


def main() -> None:
    """Count, read the targets of each genome, write its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("fasta", nargs="+")
    parser.add_argument("--train-fasta", help="default: the genome itself")
    parser.add_argument("--train", help="BED; default: all of the training genome")
    parser.add_argument("--bed")
    parser.add_argument("--contexts", type=parse_contexts, required=True)
    parser.add_argument("--targets", type=parse_bases, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--order", type=int, default=12)
    parser.add_argument("--alpha", type=float, default=40.0)
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    settings = ContextSettings(
        contexts=given.contexts, n_targets=given.targets, strands=("+",), seed=given.seed
    )
    source = given.train_fasta or given.fasta[0]
    with Genome(source) as genome:
        training = regions_of(genome, RegionFile(fasta=source, bed=given.train))
        counts = count([encode(genome.fetch(region)) for region in training], given.order)
    given.output.mkdir(parents=True, exist_ok=True)
    for fasta in given.fasta:
        n_bases, nats, low, high = row_of(fasta, given.bed, settings, counts, given.alpha)
        output = given.output / f"{Path(fasta).name.partition('.')[0]}.tsv"
        with TsvWriter(str(output), columns=contexts.COLUMNS, overwrite=True) as table:
            for context in given.contexts:
                table.write_row((context, n_bases, given.order, nats, low, high, math.exp(nats)))


if __name__ == "__main__":
    main()
