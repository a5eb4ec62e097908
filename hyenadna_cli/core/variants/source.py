"""Where score-variants reads from: a VCF or BCF, and the genome that it is about.

A file is read to its end when the source is opened, so that whatever is wrong with it is known
before a model is loaded; a stream is checked as it is read. Memory does not grow with either.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Self

import numpy as np

from hyenadna_cli.core.config.choices import MAX_N_RUN, ContigMap
from hyenadna_cli.core.io.contigs import ContigNames
from hyenadna_cli.core.io.fasta import Genome
from hyenadna_cli.core.io.vcf import (
    VcfFile,
    VcfHeader,
    VcfReader,
    VcfRecord,
    contig_line,
)
from hyenadna_cli.core.io.vcf_scan import Order, VcfScan, encoder_for, scan
from hyenadna_cli.core.outputs.shards import Shard, shard_range
from hyenadna_cli.core.variants.alleles import Layout, Site, Variant, assess
from hyenadna_cli.core.variants.stretches import Stretches
from hyenadna_cli.errors import InputFileError, UsageError

log = logging.getLogger(__name__)


class VariantSource:
    """The records of `vcf` ("-" for stdin) as sites of a genome; a context manager.

    The genome is `fasta`, else the VCF's own `##reference=`. Raises UsageError if there is none,
    InputFileError for what is wrong with the files.
    """

    def __init__(
        self,
        vcf: str,
        *,
        fasta: str | None,
        contig_map: ContigMap = "exact",
        rename_chrs: Path | None = None,
        for_bcf: bool = False,
        for_index: bool = False,
        is_strict: bool = False,
        max_n_run: int = MAX_N_RUN,
    ) -> None:
        """`for_bcf`: the output needs a header that declares all that records use.

        `for_index`: records must be sorted. `is_strict`: contig lengths of the header that differ
        from the FASTA's are an error. `max_n_run`: windows end at longer runs of N.
        """
        self._vcf = VcfFile(vcf)
        self.scan: VcfScan | None = None
        """What a first reading has found; None for a stream."""
        self._stream: VcfReader | None = None
        self._for_index = for_index
        self._stack = ExitStack()
        try:
            if self._vcf.reads_once:
                self._stream = self._stack.enter_context(self._vcf.open_vcf())
                self.header: VcfHeader = self._stream.header
                if for_bcf:
                    encoder_for(vcf, self.header.without_own())
            else:
                self.scan = scan(self._vcf, for_bcf=for_bcf)
                self.header = self.scan.header
                if for_index and self.scan.out_of_order is not None:
                    raise self._unsorted(self.scan.out_of_order)
            self.fasta = fasta or self._own_reference()
            self.genome = self._stack.enter_context(Genome(self.fasta))
            self._stretches = Stretches(self.genome, max_n_run=max_n_run)
            self._rename_chrs = rename_chrs
            self._contigs = ContigNames.choose(self.genome.lengths, contig_map, rename_chrs)
            self._check_contigs()
            self._check_lengths(is_strict=is_strict)
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()

    @property
    def inputs(self) -> list[str]:
        """The files read, for provenance."""
        read = (self._vcf.path, self.fasta, self._rename_chrs)
        return [str(name) for name in read if name is not None]

    def select(self, shard: str | None, *, bases_per_site: int) -> range | None:
        """The records (0-based) of a shard such as `3/16`; None for all."""
        if shard is None:
            return None
        parsed = Shard.parse(shard)
        if self.scan is None:
            raise UsageError(f"--shard {parsed} needs a file; stdin and pipes are read only once")
        return shard_range(np.full(self.scan.n_records, bases_per_site, dtype=np.int64), parsed)

    def n_records(self, selected: range | None) -> int | None:
        """How many records will be read; None for a stream."""
        if selected is not None:
            return len(selected)
        return None if self.scan is None else self.scan.n_records

    def sites(
        self, *, layout: Layout, max_allele_length: int, selected: range | None = None
    ) -> Iterator[tuple[VcfRecord, Site]]:
        """Records in order, assessed; a stream can be read once only."""
        first, last = (0, None) if selected is None else (selected.start, selected.stop)
        for record in islice(self._records(), first, last):
            variant = Variant(
                self._contigs.resolve(record.chrom), record.start, record.ref, record.alts
            )
            yield (
                record,
                assess(
                    variant, self._stretches, layout=layout, max_allele_length=max_allele_length
                ),
            )

    def missing_header_lines(self) -> list[str]:
        """Declarations that an output needs: of contigs, and `for_bcf` of all that is used."""
        declared = self.header.declared("contig")
        if self.scan is not None:
            names = [name for name in self.scan.contigs if name not in declared]
        else:
            names = [] if declared else list(self.genome.lengths)
        lines = []
        for name in names:
            contig = self._contigs.resolve(name)
            lines.append(contig_line(name, self.genome.lengths.get(contig or "")))
        return lines if self.scan is None else lines + self.scan.undeclared

    def explain_mismatch(self, record: VcfRecord) -> InputFileError:
        """The error for a REF that the genome does not have (--check-ref e)."""
        return InputFileError(
            self._vcf.path,
            f"{record.place}: REF is not what {self.fasta} has there; is it the same assembly? "
            "--check-ref w marks such records, x leaves them out",
            line=record.line,
        )

    def _records(self) -> Iterator[VcfRecord]:
        if self._stream is not None:
            order = Order()
            for record in self._stream.records():
                if self._for_index and not order.goes_on_with(record):
                    raise self._unsorted(record)
                yield record
            return
        with self._vcf.open_vcf() as reader:
            yield from reader.records()

    def _unsorted(self, record: VcfRecord) -> InputFileError:
        return InputFileError(
            self._vcf.path,
            f"{record.place} is out of order, and -W needs sorted records: bcftools sort",
            line=record.line,
        )

    def _own_reference(self) -> str:
        reference = self.header.reference
        if reference is not None and Path(reference).is_file():
            return reference
        said = "" if reference is None else f" (it says {reference}, which is not a file here)"
        raise UsageError(
            "which genome? give --fasta FILE, set HYENADNA_FASTA, or have a ##reference= line with "
            f"its path in the VCF{said}"
        )

    def _check_contigs(self) -> None:
        """Refuse a VCF of which no contig is in the FASTA; warn where some are missing."""
        used = list(self.scan.contigs) if self.scan else sorted(self.header.declared("contig"))
        missing = [name for name in used if self._contigs.resolve(name) is None]
        if not missing:
            return
        explanation = self._contigs.explain_missing(missing[0])
        if len(missing) == len(used):
            raise InputFileError(self._vcf.path, f"no record can be scored: {explanation}")
        if self.scan is not None:
            n_records = sum(self.scan.contigs[name] for name in missing)
            log.warning(
                "%s: %s records are on %d contigs that the FASTA does not have: %s",
                self._vcf.path,
                f"{n_records:,}",
                len(missing),
                explanation,
            )

    def _check_lengths(self, *, is_strict: bool) -> None:
        """Warn where the header states other contig lengths than the FASTA has."""
        differing = []
        for name, length in self.header.contig_lengths().items():
            contig = self._contigs.resolve(name)
            if contig is not None and self.genome.lengths[contig] != length:
                differing.append((name, length, contig))
        if not differing:
            return
        name, length, contig = differing[0]
        problem = (
            f"the header says that {name} has {length:,} bp, but {contig} of {self.fasta} has "
            f"{self.genome.lengths[contig]:,} bp; lengths differ for {len(differing):,} contigs: "
            "is it the same assembly?"
        )
        if is_strict:
            raise InputFileError(self._vcf.path, f"{problem} (--strict)")
        log.warning("%s: %s", self._vcf.path, problem)
