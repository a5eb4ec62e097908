"""Options on labelled sequences, shared by finetune and prompt-tune."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hyenadna_cli.commands.options import shared as opt

if TYPE_CHECKING:
    from hyenadna_cli.core.tasks.finetuning.data import DataRequest
    from hyenadna_cli.core.tasks.labelled.validation import GroupBy

Task = Literal["binary", "multiclass", "multilabel", "regression", "token"]

_DATA = typer.Option(
    "--data",
    metavar="PATH|CLASS=PATH",
    help="Labelled sequences: table, FASTA, BED, a file per class, or a directory of these by "
    "split; repeatable.",
)
DataOption = Annotated[list[str], _DATA]


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelledFiles:
    """The files and how they are split, as given."""

    data: Annotated[list[str] | None, _DATA] = None
    valid: Annotated[
        list[str] | None, typer.Option("--valid", metavar="PATH", help="Rows to choose weights on.")
    ] = None
    test: Annotated[
        list[str] | None, typer.Option("--test", metavar="PATH", help="Rows to report results on.")
    ] = None
    fasta: Annotated[
        Path | None,
        typer.Option("--fasta", help="Genome of rows that are coordinates (indexed FASTA)."),
    ] = None
    valid_contigs: Annotated[
        str, typer.Option("--valid-contigs", help="Contigs whose rows validate, by commas.")
    ] = ""
    test_contigs: Annotated[
        str, typer.Option("--test-contigs", help="Contigs whose rows are the test set, by commas.")
    ] = ""
    valid_fraction: Annotated[
        float,
        typer.Option(
            "--valid-fraction",
            min=0.0,
            max=0.9,
            help="Of the training rows, to validate on where there is no validation split.",
        ),
    ] = 0.1
    contig_map: opt.ContigMapOption = "exact"
    rename_chrs: opt.RenameChrsOption = None

    def request(
        self,
        data: list[str],
        *,
        label_columns: tuple[str, ...],
        task: Task | None = None,
        group_by: GroupBy = "overlap",
        n_train: int | None = None,
    ) -> DataRequest:
        """What to read, `data` in place of --data."""
        from hyenadna_cli.core.tasks.finetuning.data import DataRequest

        return DataRequest(
            data=tuple(data),
            valid=tuple(self.valid or ()),
            test=tuple(self.test or ()),
            fasta=self.fasta,
            contig_map=self.contig_map,
            rename_chrs=self.rename_chrs,
            task=task,
            label_columns=label_columns,
            valid_contigs=frozenset(filter(None, self.valid_contigs.split(","))),
            test_contigs=frozenset(filter(None, self.test_contigs.split(","))),
            valid_fraction=self.valid_fraction,
            group_by=group_by,
            n_train=n_train,
        )
