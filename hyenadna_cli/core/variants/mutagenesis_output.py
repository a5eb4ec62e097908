"""Where mutagenize writes: a TSV of every SNV, or a track of every base, by suffix or -O.

TSV: positions are 1-based, a row per SNV. bedGraph and bigWig (`io.tracks`): 0-based half-open, the
mean of a base's SNVs. bigWig has the contigs as the FASTA names them, and in its order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from hyenadna_cli.core.io.tsv import (
    BEDGRAPH_SUFFIXES,
    BIGWIG_SUFFIXES,
    SHORT_TABLE_SUFFIXES,
    TABLE_SUFFIXES,
    TsvWriter,
)
from hyenadna_cli.core.outputs.atomic import has_suffix, is_stream
from hyenadna_cli.errors import UsageError

if TYPE_CHECKING:
    # For types only: commands import this module at their top, which must stay quick.
    from hyenadna_cli.core.io.tsv import Cell
    from hyenadna_cli.core.variants.mutagenesis import SnvScores

    Write = Callable[[str, SnvScores], None]

Kind = Literal["tsv", "bedgraph", "bigwig"]
SNV_COLUMNS = ("chrom", "pos", "ref", "alt", "status")
"""Of a table of SNVs, before their scores."""


def kind_of(output: str) -> Kind:
    """What a suffix stands for; a stream without one is TSV. Raises UsageError."""
    if has_suffix(output, BEDGRAPH_SUFFIXES):
        return "bedgraph"
    if has_suffix(output, BIGWIG_SUFFIXES):
        return "bigwig"
    if has_suffix(output, TABLE_SUFFIXES) or is_stream(output):
        return "tsv"
    suffixes = " ".join((*SHORT_TABLE_SUFFIXES, *BEDGRAPH_SUFFIXES[:2], BIGWIG_SUFFIXES[0]))
    raise UsageError(f"-o {output}: use one of {suffixes}, or say -O")


def open_snv_output(
    output: str,
    kind: Kind,
    *,
    columns: Sequence[str],
    lengths: Mapping[str, int],
    overwrite: bool,
) -> AbstractContextManager[Write]:
    """A function that writes the SNVs of a piece of a contig, by the contig's name.

    `columns` are the names of the tables of scores, `lengths` those of the genome's contigs (bp).
    The file appears when the block succeeds. Raises OutputError as `open_sink` does, and UsageError
    as `io.tracks.open_track` does.
    """
    if kind == "tsv":
        return _tsv(output, columns, overwrite=overwrite)
    if kind == "bigwig" and is_stream(output):
        raise UsageError("bigWig needs a file: -o x.bw")
    return _track(output, kind, lengths, overwrite=overwrite)


@contextmanager
def _tsv(output: str, scores: Sequence[str], *, overwrite: bool) -> Iterator[Write]:
    columns = (*SNV_COLUMNS, *scores)
    with TsvWriter(output, columns=columns, overwrite=overwrite) as table:

        def write(chrom: str, scores: SnvScores) -> None:
            for row in snv_rows(chrom, scores):
                table.write_row(row)

        yield write


def snv_rows(chrom: str, scores: SnvScores) -> Iterator[tuple[Cell, ...]]:
    """A row per SNV: `SNV_COLUMNS`, then a number of each table of scores."""
    from hyenadna_cli.core.dna.coordinates import to_one_based

    for row, (base, status) in enumerate(zip(scores.bases, scores.statuses, strict=True)):
        if base not in "ACGT":
            continue
        pos = to_one_based(scores.interval.start + row)
        for column, alt in enumerate("ACGT"):
            if alt != base:
                values = [of[row, column] for of in scores.tables]
                yield (chrom, pos, base, alt, status, *values)


@contextmanager
def _track(
    output: str, kind: Kind, lengths: Mapping[str, int], *, overwrite: bool
) -> Iterator[Write]:
    import numpy as np

    from hyenadna_cli.core.io.tracks import open_bedgraph, open_bigwig

    opened = (
        open_bigwig(Path(output), lengths, overwrite=overwrite)
        if kind == "bigwig"
        else open_bedgraph(output, overwrite=overwrite)
    )
    with opened as write:

        def write_means(chrom: str, scores: SnvScores) -> None:
            values = scores.tables[-1]
            # Every row has three values, or none.
            is_scored = np.isfinite(values).any(axis=1)
            means = np.where(is_scored, np.nansum(values, axis=1) / 3, np.nan)
            contig = scores.interval.contig if kind == "bigwig" else chrom
            write(contig, scores.interval.start, means)

        yield write_means
