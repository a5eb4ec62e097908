"""What a fine-tuning run reads: files -> rows by split -> validation rows, cut and checked."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from hyenadna_cli.core.dna.sequence import LetterCounts
from hyenadna_cli.core.io.contigs import ContigNames
from hyenadna_cli.core.io.fasta import Genome
from hyenadna_cli.core.tasks.labelled.files import Reading, read_labelled
from hyenadna_cli.core.tasks.labelled.rows import LabelledData
from hyenadna_cli.core.tasks.labelled.settings import LabelledFiles
from hyenadna_cli.core.tasks.labelled.validation import with_validation
from hyenadna_cli.errors import CheckpointError, InputFileError

log = logging.getLogger(__name__)


@contextmanager
def open_data(files: LabelledFiles) -> Iterator[LabelledData]:
    """Everything that will be learned and judged; the genome stays open.

    Raises InputFileError for what is wrong with the files, UsageError for options that do not go
    together.
    """
    files.check()
    with ExitStack() as stack:
        genome = contigs = None
        if files.fasta is not None:
            genome = stack.enter_context(Genome(files.fasta))
            contigs = ContigNames.choose(genome.lengths, files.contig_map, files.rename_chrs)
        reading = Reading(
            genome=genome,
            contigs=contigs,
            task=files.task,
            label_columns=files.label_columns,
            valid_contigs=_resolved(files.valid_contigs, contigs),
            test_contigs=_resolved(files.test_contigs, contigs),
        )
        letters = LetterCounts()
        data = read_labelled(
            files.data, valid=files.valid, test=files.test, reading=reading, letters=letters
        )
        if letters.n_ambiguous:
            log.info("%s IUPAC ambiguity codes were read as N", f"{letters.n_ambiguous:,}")
        if letters.n_uracil:
            log.info("%s U were read as T", f"{letters.n_uracil:,}")
        data = _with_validation(data, files)
        data = _thinned(data, n_train=files.n_train, seed=files.seed)
        _check_targets(data, files.data[0])
        yield data


def inputs_of(data: LabelledData, files: LabelledFiles) -> list[Path | str]:
    """Every file that was read, for provenance."""
    given = filter(None, [files.fasta, files.rename_chrs])
    return [*(source.path for source in data.sources), *given]


def _resolved(named: Sequence[str], contigs: ContigNames | None) -> frozenset[str]:
    """Contigs by the names of the FASTA, as rows have them."""
    if contigs is None:
        return frozenset(named)
    return frozenset(contigs.resolve(name) or name for name in named)


def _with_validation(data: LabelledData, files: LabelledFiles) -> LabelledData:
    if files.valid_fraction == 0:
        return data
    try:
        return with_validation(
            data, fraction=files.valid_fraction, seed=files.seed, group_by=files.group_by
        )
    except ValueError as error:
        raise InputFileError(files.data[0], str(error)) from error


def _thinned(data: LabelledData, *, n_train: int | None, seed: int) -> LabelledData:
    rows = data.splits["train"]
    if n_train is None or n_train >= len(rows):
        return data
    numbers = np.sort(np.random.default_rng(seed).permutation(len(rows))[:n_train])
    return dataclasses.replace(data, splits={**data.splits, "train": rows.subset(numbers)})


def _check_targets(data: LabelledData, path: str) -> None:
    """Refuse training rows without a difference to learn; remark validation rows without one."""
    rows = data.splits["train"]
    if data.task == "regression" and (np.ptp(rows.flat_targets, axis=0) == 0).any():
        raise InputFileError(path, "a regression target is the same in every training row")
    if data.task not in ("binary", "multiclass"):
        return
    if "valid" in data.splits and len(np.unique(data.splits["valid"].flat_targets)) < 2:
        log.warning("the validation rows have one class: they cannot choose among weights")
    classes = np.unique(rows.flat_targets)
    if len(classes) < 2:
        names = ", ".join(repr(data.label_names[int(index)]) for index in classes)
        raise InputFileError(
            path,
            f"the {len(rows):,} rows left to train on have one class ({names}); needs two or more: "
            "give more rows, or rows of their own with --valid",
        )


def check_lengths(data: LabelledData, *, l_max: int, max_length: int | None) -> LabelledData:
    """The same rows, cut to `max_length` bases around their middle where that is given.

    Raises CheckpointError if a row is longer than the model reads, or than a given `max_length`
    could be.
    """
    if max_length is not None:
        if max_length > l_max:
            raise CheckpointError(
                f"--max-length {max_length:,}: this model reads at most {l_max:,} bases"
            )
        splits = {split: rows.cropped(max_length) for split, rows in data.splits.items()}
        return dataclasses.replace(data, splits=splits)
    for split, rows in data.splits.items():
        longest = int(rows.lengths.argmax())
        n_bases = int(rows.lengths[longest])
        if n_bases > l_max:
            raise CheckpointError(
                f"{rows.names[longest]} of the {split} split has {n_bases:,} bases; this model "
                f"reads at most {l_max:,}; --max-length cuts longer sequences around their middle"
            )
    return data
