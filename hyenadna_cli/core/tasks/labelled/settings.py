"""Which labelled files to read, and how their rows are split."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from hyenadna_cli.core.config.choices import ContigMap, Task
from hyenadna_cli.core.config.flags import CONTIG_MAP, RENAME_CHRS, Flag
from hyenadna_cli.core.config.texts import parse_list
from hyenadna_cli.errors import UsageError

GroupBy = Literal["overlap", "contig"]


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelledFiles:
    """Labelled sequences as they are named."""

    HEADING: ClassVar[str] = "Labelled sequences"

    data: Annotated[
        tuple[str, ...],
        Flag(
            "--data",
            "Labelled sequences: table, FASTA, BED, a file per class, or a directory of these by "
            "split; repeatable.",
            metavar="PATH|CLASS=PATH",
        ),
    ] = ()
    valid: Annotated[
        tuple[str, ...], Flag("--valid", "Rows to choose the best weights on.", metavar="PATH")
    ] = ()
    test: Annotated[
        tuple[str, ...], Flag("--test", "Rows to report results on.", metavar="PATH")
    ] = ()
    fasta: Annotated[
        Path | None, Flag("--fasta", "Genome of rows that are coordinates (indexed FASTA).")
    ] = None
    contig_map: Annotated[ContigMap, CONTIG_MAP] = "exact"
    rename_chrs: Annotated[Path | None, RENAME_CHRS] = None
    task: Annotated[
        Task | None, Flag("--task", "Default: inferred from the labels, and printed.")
    ] = None
    label_columns: Annotated[
        tuple[str, ...],
        Flag(
            "--label-columns",
            "Label columns of a table, by commas.",
            metavar="NAME,...",
            parse=parse_list,
        ),
    ] = ()
    valid_contigs: Annotated[
        tuple[str, ...],
        Flag(
            "--valid-contigs",
            "Contigs whose rows validate, by commas.",
            metavar="NAME,...",
            parse=parse_list,
        ),
    ] = ()
    test_contigs: Annotated[
        tuple[str, ...],
        Flag(
            "--test-contigs",
            "Contigs whose rows are the test set, by commas.",
            metavar="NAME,...",
            parse=parse_list,
        ),
    ] = ()
    valid_fraction: Annotated[
        float,
        Flag(
            "--valid-fraction",
            "Part of the training rows to validate on if the data have no validation split.",
            at_least=0.0,
            at_most=0.9,
        ),
    ] = 0.1
    group_by: Annotated[
        GroupBy, Flag("--group-by", "What stays together when validation rows are cut.")
    ] = "overlap"
    n_train: Annotated[
        int | None, Flag("--max-train-rows", "Learn from a random part of the rows.", at_least=1)
    ] = None
    seed: int = 0
    """Of the cut and the draw; the same for every seed of training."""

    def check(self) -> None:
        """Raise UsageError for options that do not go together."""
        for split, contigs, files in (
            ("valid", self.valid_contigs, self.valid),
            ("test", self.test_contigs, self.test),
        ):
            if contigs and files:
                raise UsageError(f"--{split} and --{split}-contigs both say which rows those are")
        if self.fasta is None and (self.contig_map != "exact" or self.rename_chrs is not None):
            raise UsageError("--contig-map and --rename-chrs are about the contigs of --fasta")
