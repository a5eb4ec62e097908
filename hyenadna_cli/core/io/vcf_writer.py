r"""VCF and BCF out: records with scores added, each otherwise as it was read.

    record + scores --> line of text --> VCF, or bgzip VCF with a CSI index
                             \--htslib--> BCF

Every INFO value has `Number=A`: one value an allele, `.` where there is none, so that tools that
split or drop alleles keep them aligned. BCF is encoded by htslib from the text, by the types that
the header declares.
"""

from __future__ import annotations

import math
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, Literal

import cyvcf2
import pysam

from hyenadna_cli.core.io.fasta_index import quiet_htslib
from hyenadna_cli.core.io.vcf import Undeclared, VcfHeader, VcfRecord, index_path
from hyenadna_cli.core.outputs.atomic import replace_on_success
from hyenadna_cli.core.outputs.provenance import Provenance
from hyenadna_cli.core.outputs.sinks import Sink, Writer, open_sink
from hyenadna_cli.errors import InputFileError, OutputError

OutputType = Literal["v", "z", "b", "u"]
"""As in bcftools: VCF, bgzip VCF, BCF, BCF that is not compressed."""

INFO_TYPES = {
    "HD_LLR": (
        "Float",
        "ln P(ALT window) - ln P(REF window), natural log, mean over the strands "
        "scored; negative: ALT is less likely",
    ),
    "HD_SITE": (
        "Float",
        "ln p(ALT base) - ln p(REF base) given the bases before, where the two "
        "windows first differ; natural log, mean over the strands scored",
    ),
    "HD_JSD": (
        "Float",
        "Mean Jensen-Shannon divergence (bits) of the next-base distributions after the variant",
    ),
    "HD_L2": ("Float", "Euclidean distance of the mean-pooled embeddings of the two windows"),
    "HD_COS": ("Float", "Cosine distance of the mean-pooled embeddings of the two windows"),
    "HD_LLR_FWD": ("Float", "HD_LLR of the forward strand"),
    "HD_LLR_REV": ("Float", "HD_LLR of the reverse strand"),
    "HD_STATUS": (
        "String",
        "OK, OK_EDGE (scored with less context than asked for), or why there is no score",
    ),
}
"""What is written into INFO."""

_DEVICE = re.compile(r',device="[^"]*"')


def scored_header(
    header: VcfHeader, made_by: Provenance, tags: Sequence[str], more: Sequence[str] = ()
) -> VcfHeader:
    """The header with `more` lines, the declarations of `tags`, and where the scores come from."""
    declarations = [
        f'##INFO=<ID={tag},Number=A,Type={INFO_TYPES[tag][0]},Description="{INFO_TYPES[tag][1]}">'
        for tag in tags
    ]
    lines = [*more, *declarations, *_provenance_lines(made_by)]
    return header.extended(lines, replacing=frozenset(INFO_TYPES))


def _provenance_lines(made_by: Provenance) -> list[str]:
    attrs = made_by.as_attrs()
    model = {key: attrs.get(key) for key in ("model", "revision", "sha256")}
    run = {key: attrs.get(key) for key in (*made_by.settings, "device")}
    lines = []
    for name, entries in (("model", model), ("run", run)):
        if any(value is not None for value in entries.values()):
            lines.append(f"##hyenadna_{name}={_structured(entries)}")
    return lines + _stamp_lines(made_by)


def _structured(entries: Mapping[str, object]) -> str:
    """`<ID=..,key="value">`; htslib wants the ID first, and quotes around commas."""
    pairs = [(key, str(value)) for key, value in entries.items() if value is not None]
    shown = [f'{key}="{value.replace(chr(34), chr(39))}"' for key, value in pairs]
    return f"<ID=score_variants,{','.join(shown)}>"


def restamped(meta: Sequence[str], made_by: Provenance) -> list[str]:
    """The `##` lines of a scored file, with version, command, date and device of `made_by`."""
    device = f',device="{made_by.device}"' if made_by.device is not None else ""
    kept = [
        _DEVICE.sub(lambda _: device, line) if line.startswith("##hyenadna_run=") else line
        for line in meta
        if not line.startswith(("##hyenadna_version=", "##hyenadna_command="))
    ]
    return kept + _stamp_lines(made_by)


def _stamp_lines(made_by: Provenance) -> list[str]:
    lines = []
    if made_by.version is not None:
        lines.append(f"##hyenadna_version={made_by.version}")
    if made_by.command is not None:
        lines.append(f"##hyenadna_command={made_by.command}; Date={made_by.created}")
    return lines


def info_entries(values: Mapping[str, Sequence[float]], statuses: Sequence[str]) -> dict[str, str]:
    """INFO entries of one record: a value an allele, NaN as "."; HD_STATUS last.

    A tag without any value is left out, as is usual in VCF.
    """
    entries = {
        tag: ",".join("." if math.isnan(value) else f"{value:.6g}" for value in of_alleles)
        for tag, of_alleles in values.items()
        if not all(map(math.isnan, of_alleles))
    }
    return {**entries, "HD_STATUS": ",".join(statuses)}


