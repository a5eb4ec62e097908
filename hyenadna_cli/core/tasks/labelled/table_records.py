"""The rows of a table as records: sequences, or coordinates on a genome, with labels or without."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hyenadna_cli.core.config.choices import ContigMap
from hyenadna_cli.core.dna.sequence import LetterCounts, reverse_complement
from hyenadna_cli.core.io.contigs import ContigNames
from hyenadna_cli.core.io.fasta import Genome
from hyenadna_cli.core.io.labelled_cells import table_lines
from hyenadna_cli.core.io.labelled_tables import LabelRow, LabelTable, read_label_table
from hyenadna_cli.core.io.records import Record, RecordSource
from hyenadna_cli.core.io.streams import STDIN, Input
from hyenadna_cli.core.tasks.labelled.columns import Labelling, LabelTexts, targets_of
from hyenadna_cli.errors import InputFileError, UsageError


class TableSource(RecordSource):
    """Rows of a CSV or TSV, read once to check and measure them, and again as they are used.

    A context manager. `targets`: with `known`, the labels of every row as training would have read
    them. Raises InputFileError for whatever is wrong with the files, a label that the model does
    not have included.
    """

    def __init__(
        self,
        table: str,
        *,
        fasta: str | None = None,
        contig_map: ContigMap = "exact",
        rename_chrs: Path | None = None,
        known: Labelling | None = None,
    ) -> None:
        if Input(table).reads_once:
            raise UsageError(f"--data {table}: a table is read twice; give a file")
        self.table = table
        self.fasta = fasta or STDIN
        self._rename_chrs = rename_chrs
        self.targets: NDArray[np.generic] | list[NDArray[np.int8]] | None = None
        self._letters = LetterCounts()
        self._stack = ExitStack()
        self._genome = None
        self._names: ContigNames | None = None
        if fasta is not None:
            self._genome = self._stack.enter_context(Genome(fasta))
            self._names = ContigNames.choose(self._genome.lengths, contig_map, rename_chrs)
        try:
            self._check(known)
        except BaseException:
            self._stack.close()
            raise

    @property
    def columns(self) -> tuple[str, ...]:
        """None besides those of a record."""
        return ()

    @property
    def inputs(self) -> list[str]:
        """The files read, for provenance."""
        genome = None if self._genome is None else self.fasta
        return [str(path) for path in (self.table, genome, self._rename_chrs) if path is not None]

    @property
    def letters(self) -> LetterCounts:
        """Letters replaced in everything read so far."""
        return self._letters

    def read(self, selected: range | None = None) -> Iterator[Record]:
        """The rows in order: all of them, or the contiguous 0-based range `selected`."""
        first, last = (0, None) if selected is None else (selected.start, selected.stop)
        return map(self._record, islice(self._open(self._letters).rows, first, last))

    def _open(self, letters: LetterCounts, label_columns: Sequence[str] = ()) -> LabelTable:
        return read_label_table(
            self.table, contigs=self._names, letters=letters, label_columns=label_columns
        )

    def _check(self, known: Labelling | None) -> None:
        table = self._open(LetterCounts())
        if known is not None:
            table = self._open(LetterCounts(), self._columns_of(known, table.label_columns))
        lengths, places, labels = [], [], LabelTexts()
        for row in table.rows:
            lengths.append(_n_bases(row))
            if known is not None:
                labels.add(row, n_columns=len(table.label_columns))
                places.append((row.path, row.line))
        self.lengths = np.array(lengths, dtype=np.int64)
        if known is not None:
            self.targets = targets_of(labels, known, lengths=lengths, places=places)

    def _columns_of(self, known: Labelling, usual: Sequence[str]) -> tuple[str, ...]:
        """Where the labels of a trained model stand; none: in the `usual` column, the only one.

        Several columns, and numbers, have the names that training gave them. Their order is
        the table's own.
        """
        if not usual:
            raise InputFileError(self.table, "has no label column to compare predictions with")
        names = known.label_names
        if known.task == "regression" or (known.task == "multilabel" and len(names) > 1):
            _, header = next(table_lines(self.table))
            # y_ marks a label where another column has its bare name.
            columns = tuple(f"y_{name}" if f"y_{name}" in header else name for name in names)
            missing = [
                name for name, column in zip(names, columns, strict=True) if column not in header
            ]
            if not missing:
                return columns
            is_one_text = len(usual) == 1 and usual[0] not in names
            if known.task == "regression" or not is_one_text:
                raise InputFileError(
                    self.table, f"has no column {missing[0]!r}, which the model predicts", line=1
                )
        if len(usual) > 1:
            raise InputFileError(
                self.table,
                f"has {len(usual)} label columns ({', '.join(usual[:4])}); "
                f"the labels of a {known.task} model stand in one, called label",
                line=1,
            )
        return ()

    def _record(self, row: LabelRow) -> Record:
        interval = row.interval
        if interval is None:
            assert row.sequence is not None
            return Record(row.name, row.name, 0, len(row.sequence), ".", row.sequence)
        if row.sequence is None:
            assert self._genome is not None
            plus = self._genome.fetch(interval)
        else:
            is_plus = interval.strand == "+"
            plus = row.sequence if is_plus else reverse_complement(row.sequence)
        return Record(
            row.name, interval.contig, interval.start, interval.end, interval.strand, plus
        )


def _n_bases(row: LabelRow) -> int:
    if row.sequence is not None:
        return len(row.sequence)
    assert row.interval is not None
    return row.interval.length
