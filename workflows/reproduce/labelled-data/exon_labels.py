r"""Write a table of gene windows with an exon or intron label for every base.

    python exon_labels.py genes.gtf.gz out.tsv.gz --valid-contigs chr20,chr21 \
        --test-contigs chr17,chr22,chrX,chrY
    hyenadna finetune --data out.tsv.gz --fasta genome.fa -o exons

Every window lies inside a transcript and is read along the gene's strand. Half of them hold an
exon that is not the first or last one; the other half lie anywhere in a transcript. A base is
`exon` if any transcript of the annotation has it in one, else `intron`. Splits are by contig, so no
gene is in two of them (chrX and chrY, which share some, belong into one). The label column is
run-length text: `intron:400,exon:150,intron:474`.
"""

from __future__ import annotations

import argparse
import gzip
import random
import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

_TRANSCRIPT = re.compile(r'transcript_id "([^"]+)"')


@dataclass
class Transcript:
    """0-based half-open, on the plus strand."""

    contig: str
    start: int
    end: int
    strand: str
    exons: list[tuple[int, int]] = field(default_factory=list)


def read_transcripts(path: Path) -> dict[str, Transcript]:
    """Transcripts of a GTF with their exons in genome order."""
    found: dict[str, Transcript] = {}
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
        for line in lines:
            columns = line.rstrip("\n").split("\t")
            if len(columns) < 9 or columns[2] not in ("transcript", "exon"):
                continue
            match = _TRANSCRIPT.search(columns[8])
            if match is None:
                continue
            start, end = int(columns[3]) - 1, int(columns[4])
            entry = found.setdefault(match[1], Transcript(columns[0], start, end, columns[6]))
            entry.start, entry.end = min(entry.start, start), max(entry.end, end)
            if columns[2] == "exon":
                entry.exons.append((start, end))
    for entry in found.values():
        entry.exons.sort()
    return found


def joined(intervals: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Sorted, overlapping and touching ones as one."""
    result: list[tuple[int, int]] = []
    for start, end in sorted(intervals):
        if result and start <= result[-1][1]:
            result[-1] = (result[-1][0], max(end, result[-1][1]))
        else:
            result.append((start, end))
    return result


def labels(start: int, end: int, strand: str, exons: list[tuple[int, int]]) -> str:
    """The run-length text of a window, in reading direction."""
    runs: list[tuple[str, int]] = []
    at = start
    first = bisect_right([exon_end for _, exon_end in exons], start)
    for exon_start, exon_end in exons[first : bisect_left([s for s, _ in exons], end)]:
        if exon_start > at:
            runs.append(("intron", exon_start - at))
        at = max(at, exon_start)
        runs.append(("exon", min(exon_end, end) - at))
        at = min(exon_end, end)
    if at < end:
        runs.append(("intron", end - at))
    return ",".join(f"{name}:{count}" for name, count in (runs if strand == "+" else runs[::-1]))


def windows(
    transcripts: dict[str, Transcript], length: int, rng: random.Random
) -> list[tuple[Transcript, int]]:
    """(transcript, start): one around every inner exon, and as many anywhere."""
    found = []
    long_enough = [entry for entry in transcripts.values() if entry.end - entry.start >= length]
    for entry in long_enough:
        for start, end in entry.exons[1:-1]:
            if end - start < length:
                lowest = max(entry.start, end - length)
                highest = min(start, entry.end - length)
                if lowest <= highest:
                    found.append((entry, rng.randint(lowest, highest)))
    spans = [entry.end - entry.start for entry in long_enough]
    for entry in rng.choices(long_enough, spans, k=len(found)):
        found.append((entry, rng.randint(entry.start, entry.end - length)))
    return found


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("gtf", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--length", type=int, default=1_024)
    parser.add_argument("--valid-contigs", default="chr20,chr21")
    parser.add_argument("--test-contigs", default="chr17,chr22,chrX,chrY")
    parser.add_argument(
        "--max-rows",
        type=int,
        nargs=3,
        default=[4_000, 400, 1_000],
        metavar=("TRAIN", "VALID", "TEST"),
    )
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)  # noqa: S311
    transcripts = read_transcripts(arguments.gtf)
    exons_of: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for entry in transcripts.values():
        exons_of[entry.contig] += entry.exons
    exons = {contig: joined(found) for contig, found in exons_of.items()}
    split_of = dict.fromkeys(arguments.valid_contigs.split(","), "valid")
    split_of |= dict.fromkeys(arguments.test_contigs.split(","), "test")
    rows: dict[str, list[str]] = {"train": [], "valid": [], "test": []}
    drawn = windows(transcripts, arguments.length, rng)
    rng.shuffle(drawn)
    for entry, start in drawn:
        end = start + arguments.length
        split = split_of.get(entry.contig, "train")
        label = labels(start, end, entry.strand, exons[entry.contig])
        place = f"{entry.contig}\t{start}\t{end}\t{entry.strand}"
        rows[split].append(f"{split}\t{place}\t{label}")
    lines = ["split\tchrom\tstart\tend\tstrand\tlabel"]
    for found, most in zip(rows.values(), arguments.max_rows, strict=True):
        lines += found[:most]
    text = ("\n".join(lines) + "\n").encode("ascii")
    is_gzip = arguments.output.suffix == ".gz"
    arguments.output.write_bytes(gzip.compress(text, mtime=0) if is_gzip else text)


if __name__ == "__main__":
    main()
