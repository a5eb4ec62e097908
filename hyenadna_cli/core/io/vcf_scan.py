"""A whole VCF or BCF read once, before any other work, to know what is wrong with it.

How many records and which contigs it has, whether it is sorted, and, for BCF output, what its
header does not declare and what BCF cannot hold.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from hyenadna_cli.core.io.bcf import BcfEncoder
from hyenadna_cli.core.io.bcf_rules import (
    BcfBatch,
    BcfHeaderError,
    BcfRecordError,
    BcfRules,
    encoder_of,
)
from hyenadna_cli.core.io.vcf import (
    INFO_TAGS,
    N_FIXED,
    VcfFile,
    VcfHeader,
    VcfRecord,
    contig_line,
)
from hyenadna_cli.errors import InputFileError

OTHER_OUTPUT = "write VCF or TSV (-O v, z, t), or mend it"


@dataclass(slots=True)
class VcfScan:
    """What one reading of a whole file has found."""

    header: VcfHeader
    n_records: int = 0
    contigs: dict[str, int] = field(default_factory=dict)
    """Records of each contig, in order of appearance."""
    out_of_order: VcfRecord | None = None
    """The first record that makes an index impossible."""
    undeclared: list[str] = field(default_factory=list)
    """Header lines for INFO, FORMAT and FILTER that records use and the header does not declare."""


def scan(vcf: VcfFile, *, for_bcf: bool = False) -> VcfScan:
    """Read to the end, and raise InputFileError for the first thing that is wrong.

    What the header does not declare, and what BCF cannot hold, is looked for only where BCF will be
    written.
    """
    with vcf.open_vcf() as reader:
        result = VcfScan(reader.header)
        order = Order()
        encoding = _Encoding(vcf, reader.header, result) if for_bcf else None
        for record in reader.records():
            if not order.goes_on_with(record) and result.out_of_order is None:
                result.out_of_order = record
            result.contigs[record.chrom] = result.contigs.get(record.chrom, 0) + 1
            if encoding is not None:
                encoding.check(record)
        if encoding is not None:
            encoding.finish()
        result.n_records = sum(result.contigs.values())
        return result


class Order:
    """Whether records come as an index needs them: contigs in one piece, positions ascending."""

    def __init__(self) -> None:
        self._contigs: set[str] = set()
        self._last: tuple[str, int] | None = None

    def goes_on_with(self, record: VcfRecord) -> bool:
        """False for a record that should have come before."""
        last, self._last = self._last, (record.chrom, record.start)
        if last is None or last[0] != record.chrom:
            is_new = record.chrom not in self._contigs
            self._contigs.add(record.chrom)
            return is_new
        return record.start >= last[1]


def encoder_for(path: Path | str, header: VcfHeader) -> BcfEncoder:
    """An encoder; raises InputFileError, naming the line, for a header that BCF cannot hold."""
    try:
        return encoder_of(header)
    except BcfHeaderError as error:
        problem = f"{error}; {OTHER_OUTPUT}"
        raise InputFileError(path, problem, line=header.number_of(error.line)) from error


def refused_for_bcf(path: Path | str, record: VcfRecord, problem: str) -> InputFileError:
    """The error about a record that BCF cannot hold."""
    where = "" if record.line is not None else f"{record.place}: "
    return InputFileError(path, f"{where}{problem}; {OTHER_OUTPUT}", line=record.line)


def encoded(path: Path | str, batch: BcfBatch) -> bytes:
    """What waits in a batch, as BCF. Raises InputFileError."""
    try:
        return batch.encode()
    except BcfRecordError as error:
        problem = "htslib cannot encode this record as BCF"
        raise refused_for_bcf(path, error.record, problem) from error


class _Encoding:
    """Encodes the records of a scan, to throw the result away."""

    def __init__(self, vcf: VcfFile, header: VcfHeader, result: VcfScan) -> None:
        self._vcf = vcf
        self._header = header.without_own()
        self._result = result
        self._undeclared = Undeclared(self._header)
        self._contigs = self._header.declared("contig")
        self._more: list[str] = []
        self._start()

    def check(self, record: VcfRecord) -> None:
        """Raise InputFileError for what BCF cannot hold."""
        new = self._undeclared.new_in(record.columns)
        self._result.undeclared += new
        if record.chrom not in self._contigs:
            self._contigs.add(record.chrom)
            new = [*new, contig_line(record.chrom, None)]
        if new:
            self.finish()
            self._more += new
            self._start()
        if (problem := self._rules.problem(record.columns)) is not None:
            raise refused_for_bcf(self._vcf.path, record, problem)
        self._batch.add(record, record.with_info({}))
        if self._batch.is_full:
            self.finish()

    def finish(self) -> None:
        """Encode what is waiting."""
        encoded(self._vcf.path, self._batch)

    def _start(self) -> None:
        header = self._header.extended(self._more)
        self._rules = BcfRules(header)
        self._batch = BcfBatch(encoder_for(self._vcf.path, header))


class Undeclared:
    """Names that records use and the header does not declare: VCF is lenient there, BCF is not."""

    def __init__(self, header: VcfHeader) -> None:
        self._known = {kind: header.declared(kind) for kind in ("INFO", "FORMAT", "FILTER")}
        self._seen: set[tuple[str, str]] = set()

    def new_in(self, columns: tuple[str, ...]) -> list[str]:
        """Header lines for what a record uses and none before it has used."""
        lines: list[str] = []
        # Most records repeat the filters, the format and the INFO keys of others.
        if ("FILTER", columns[6]) not in self._seen:
            self._seen.add(("FILTER", columns[6]))
            for name in columns[6].split(";"):
                lines += self._line("FILTER", name, '##FILTER=<ID={},Description="Not declared">')
        for entry in columns[7].split(";"):
            name, equals, _ = entry.partition("=")
            if name not in self._known["INFO"] and name not in INFO_TAGS:
                number = "Number=1,Type=String" if equals else "Number=0,Type=Flag"
                lines += self._line(
                    "INFO", name, f'##INFO=<ID={{}},{number},Description="Not declared">'
                )
        if len(columns) > N_FIXED:
            keys = columns[8].partition("\t")[0]
            if ("FORMAT", keys) not in self._seen:
                self._seen.add(("FORMAT", keys))
                for name in keys.split(":"):
                    lines += self._line(
                        "FORMAT",
                        name,
                        '##FORMAT=<ID={},Number=1,Type=String,Description="Not declared">',
                    )
        return lines

    def _line(self, kind: str, name: str, template: str) -> list[str]:
        if name in self._known[kind] or name in ("", "."):
            return []
        self._known[kind].add(name)
        return [template.format(name)]
