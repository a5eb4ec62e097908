r"""Shards to one output: checked against their manifests, then put together in order.

    shards + manifests --check_shards--> Shards, in order
    VCF, BCF, TSV, bedGraph: the header once, then the rest of every shard, byte by byte
    HDF5: rows through the writer of the unsharded file (io/embeddings_gather.py)
    bigWig: values through the writer of the unsharded file (io/tracks.py)

What is written does not depend on the number of shards, and is what one run would have written,
except that BCF is compressed in other blocks. Memory does not grow with the shards. No torch.
"""

from __future__ import annotations

import io
import logging
import struct
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hyenadna_cli.core.io.embeddings_gather import gather_embeddings
from hyenadna_cli.core.io.streams import Input
from hyenadna_cli.core.io.tracks import gather_bigwig
from hyenadna_cli.core.io.tsv import BEDGRAPH_SUFFIXES, BIGWIG_SUFFIXES, TABLE_SUFFIXES
from hyenadna_cli.core.io.vcf_writer import restamped, write_index
from hyenadna_cli.core.outputs.atomic import has_suffix
from hyenadna_cli.core.outputs.provenance import (
    Manifest,
    Provenance,
    manifest_path,
    read_manifest,
    sha256_of,
    stamp,
)
from hyenadna_cli.core.outputs.restarts import has_digests, other_run
from hyenadna_cli.core.outputs.shards import Shard
from hyenadna_cli.core.outputs.sinks import open_sink
from hyenadna_cli.errors import InputFileError, UsageError

log = logging.getLogger(__name__)

Kind = Literal["hdf5", "vcf", "bcf", "table", "bedgraph", "bigwig"]

_SUFFIXES: dict[Kind, tuple[str, ...]] = {
    "hdf5": (".h5ad", ".h5", ".hdf5"),
    "vcf": (".vcf", ".vcf.gz", ".vcf.bgz"),
    "bcf": (".bcf",),
    "table": TABLE_SUFFIXES,
    "bedgraph": BEDGRAPH_SUFFIXES,
    "bigwig": BIGWIG_SUFFIXES,
}
_BCF_MAGIC = b"BCF\x02\x02"
_PIECE_BYTES = 1 << 20


def kind_of(path: str) -> Kind:
    """What a suffix stands for. Raises UsageError."""
    for kind, suffixes in _SUFFIXES.items():
        if has_suffix(path, suffixes):
            return kind
    raise UsageError(
        f"{path}: merge knows VCF, BCF, TSV, bedGraph, bigWig and HDF5, by their suffixes"
    )


@dataclass(frozen=True, slots=True)
class ShardFile:
    """One shard, and what its manifest says."""

    path: Path
    manifest: Manifest
    shard: Shard


@dataclass(frozen=True, slots=True)
class Shards:
    """All shards of one run, in order."""

    kind: Kind
    files: tuple[ShardFile, ...]

    @property
    def rows(self) -> dict[str, int]:
        """Records per status, of all shards together."""
        rows: dict[str, int] = {}
        for file in self.files:
            for status, count in file.manifest.rows.items():
                rows[status] = rows.get(status, 0) + count
        return rows

    @property
    def n_bytes(self) -> int:
        """Of all shards together."""
        return sum(file.path.stat().st_size for file in self.files)

    def made_by(self, *, command: Sequence[str], reproducible: bool) -> Provenance:
        """The provenance of the merged output: that of the shards, but made here and now."""
        devices = {file.manifest.made_by.device for file in self.files}
        device = devices.pop() if len(devices) == 1 else None
        first = self.files[0].manifest.made_by
        return stamp(first, command=command, device=device, reproducible=reproducible)


def check_shards(paths: Sequence[Path]) -> Shards:
    """The shards in order, whatever order they are given in.

    Raises InputFileError if one is missing, there twice, damaged, or of another run than the first:
    with another model, other settings, other inputs, or by another version.
    """
    kinds = {path: kind_of(str(path)) for path in paths}
    files: dict[int, ShardFile] = {}
    first: ShardFile | None = None
    for path in paths:
        file = _read(path)
        first = first or file
        _check_same_run(file, first)
        if kinds[path] != kinds[first.path]:
            raise InputFileError(path, f"is {kinds[path]}, but {first.path} is {kinds[first.path]}")
        twin = files.setdefault(file.shard.index, file)
        if twin is not file:
            raise InputFileError(path, f"is shard {file.shard}, and so is {twin.path}")
    if first is None:
        raise UsageError("which shards? name their files")
    missing = [i for i in range(1, first.shard.count + 1) if i not in files]
    if missing:
        shown = ", ".join(map(str, missing[:10])) + (", ..." if len(missing) > 10 else "")
        raise UsageError(
            f"{len(missing):,} of {first.shard.count:,} shards are not among the files: {shown}"
        )
    if not has_digests(first.manifest.made_by):
        log.warning(
            "the shards are of an earlier version, which did not record the content of inputs: "
            "they are compared by name and size only"
        )
    made_by = first.manifest.made_by
    if later := [file for file in files.values() if other_run(made_by, file.manifest.made_by)]:
        log.warning(
            "%s and %s read large inputs of other times, which are not compared whole: make sure "
            "that they are copies of one file",
            first.path,
            later[0].path,
        )
    for file in files.values():
        # Last, as it reads everything: a shard may have been cut while it was copied.
        _check_whole(file)
    return Shards(kinds[first.path], tuple(files[i] for i in sorted(files)))


