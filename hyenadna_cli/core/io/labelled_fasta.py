"""FASTA whose headers end in the label, files of bare sequences, and files of one class.

    >chr7:100-700|1          the label is what follows the last | (Nucleotide Transformer)
    >chr7:100-700 enhancer   else the last word, if the header has more than one

Headers that hold coordinates give the row its place: `chr7:100-700` (1-based closed),
`CHR13_99137199_99137399` (0-based start and end).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TextIO

from Bio.SeqIO.FastaIO import SimpleFastaParser

from hyenadna_cli.core.dna.coordinates import Interval, to_one_based
from hyenadna_cli.core.dna.sequence import LetterCounts, LetterError
from hyenadna_cli.core.io.labelled_tables import LabelRow, checked_bases
from hyenadna_cli.core.io.streams import Input
from hyenadna_cli.errors import InputFileError

_UNDERSCORED = re.compile(r"(?i:chr)(\w+)_(\d+)_(\d+)", re.ASCII)


def read_labelled_fasta(
    source: Input, *, letters: LetterCounts, label: str | None
) -> Iterator[LabelRow]:
    """Stream the records; `label` is that of all of them, None where each header ends in its own.

    Raises InputFileError naming the record: a header without label, an empty sequence, letters
    that are not IUPAC codes.
    """
    path = source.path
    with source.open_text() as text:
        records = SimpleFastaParser(_from_first_header(path, text))
        for number, (title, letters_) in enumerate(records, start=1):
            name, own_label = _split_title(title) if label is None else (title.strip(), label)
            if own_label is None:
                raise InputFileError(
                    path,
                    f"record {number:,} ({title!r}): the header does not end in a label "
                    "(>name|label), and no class was given for the file",
                )
            yield LabelRow(
                path=str(path),
                line=number,
                name=name or f"record_{number}",
                sequence=_bases(path, number, letters_, letters),
                interval=_place(name),
                labels=(own_label,),
                split=None,
            )


def read_bare_sequences(source: Input, *, letters: LetterCounts, label: str) -> Iterator[LabelRow]:
    """Stream a text file of sequences of one class, one per line (or file: GenomicBenchmarks)."""
    path = source.path
    with source.open_text() as text:
        for number, line in enumerate(text, start=1):
            if line.strip():
                yield LabelRow(
                    path=str(path),
                    line=number,
                    name=f"{Path(path).stem}_{number}" if number > 1 else Path(path).stem,
                    sequence=_bases(path, number, line.strip(), letters),
                    interval=None,
                    labels=(label,),
                    split=None,
                )


def _from_first_header(path: Path | str, text: TextIO) -> Iterator[str]:
    """The lines from the first header on; the parser would pass over all that stands before it."""
    for number, line in enumerate(text, start=1):
        if line.startswith(">"):
            return chain([line], text)
        if line.strip():
            problem = f"a FASTA begins with '>' at the start of a line, not with {line[:20]!r}"
            raise InputFileError(path, problem, line=number)
    return iter(())


def _bases(path: Path | str, number: int, text: str, letters: LetterCounts) -> str:
    try:
        return checked_bases(text, letters)
    except LetterError as error:
        problem = f"{error} (base {to_one_based(error.position):,})"
        raise InputFileError(path, problem, line=number) from None
    except ValueError as error:
        raise InputFileError(path, str(error), line=number) from None


def _split_title(title: str) -> tuple[str, str | None]:
    """Name and label of a header; no label if it does not end in one."""
    title = title.strip()
    if "|" in title:
        name, label = title.rsplit("|", 1)
        return name.strip(), label.strip() or None
    words = title.rsplit(maxsplit=1)
    return (words[0], words[1]) if len(words) == 2 else (title, None)


def _place(name: str) -> Interval | None:
    word = name.split()[0] if name.split() else ""
    if match := _UNDERSCORED.fullmatch(word):
        start, end = int(match[2]), int(match[3])
        return Interval(f"chr{match[1]}", start, end) if start < end else None
    try:
        return Interval.parse(word)
    except ValueError:
        return None
