"""FASTA out: unique names, lines of 60 bases; plain or bgzip, by suffix."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hyenadna_cli.core.outputs.atomic import has_suffix, is_stream
from hyenadna_cli.core.outputs.sinks import open_sink
from hyenadna_cli.errors import UsageError

FASTA_SUFFIXES = (".fa", ".fasta", ".fna", ".fa.gz", ".fasta.gz", ".fna.gz")
_LINE_BASES = 60


def check_fasta_name(output: str, *, writer: str) -> None:
    """Raises UsageError if `output` is neither called like a FASTA nor a stream."""
    if not (has_suffix(output, FASTA_SUFFIXES) or is_stream(output)):
        suffixes = " ".join(FASTA_SUFFIXES)
        raise UsageError(f"-o {output}: {writer} writes FASTA; use one of {suffixes}")


@contextmanager
def open_fasta_output(output: str, *, overwrite: bool) -> Iterator[Callable[[str, str], str]]:
    """A function that writes a name and its sequence, and returns the name as written.

    A name that was used before has a number appended. The file appears when the block succeeds.
    Raises OutputError as `open_sink` does.
    """
    from hyenadna_cli.core.io.unique_names import UniqueNames

    names = UniqueNames()
    with open_sink(output, overwrite=overwrite, is_bgzip=has_suffix(output, ".gz")) as sink:

        def write(name: str, sequence: str) -> str:
            name = names.unique(name)
            starts = range(0, len(sequence), _LINE_BASES)
            lines = (f">{name}", *(sequence[start : start + _LINE_BASES] for start in starts))
            sink.write("".join(f"{line}\n" for line in lines).encode())
            return name

        yield write
