r"""AUROC of the scores in a VCF that `hyenadna score-variants` wrote, against labels in its INFO.

    python auroc.py scored.vcf.gz --label CLASS --positive P/LP --negative B/LB \
        --fasta genome.fa --gtf genes.gtf.gz > auroc.tsv

Only alleles that have all scores count. One row a score and region class: all, and with --gtf
coding (in a CDS), splice (outside it, within 8 bp of an exon's end), intron (within a transcript)
and other (untranslated exons, between genes). Intervals are 95 % bootstrap ones over alleles.
Scores of the likelihood are negated, so that more is worse for all. Baselines beside them, none of
which knows the model: `gc` and `cpg` of the 101 bases around (--fasta), and from the position alone
`region` (splice above coding above other above intron) and `edge` (nearness to an exon's end)
(--gtf). An AUROC below 0.5 is printed as it is.
"""

from __future__ import annotations

import argparse
import gzip
import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import cyvcf2
import numpy as np
import pysam

from hyenadna_cli.core.tasks.metrics.bootstrap import resampler
from hyenadna_cli.core.tasks.metrics.ranks import rank_metrics

SIGNS = {"HD_LLR": -1, "HD_SITE": -1, "HD_JSD": 1, "HD_L2": 1, "HD_COS": 1}
RANKS = {"splice": 3, "coding": 2, "other": 1, "intron": 0}
_SPLICE = 8
_AROUND = 50


class Regions:
    """Transcripts, exons and CDS of a GTF, answering what a position (0-based) is in."""

    def __init__(self, path: Path) -> None:
        opened = gzip.open if path.suffix == ".gz" else open
        found: dict[str, dict[str, set[tuple[int, int]]]] = defaultdict(lambda: defaultdict(set))
        with opened(path, "rt") as lines:
            for line in lines:
                columns = line.split("\t")
                if len(columns) > 4 and columns[2] in ("CDS", "exon", "transcript"):
                    interval = (int(columns[3]) - 1, int(columns[4]))
                    found[_plain(columns[0])][columns[2]].add(interval)
        self._merged = {
            name: {kind: _merged(intervals) for kind, intervals in kinds.items()}
            for name, kinds in found.items()
        }
        self._ends = {
            name: sorted({end for exon in kinds["exon"] for end in exon})
            for name, kinds in found.items()
        }

    def of(self, chrom: str, start: int) -> str:
        """The region class of a position."""
        if self._is_in(chrom, start, "CDS"):
            return "coding"
        if self.to_edge(chrom, start) <= _SPLICE:
            return "splice"
        is_intron = self._is_in(chrom, start, "transcript") and not self._is_in(
            chrom, start, "exon"
        )
        return "intron" if is_intron else "other"

    def to_edge(self, chrom: str, start: int) -> int:
        """Bases to the nearest end of an exon; a million where there is none."""
        ends = self._ends.get(_plain(chrom), [])
        index = bisect_right(ends, start)
        return min((abs(end - start) for end in ends[max(0, index - 1) : index + 1]), default=10**6)

    def _is_in(self, chrom: str, start: int, kind: str) -> bool:
        intervals = self._merged.get(_plain(chrom), {}).get(kind, [])
        index = bisect_right(intervals, (start, 1 << 60)) - 1
        return index >= 0 and start < intervals[index][1]


def _plain(chrom: str) -> str:
    return chrom.removeprefix("chr")


def _merged(intervals: set[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(intervals):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def alleles(arguments: argparse.Namespace) -> Iterator[tuple[bool, str, dict[str, float]]]:
    """Label, region class and scores of every labelled allele."""
    labels = {arguments.positive: True, arguments.negative: False}
    regions = Regions(arguments.gtf) if arguments.gtf else None
    fasta = pysam.FastaFile(str(arguments.fasta)) if arguments.fasta else None
    for record in cyvcf2.VCF(str(arguments.vcf)):
        label = labels.get(str(record.INFO.get(arguments.label)))
        if label is None:
            continue
        region = regions.of(record.CHROM, record.start) if regions else "other"
        for number, alt in enumerate(record.ALT):
            if arguments.snvs and not len(alt) == len(record.REF) == 1:
                continue
            scores = {}
            for tag, sign in SIGNS.items():
                values = record.INFO.get(tag)
                value = values[number] if isinstance(values, tuple) else values
                if value is not None and np.isfinite(value):
                    scores[tag] = sign * value
            if regions:
                scores["region"] = RANKS[region]
                scores["edge"] = -regions.to_edge(record.CHROM, record.start)
            if fasta:
                around = fasta.fetch(
                    record.CHROM, max(0, record.start - _AROUND), record.start + _AROUND + 1
                ).upper()
                scores["gc"] = len(re.findall("[GC]", around))
                scores["cpg"] = around.count("CG")
            yield label, region, scores


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("vcf", type=Path)
    parser.add_argument("--label", default="CLASS", help="INFO key of the labels")
    parser.add_argument("--positive", required=True)
    parser.add_argument("--negative", required=True)
    parser.add_argument("--fasta", type=Path)
    parser.add_argument("--gtf", type=Path)
    parser.add_argument("--snvs", action="store_true", help="leave other alleles out")
    parser.add_argument("--replicates", type=int, default=1_000)
    arguments = parser.parse_args()
    header = cyvcf2.VCF(str(arguments.vcf)).raw_header
    setting = dict(re.findall(r'(window|layout)="(\w+)"', header))
    found = list(alleles(arguments))

    names = sorted({name for _, _, scores in found for name in scores})
    used = [row for row in found if len(row[2]) == len(names)]
    print(
        "window",
        "layout",
        "region",
        "score",
        "n_positive",
        "n_negative",
        "auroc",
        "low",
        "high",
        sep="\t",
    )
    for region in ("all", *sorted({row[1] for row in used})):
        rows = [row for row in used if region in ("all", row[1])]
        labels = np.array([label for label, _, _ in rows])
        if not 0 < labels.sum() < len(labels):
            continue
        scores_NT = np.array([[scores[name] for name in names] for _, _, scores in rows])
        is_positive_NT = np.repeat(labels[:, None], len(names), axis=1)
        drawn = resampler(len(rows), n_replicates=arguments.replicates, seed=0)
        auroc = rank_metrics(is_positive_NT, scores_NT, drawn)["auroc"]
        for number, name in enumerate(names):
            value = auroc.of(number)
            print(
                setting.get("window"),
                setting.get("layout"),
                region,
                name,
                labels.sum(),
                (~labels).sum(),
                f"{value.value:.4f}",
                f"{value.low:.4f}",
                f"{value.high:.4f}",
                sep="\t",
            )


if __name__ == "__main__":
    main()
