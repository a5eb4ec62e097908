r"""AUROC of the scores in a VCF that `hyenadna score-variants` wrote, against labels in its INFO.

    python auroc.py scored.vcf.gz --label CLASS --positive P/LP --negative B/LB \
        --fasta genome.fa --gtf genes.gtf.gz > auroc.tsv

Only alleles that have all scores count. One row a score and region class: overall, and with --gtf
for coding (in a CDS), splice (outside it, within 8 bp of an exon's end) and other. Scores of the
likelihood are negated, so that more is worse for all. Baselines beside them: `gc` and `cpg` of the
101 bases around (with --fasta), `region` (splice above coding above other, with --gtf). An AUROC
below 0.5 is printed as it is. Needs scikit-learn.
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
from sklearn.metrics import roc_auc_score

SIGNS = {"HD_LLR": -1, "HD_SITE": -1, "HD_JSD": 1, "HD_L2": 1, "HD_COS": 1}
RANKS = {"splice": 2, "coding": 1, "other": 0}
_SPLICE = 8
_AROUND = 50


class Regions:
    """Exons and CDS of a GTF, answering what a position (0-based) is in."""

    def __init__(self, path: Path) -> None:
        opened = gzip.open if path.suffix == ".gz" else open
        found: dict[str, dict[str, set[tuple[int, int]]]] = defaultdict(lambda: defaultdict(set))
        with opened(path, "rt") as lines:
            for line in lines:
                columns = line.split("\t")
                if len(columns) > 4 and columns[2] in ("CDS", "exon"):
                    interval = (int(columns[3]) - 1, int(columns[4]))
                    found[_plain(columns[0])][columns[2]].add(interval)
        self._coding = {name: _merged(kinds["CDS"]) for name, kinds in found.items()}
        self._ends = {
            name: sorted({end for exon in kinds["exon"] for end in exon})
            for name, kinds in found.items()
        }

    def of(self, chrom: str, start: int) -> str:
        """The region class of a position."""
        name = _plain(chrom)
        coding = self._coding.get(name, [])
        index = bisect_right(coding, (start, 1 << 60)) - 1
        if index >= 0 and start < coding[index][1]:
            return "coding"
        ends = self._ends.get(name, [])
        index = bisect_right(ends, start)
        near = [abs(end - start) for end in ends[max(0, index - 1) : index + 1]]
        return "splice" if near and min(near) <= _SPLICE else "other"


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
    found = list(alleles(parser.parse_args()))

    names = sorted({name for _, _, scores in found for name in scores})
    used = [row for row in found if len(row[2]) == len(names)]
    print("region", "score", "n_positive", "n_negative", "auroc", sep="\t")
    for region in ("all", *sorted({row[1] for row in used})):
        rows = [row for row in used if region in ("all", row[1])]
        labels = np.array([label for label, _, _ in rows])
        for name in names:
            values = np.array([scores[name] for _, _, scores in rows])
            is_possible = 0 < labels.sum() < len(labels)
            auroc = roc_auc_score(labels, values) if is_possible else np.nan
            print(region, name, labels.sum(), (~labels).sum(), f"{auroc:.4f}", sep="\t")


if __name__ == "__main__":
    main()