def merge(
    shards: Shards,
    output: str,
    made_by: Provenance,
    *,
    overwrite: bool,
    is_indexed: bool = False,
    is_virtual: bool = False,
) -> Generator[int]:
    """Write `output`, a path or "-"; yields the bytes of the shards done since the last time.

    `is_indexed` writes a CSI index too (bgzip VCF, BCF); `is_virtual` leaves the vectors of HDF5
    where they are. Raises UsageError if `output` is of another kind than the shards.
    """
    kind = shards.kind
    if output != "-" and kind_of(output) != kind:
        suffixes = " ".join(_SUFFIXES[kind])
        raise UsageError(f"-o {output}: the shards are {kind}; use one of {suffixes}")
    if is_virtual and kind != "hdf5":
        raise UsageError("--virtual is for HDF5")
    if kind in ("hdf5", "bigwig") and output == "-":
        raise UsageError("HDF5 and bigWig need a file: -o FILE")
    sources = [file.path for file in shards.files]
    if kind == "bigwig":
        yield from gather_bigwig(sources, Path(output), overwrite=overwrite)
        return
    if kind == "hdf5":
        yield from gather_embeddings(
            sources, Path(output), made_by, overwrite=overwrite, is_virtual=is_virtual
        )
        return
    is_bgzip = has_suffix(output, (".gz", ".bgz")) or kind == "bcf"
    if is_indexed and (output == "-" or not is_bgzip or kind not in ("vcf", "bcf")):
        raise UsageError("-W indexes a bgzip VCF or BCF file: -o out.vcf.gz or -o out.bcf")

    def index(data: Path) -> None:
        write_index(Path(output), data, is_bcf=kind == "bcf", overwrite=overwrite)

    with open_sink(
        output, overwrite=overwrite, is_bgzip=is_bgzip, before_visible=index if is_indexed else None
    ) as sink:
        for part in _bodies(shards, made_by):
            sink.write(part)
            yield len(part)


def _read(path: Path) -> ShardFile:
    if not path.is_file():
        raise InputFileError(path, "no such file")
    if not manifest_path(path).is_file():
        raise InputFileError(
            path,
            f"has no manifest: {manifest_path(path).name} must lie beside it, as the run of the "
            "shard has written it",
        )
    manifest = read_manifest(path)
    if manifest.shard is None:
        raise InputFileError(
            path, "is not a shard: its manifest says that it was made without --shard"
        )
    return ShardFile(path, manifest, Shard.parse(manifest.shard))


def _check_same_run(file: ShardFile, first: ShardFile) -> None:
    if file.shard.count != first.shard.count:
        difference: str | None = (
            f"other number of shards: {first.shard.count}, not {file.shard.count}"
        )
    else:
        difference = other_run(first.manifest.made_by, file.manifest.made_by, are_copies=True)
    if difference is not None:
        raise InputFileError(file.path, f"was not made as {first.path}: {difference}")


def _check_whole(file: ShardFile) -> None:
    try:
        is_whole = sha256_of(file.path) == file.manifest.sha256
    except OSError as error:
        raise InputFileError(file.path, f"cannot be read: {error.strerror}") from error
    if not is_whole:
        raise InputFileError(
            file.path, "is damaged: it is not the file that its manifest describes"
        )


def _bodies(shards: Shards, made_by: Provenance) -> Iterator[bytes]:
    """The header, then what follows the header in every shard, piece by piece."""
    read_header = _READ_HEADER[shards.kind]
    header: bytes | None = None
    for file in shards.files:
        with Input(file.path).open() as stream:
            own_header = read_header(file.path, stream, made_by)
            if header is None:
                header = own_header
                yield header
            elif own_header != header:
                raise InputFileError(file.path, f"has another header than {shards.files[0].path}")
            while piece := stream.read(_PIECE_BYTES):
                yield piece


def _vcf_header(path: Path, stream: io.BufferedReader, made_by: Provenance) -> bytes:
    lines = []
    while (line := stream.readline()).startswith(b"##"):
        lines.append(line.decode("utf-8", "surrogateescape").rstrip("\r\n"))
    if not line.startswith(b"#CHROM"):
        raise InputFileError(path, "is not VCF: no #CHROM line")
    end = "\r\n" if line.endswith(b"\r\n") else "\n"
    text = "".join(f"{text}{end}" for text in restamped(lines, made_by))
    return text.encode("utf-8", "surrogateescape") + line


def _bcf_header(path: Path, stream: io.BufferedReader, made_by: Provenance) -> bytes:
    magic = stream.read(len(_BCF_MAGIC))
    size = stream.read(4)
    if magic != _BCF_MAGIC or len(size) < 4:
        raise InputFileError(path, "is not BCF 2.2")
    text = stream.read(struct.unpack("<I", size)[0]).rstrip(b"\0")
    whole = _vcf_header(path, io.BufferedReader(io.BytesIO(text)), made_by) + b"\0"
    return _BCF_MAGIC + struct.pack("<I", len(whole)) + whole


def _table_header(path: Path, stream: io.BufferedReader, _: Provenance) -> bytes:
    line = stream.readline()
    if not line.endswith(b"\n"):
        raise InputFileError(path, "has no header line")
    return line


def _no_header(*_: object) -> bytes:
    return b""


_READ_HEADER: dict[Kind, Callable[[Path, io.BufferedReader, Provenance], bytes]] = {
    "vcf": _vcf_header,
    "bcf": _bcf_header,
    "table": _table_header,
    "bedgraph": _no_header,
}
