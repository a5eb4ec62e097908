r"""VCF and BCF out: records with scores added, each otherwise as it was read.

    record + scores --> line of text --> VCF, or bgzip VCF with a CSI index
                             \-- bcf.py --> BCF

Every INFO value has `Number=A`: one value per allele, `.` where there is none, so that tools that
split or drop alleles keep them aligned. What an earlier run of this program has left, in records
and header, goes. BCF is encoded by htslib from the text, by the types that the header declares.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal

import pysam

from hyenadna_cli.core.io.bcf_rules import BcfBatch, BcfRules
from hyenadna_cli.core.io.fasta_index import quiet_htslib
from hyenadna_cli.core.io.vcf import VcfHeader, VcfRecord, index_path
from hyenadna_cli.core.io.vcf_scan import Undeclared, encoded, encoder_for, refused_for_bcf
from hyenadna_cli.core.outputs.atomic import replace_on_success
from hyenadna_cli.core.outputs.provenance import Provenance
from hyenadna_cli.core.outputs.sinks import Writer, open_sink
from hyenadna_cli.errors import InputFileError, OutputError

log = logging.getLogger(__name__)

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
    "HD_PCT": (
        "Float",
        "Percentile of HD_LLR, or of HD_SITE where run or background have no HD_LLR, among random "
        "SNVs of the same trinucleotide change; SNVs only",
    ),
    "HD_PROB": (
        "Float",
        "Calibrated probability by a classifier of alleles: of the positive class of two, else of "
        "HD_CLASS",
    ),
    "HD_CLASS": ("String", "The likeliest class by a classifier of alleles"),
    "HD_STATUS": (
        "String",
        "OK, OK_EDGE (scored with less context than asked for), or why there is no score",
    ),
}
"""What is written into INFO."""

_NOT_IN_INFO = re.compile(r"[\s,;=]")
_DEVICE = re.compile(r',device="[^"]*"')


def scored_header(
    header: VcfHeader,
    made_by: Provenance,
    tags: Sequence[str],
    more: Sequence[str] = (),
    clinvar_auroc: str | None = None,
) -> VcfHeader:
    """The header with `more` lines, the declarations of `tags`, and where the scores come from.

    `clinvar_auroc`: what is known of how well scores of the model judge variants.
    """
    declarations = [
        f'##INFO=<ID={tag},Number=A,Type={INFO_TYPES[tag][0]},Description="{INFO_TYPES[tag][1]}">'
        for tag in tags
    ]
    lines = [*more, *declarations, *_provenance_lines(made_by, clinvar_auroc)]
    return header.without_own().extended(lines)


def _provenance_lines(made_by: Provenance, clinvar_auroc: str | None) -> list[str]:
    attrs = made_by.as_attrs()
    model = {key: attrs.get(key) for key in ("model", "revision", "sha256")}
    model["clinvar_auroc"] = clinvar_auroc
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
        command = made_by.command.replace("\n", " ").replace("\r", " ")
        lines.append(f"##hyenadna_command={command}; Date={made_by.created}")
    return lines


def info_entries(
    values: Mapping[str, Sequence[float]], statuses: Sequence[str], labels: Sequence[str] = ()
) -> dict[str, str]:
    """INFO entries of one record: a value per allele, NaN as "."; HD_STATUS last.

    A tag without any value is left out, as is usual in VCF. `labels` become HD_CLASS; letters that
    INFO cannot hold become "_".
    """
    entries = {
        tag: ",".join("." if math.isnan(value) else f"{value:.6g}" for value in of_alleles)
        for tag, of_alleles in values.items()
        if not all(map(math.isnan, of_alleles))
    }
    if any(labels):
        entries["HD_CLASS"] = ",".join(_NOT_IN_INFO.sub("_", label) or "." for label in labels)
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
        self._rules = BcfRules(header)

    def _open(self, stack: ExitStack) -> None:
        is_bcf = self._type in ("b", "u")
        encoder = encoder_for("the input", self._header) if is_bcf else None
        self._batch = None if encoder is None else BcfBatch(encoder)
        if encoder is not None and encoder.left_out:
            log.warning(
                "%d header lines are left out, as BCF cannot hold them; the first: %s",
                len(encoder.left_out),
                encoder.left_out[0],
            )
        self._sink = stack.enter_context(
            open_sink(
                self._output,
                overwrite=self._overwrite,
                is_bgzip=self._type in ("z", "b"),
                before_visible=self._write_index if self._is_indexed else None,
            )
        )
        if encoder is None:
            self._sink.write(self._header.text().encode("utf-8", "surrogateescape"))
            return
        self._sink.write(encoder.header)
        stack.enter_context(self._emptied())

    def write(self, record: VcfRecord, entries: Mapping[str, str]) -> None:
        """Write a record with these INFO entries. Raises InputFileError for what BCF cannot hold.

        BCF is written a batch of records at a time.
        """
        line = record.with_info(entries)
        if self._batch is None:
            self._sink.write(line.encode("utf-8", "surrogateescape"))
            return
        self._check_declared(record)
        if (problem := self._rules.problem(record.columns)) is not None:
            raise refused_for_bcf("the input", record, problem)
        self._batch.add(record, line)
        if self._batch.is_full:
            self._sink.write(encoded("the input", self._batch))

    @contextmanager
    def _emptied(self) -> Iterator[None]:
        yield
        assert self._batch is not None
        self._sink.write(encoded("the input", self._batch))

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
