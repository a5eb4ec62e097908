"""Where mutagenize writes: a TSV of every SNV, or a bedGraph of every base, by suffix or -O.

TSV: positions are 1-based, a row per SNV. bedGraph: 0-based half-open, the mean of a base's SNVs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Literal

from hyenadna_cli.core.io.tsv import (
    BEDGRAPH_SUFFIXES,
    SHORT_TABLE_SUFFIXES,
    TABLE_SUFFIXES,
    TsvWriter,
)
from hyenadna_cli.core.outputs.atomic import is_stream
from hyenadna_cli.core.outputs.sinks import open_sink
from hyenadna_cli.errors import UsageError

if TYPE_CHECKING:
    # For types only: commands import this module at their top, which must stay quick.
    from hyenadna_cli.core.variants.mutagenesis import SnvScores

    Write = Callable[[str, SnvScores], None]

Kind = Literal["tsv", "bedgraph"]


def kind_of(output: str) -> Kind:
    """What a suffix stands for; a stream without one is TSV. Raises UsageError."""
    if output.endswith(BEDGRAPH_SUFFIXES):
        return "bedgraph"
    if output.endswith(TABLE_SUFFIXES) or is_stream(output):
        return "tsv"
    suffixes = " ".join((*SHORT_TABLE_SUFFIXES, *BEDGRAPH_SUFFIXES[:2]))
    raise UsageError(f"-o {output}: use one of {suffixes}, or say -O")


def open_snv_output(
    output: str, kind: Kind, *, columns: Sequence[str], overwrite: bool
) -> AbstractContextManager[Write]:
    """A function that writes the SNVs of a piece of a contig, by the contig's name.

    `columns` are the names of the tables of scores. The file appears when the block succeeds.
    Raises OutputError as `open_sink` does.
    """
    if kind == "bedgraph":
        return _bedgraph(output, overwrite=overwrite)
    return _tsv(output, columns, overwrite=overwrite)


@contextmanager
def _tsv(output: str, scores: Sequence[str], *, overwrite: bool) -> Iterator[Write]:
    from hyenadna_cli.core.dna.coordinates import to_one_based

    columns = ("chrom", "pos", "ref", "alt", "status", *scores)
    with TsvWriter(output, columns=columns, overwrite=overwrite) as table:

        def write(chrom: str, scores: SnvScores) -> None:
            for row, (base, status) in enumerate(zip(scores.bases, scores.statuses, strict=True)):
                if base not in "ACGT":
                    continue
                pos = to_one_based(scores.interval.start + row)
                for column, alt in enumerate("ACGT"):
                    if alt != base:
                        values = [of[row, column] for of in scores.tables]
                        table.write_row((chrom, pos, base, alt, status, *values))

        yield write


@contextmanager
def _bedgraph(output: str, *, overwrite: bool) -> Iterator[Write]:
    import numpy as np

    is_bgzip = output.endswith(".gz")
    with open_sink(output, overwrite=overwrite, is_bgzip=is_bgzip) as sink:

        def write(chrom: str, scores: SnvScores) -> None:
            values = scores.tables[-1]
            # Every row has three values, or none.
            is_scored = np.isfinite(values).any(axis=1)
            means = np.nansum(values, axis=1) / 3
            for row in np.flatnonzero(is_scored).tolist():
                start = scores.interval.start + row
                sink.write(f"{chrom}\t{start}\t{start + 1}\t{means[row]:.6g}\n".encode())

        yield write