class VcfWriter(Writer):
    """Write records to `output`, a path or "-".

    A context manager: the file, and its index before it, appear when the block succeeds.
    """

    def __init__(
        self,
        output: str,
        *,
        output_type: OutputType,
        header: VcfHeader,
        overwrite: bool,
        is_indexed: bool = False,
    ) -> None:
        self._output = output
        self._type = output_type
        self._header = header
        self._overwrite = overwrite
        self._is_indexed = is_indexed
        self._undeclared = Undeclared(header)
        self._contigs = header.declared("contig")

    def _open(self, stack: ExitStack) -> None:
        self._sink = sink = stack.enter_context(
            open_sink(
                self._output,
                overwrite=self._overwrite,
                is_bgzip=self._type == "z",
                before_visible=self._write_index if self._is_indexed else None,
            )
        )
        self._bcf: _BcfEncoder | None = None
        if self._type in ("b", "u"):
            mode = "wb" if self._type == "b" else "wbu"
            self._bcf = stack.enter_context(_bcf_encoder(self._header.text(), mode, sink))
        else:
            sink.write(self._header.text().encode())

    def write(self, record: VcfRecord, entries: Mapping[str, str]) -> None:
        """Write a record with these INFO entries."""
        line = record.with_info(dict(entries))
        if self._bcf is None:
            self._sink.write(line.encode())
            return
        self._check_declared(record)
        self._bcf.write(line)

    def _check_declared(self, record: VcfRecord) -> None:
        missing = self._undeclared.new_in(record.columns)
        if record.chrom not in self._contigs:
            missing.append(f"##contig=<ID={record.chrom}>")
        if missing:
            raise InputFileError(
                "the input",
                f"{record.place}: BCF needs a header line {missing[0]}, which a stream must bring "
                "along; give a file, write VCF (-O v), or add the line with bcftools annotate -h",
            )

    def _write_index(self, data: Path) -> None:
        write_index(Path(self._output), data, is_bcf=self._type == "b", overwrite=self._overwrite)


def write_index(output: Path, data: Path, *, is_bcf: bool, overwrite: bool) -> None:
    """Write the CSI index of `output`, whose bytes are still in the file `data`.

    Raises OutputError, also if the records are not sorted.
    """
    path = index_path(output)
    preset: Any = "bcf" if is_bcf else "vcf"
    with replace_on_success(path, overwrite=overwrite) as scratch, quiet_htslib():
        try:
            pysam.tabix_index(str(data), preset=preset, csi=True, index=str(scratch), force=True)
        except OSError as error:
            raise OutputError(f"{path}: the output cannot be indexed ({error})") from error


@contextmanager
def _bcf_encoder(header: str, mode: str, sink: Sink) -> Iterator[_BcfEncoder]:
    encoder = _BcfEncoder(header, mode, sink)
    try:
        yield encoder
    except BaseException:
        encoder.abandon()
        raise
    encoder.finish()


class _BcfEncoder:
    """htslib as a filter from lines to BCF bytes.

    It writes into a file in memory that is emptied after every record: htslib itself tells nobody
    when a disk is full, and in a pipe it would wait for a reader while it holds the interpreter.
    """

    def __init__(self, header: str, mode: str, sink: Sink) -> None:
        self._sink = sink
        self._n_carried = 0
        self._file = _file_in_memory()
        try:
            self._writer = cyvcf2.Writer.from_string(
                f"/dev/fd/{self._file.fileno()}", header, mode=mode
            )
            self._writer.write_header()
        except BaseException:
            self._file.close()
            raise

    def write(self, line: str) -> None:
        """Encode one line of text."""
        self._writer.write_record(self._writer.variant_from_string(line.rstrip("\n")))
        self._carry()

    def finish(self) -> None:
        """Carry what is left."""
        self._writer.close()
        self._carry()
        self._file.close()

    def abandon(self) -> None:
        """Stop without caring for the rest."""
        self._writer.close()
        self._file.close()

    def _carry(self) -> None:
        """Give the sink what htslib has written since the last time."""
        file = self._file.fileno()
        n_bytes = os.fstat(file).st_size - self._n_carried
        if n_bytes <= 0:
            return
        self._sink.write(os.pread(file, n_bytes, self._n_carried))
        self._n_carried += n_bytes
        # htslib writes on where it was: what is cut off becomes a hole without memory.
        os.ftruncate(file, 0)


def _file_in_memory() -> IO[bytes]:
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("bcf"), "r+b", buffering=0)
    return tempfile.TemporaryFile(buffering=0)  # macOS; never more than a few blocks
