"""Features of yeast with their kind, as regions for `embed --bed`: labels of a map of biotypes.

    python yeast_features.py sacCer3.segments.bed.gz > features.bed

The segments are exons (`ex:NAME`), introns (`in:`) and what lies between genes (`ig:`). The kind of
a gene follows from its name as the Saccharomyces Genome Database gives it: tX(...) are tRNA, SNR
snoRNA (those of the spliceosome apart), RDN rRNA, and YAL001C or PAU8 coding sequence. Stretches of
several genes, and names that say neither, are left out, and so are stretches below 50 bases. Of the
kinds with thousands of members a fixed sample of 250 is taken.
"""

from __future__ import annotations

import gzip
import random
import re
import sys

LEAST_BASES = 50
MOST_OF_A_KIND = 250
_SPLICEOSOME = {"SNR6", "SNR7-L", "SNR7-S", "SNR14", "SNR19", "SNR20", "LSR1"}
_PARTS = {"in": "intron", "ig": "intergenic"}
_KINDS = (
    ("tRNA", re.compile(r"t[A-Z]\([A-Z]{3}\)")),
    ("snoRNA", re.compile(r"SNR\d")),
    ("rRNA", re.compile(r"RDN|\d+S_RRNA")),
    ("CDS", re.compile(r"Y[A-P][LR]\d|[A-Z]{3}\d+$")),
)


def kind_of(name: str) -> str | None:
    """What a gene of this name is; None where the name does not say."""
    if "/" in name or name in _SPLICEOSOME:
        return None
    return next((kind for kind, pattern in _KINDS if pattern.match(name)), None)


def main(path: str) -> None:
    """Join the exons of genes, draw, write."""
    spans: dict[tuple[str, str, str], tuple[int, int]] = {}
    with gzip.open(path, "rt") as lines:
        for number, line in enumerate(lines):
            contig, start, end, segment = line.rstrip("\n").split("\t")[:4]
            part, _, name = segment.partition(":")
            kind = _PARTS.get(part) or kind_of(name)
            if kind is not None:
                key = (contig, name if part == "ex" else f"{part}{number}", kind)
                first, last = spans.get(key, (int(start), int(end)))
                spans[key] = (min(first, int(start)), max(last, int(end)))
    by_kind: dict[str, list[tuple[str, int, int, str]]] = {}
    for (contig, name, kind), (start, end) in spans.items():
        if end - start >= LEAST_BASES:
            by_kind.setdefault(kind, []).append((contig, start, end, name))
    draw = random.Random(0)  # noqa: S311  a sample, no secret
    print("#chrom", "start", "end", "name", "score", "strand", "gene_type", sep="\t")
    for kind, features in by_kind.items():
        for feature in sorted(draw.sample(features, min(MOST_OF_A_KIND, len(features)))):
            print(*feature, 0, ".", kind, sep="\t")


if __name__ == "__main__":
    main(sys.argv[1])
