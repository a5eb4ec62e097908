"""Where score-variants writes: VCF, BCF or TSV, by suffix or -O."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from hyenadna_cli.core.io.tsv import TABLE_SUFFIXES, TsvWriter
from hyenadna_cli.core.outputs.atomic import check_output, has_suffix, is_stream
from hyenadna_cli.errors import UsageError

if TYPE_CHECKING:
    from hyenadna_cli.core.config.choices import Score
    from hyenadna_cli.core.dna.coordinates import Strand
    from hyenadna_cli.core.io.tsv import Cell
    from hyenadna_cli.core.io.vcf import VcfHeader, VcfRecord
    from hyenadna_cli.core.outputs.provenance import Provenance
    from hyenadna_cli.core.variants.chunks import AlleleScore

    Write = Callable[[VcfRecord, list[str], list[AlleleScore]], None]

Kind = Literal["v", "z", "b", "u", "t"]
"""VCF, bgzip VCF, BCF, uncompressed BCF, TSV."""

_KIND_OF_SUFFIX: dict[str, Kind] = {
    ".vcf": "v",
    ".vcf.gz": "z",
    ".vcf.bgz": "z",
    ".bcf": "b",
    **dict.fromkeys(TABLE_SUFFIXES, "t"),
}
_TSV_COLUMNS = ("chrom", "pos", "id", "ref", "alt", "status")
_STRAND_TAGS = {"+": "HD_LLR_FWD", "-": "HD_LLR_REV"}
_STRAND_COLUMNS = {"+": "llr_fwd", "-": "llr_rev"}


def kind_of(output: str) -> Kind:
    """What a suffix stands for; a stream without one is VCF. Raises UsageError."""
    for suffix, kind in _KIND_OF_SUFFIX.items():
        if has_suffix(output, suffix):
            return kind
    if is_stream(output):
        return "v"
    raise UsageError(
        f"-o {output}: use one of {' '.join(list(_KIND_OF_SUFFIX)[:6])}, or say -O v|z|b|u|t"
    )


@dataclass(frozen=True, slots=True)
class Target:
    """An output, its kind, and whether it has an index. Raises UsageError where it cannot."""

    output: str
    kind: Kind
    is_indexed: bool

    def __post_init__(self) -> None:
        if self.is_indexed and (is_stream(self.output) or self.kind not in ("z", "b")):
            raise UsageError("-W indexes a bgzip VCF or BCF file: -o out.vcf.gz or -o out.bcf")

    @property
    def is_bcf(self) -> bool:
        """Whether the header must declare all that records use."""
        return self.kind in ("b", "u")

    def check_index(self, *, overwrite: bool) -> None:
        """Refuse an index that could not be written. Raises OutputError."""
        from hyenadna_cli.core.io.vcf import index_path

        if self.is_indexed:
            check_output(index_path(Path(self.output)), overwrite=overwrite)

    @contextmanager
    def open(
        self,
        header: VcfHeader,
        missing_lines: Sequence[str],
        made_by: Provenance,
        *,
        scores: Sequence[Score],
        strands: Sequence[Strand],
        overwrite: bool,
        more: Sequence[str] = (),
    ) -> Iterator[Write]:
        """A function that writes a record, its statuses and its scores.

        `header`: of the records; `missing_lines` are what they use and it does not declare. llr is
        also written of each of `strands`. `more`: of `AlleleScore.more`, and "class" for the label.
        """
        columns = _Columns(tuple(scores), tuple(strands), tuple(m for m in more if m != "class"))
        has_label = "class" in more
        if self.kind == "t":
            with _tsv(self.output, columns, has_label, overwrite=overwrite) as write_row:
                yield write_row
            return
        from hyenadna_cli.core.io.vcf_writer import VcfWriter, info_entries, scored_header
        from hyenadna_cli.core.model.checkpoints.catalogue import CLINVAR_AUROC

        known = CLINVAR_AUROC.get(made_by.model_name or "")
        tags = columns.tags
        with VcfWriter(
            self.output,
            output_type=self.kind,
            header=scored_header(
                header,
                made_by,
                [*tags, *(["HD_CLASS"] if has_label else []), "HD_STATUS"],
                missing_lines,
                known,
            ),
            overwrite=overwrite,
            is_indexed=self.is_indexed,
        ) as writer:

            def write(record: VcfRecord, statuses: list[str], row: list[AlleleScore]) -> None:
                of_tags = zip(*(columns.values(allele) for allele in row), strict=True)
                values = dict(zip(tags, of_tags, strict=True)) if row else {}
                labels = [allele.label for allele in row] if has_label else []
                writer.write(record, info_entries(values, statuses, labels))

            yield write


@dataclass(frozen=True, slots=True)
class _Columns:
    """The numbers that are written of an allele."""

    scores: tuple[Score, ...]
    strands: tuple[Strand, ...]
    more: tuple[str, ...]

    @property
    def tags(self) -> list[str]:
        """Their INFO tags."""
        named = [f"HD_{name.upper()}" for name in (*self.scores, *self.more)]
        at = len(self.scores)
        return [*named[:at], *(_STRAND_TAGS[strand] for strand in self.strands), *named[at:]]

    @property
    def names(self) -> list[str]:
        """Their columns in a table."""
        return [*self.scores, *(_STRAND_COLUMNS[strand] for strand in self.strands), *self.more]

    def values(self, allele: AlleleScore) -> list[float]:
        """The numbers, in this order."""
        of_scores = [allele.values[score] for score in self.scores]
        of_strands = [allele.llr_of_strand[strand] for strand in self.strands]
        return [*of_scores, *of_strands, *(allele.more[name] for name in self.more)]


@contextmanager
def _tsv(output: str, numbers: _Columns, has_label: bool, *, overwrite: bool) -> Iterator[Write]:
    """A row per allele; positions are 1-based, as in the VCF."""
    names = [*numbers.names, *(["class"] if has_label else [])]
    with TsvWriter(output, columns=[*_TSV_COLUMNS, *names], overwrite=overwrite) as table:

        def write(record: VcfRecord, statuses: list[str], row: list[AlleleScore]) -> None:
            chrom, pos, name, ref = record.columns[:4]
            if not row:
                nothing = ["nan"] * len(numbers.names) + ["."] * has_label
                table.write_row((chrom, pos, name, ref, ".", *statuses, *nothing))
            for alt, allele in zip(record.alts, row, strict=True):
                cells: list[Cell] = [chrom, pos, name, ref, alt, allele.status]
                cells += numbers.values(allele)
                table.write_row([*cells, *([allele.label or "."] if has_label else [])])

        yield write
