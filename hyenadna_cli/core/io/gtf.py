"""GTF to regions, line by line: 1-based closed in the file, 0-based half-open in the program.

| `--feature` | a region for each | that is | named |
|---|---|---|---|
| gene | `gene` line | the line | gene_name, else gene_id |
| transcript, exon, cds | `transcript`, `exon`, `CDS` line | the line | transcript_id |
| promoter:A:B | `gene` line | offsets A to B around the gene's outermost start | as gene |
| tss:A:B | `transcript` line | offsets A to B around its first base | transcript_id |
| splice:A:B | end of an intron of a transcript | offsets A to B around it | transcript_id:donor |
| | | | or :acceptor |

Offsets count in reading direction and leave out B. 0 is the first transcribed base, or the first
base behind the boundary: of the intron at a donor, of the exon at an acceptor. So tss:-500:500 has
500 bases on either side. What reaches past the end of a contig is clipped, or left out if nothing
remains. Regions come in the order of the lines; none is merged with another, so an exon that
stands in three transcripts is three regions. Without a transcript_id the name is that of the gene.

| column | GENCODE | Ensembl | NCBI |
|---|---|---|---|
| gene_id, transcript_id | the same, versions as they are | | |
| gene_name | gene_name | gene_name | gene |
| gene_type | gene_type | gene_biotype | gene_biotype |

What a line does not say of its gene is taken from the gene's own line, if that came before it.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Self

from hyenadna_cli.core.dna.coordinates import Interval, Strand, along, from_one_based
from hyenadna_cli.core.io.bed import Region
from hyenadna_cli.core.io.contigs import ContigNames
from hyenadna_cli.core.io.streams import Input
from hyenadna_cli.errors import InputFileError

log = logging.getLogger(__name__)

COLUMNS = ("gene_id", "gene_name", "gene_type", "transcript_id")
"""What goes with each region; a name or type that the file does not give is empty."""

_LINE_OF = {
    "gene": "gene",
    "transcript": "transcript",
    "exon": "exon",
    "cds": "CDS",
    "promoter": "gene",
    "tss": "transcript",
    "splice": "exon",
}
"""Which lines of a file a feature is made of."""
_AROUND = ("promoter", "tss", "splice")
_FEATURE = re.compile(r"(?P<kind>[a-z]+)(?::(?P<start>[+-]?\d+):(?P<end>[+-]?\d+))?", re.ASCII)

# A value ends at a quote before a semicolon or the end, so it may hold semicolons and quotes.
_ATTRIBUTE = re.compile(r'([^\s;"]+)\s+(?:"(.*?)(?<!\\)"|([^\s;"]+))\s*(?:;|$)')
_NEXT_ATTRIBUTE = re.compile(r'\s[^\s";]+\s+"')
"""In a value: its end was lost, its quote or the semicolon behind it."""
_KEYS = frozenset(("gene_id", "transcript_id", "gene_name", "gene", "gene_type", "gene_biotype"))
_GFF3_ATTRIBUTES = re.compile(r'[^\s;="]+=')
_STRANDS: dict[str, Strand] = {"+": "+", "-": "-", ".": "+", "?": "+"}


@dataclass(frozen=True, slots=True)
class Feature:
    """What `--feature` asks for."""

    kind: str
    start: int = 0
    """First base of the region, from the start or boundary in reading direction."""
    end: int = 0
    """One past its last base; of a kind that is around nothing, both are 0."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `exon` or `promoter:-400:100`. Raises ValueError for anything else."""
        match = _FEATURE.fullmatch(text.strip())
        if match is None or match["kind"] not in _LINE_OF:
            raise ValueError(
                f"{text!r} is none of gene, transcript, exon, cds, promoter:-400:100, "
                "tss:-500:500 and splice:-200:200"
            )
        kind = match["kind"]
        if (kind in _AROUND) != (match["start"] is not None):
            need = "needs offsets, as in" if kind in _AROUND else "is the line itself, unlike"
            raise ValueError(f"{text!r}: {kind} {need} {_AROUND[0]}:-400:100")
        start, end = int(match["start"] or 0), int(match["end"] or 0)
        if kind in _AROUND and start >= end:
            raise ValueError(f"{text!r}: {start} is not before {end}")
        return cls(kind, start, end)

    @property
    def lines(self) -> str:
        """The lines of a file that it is made of: their third column."""
        return _LINE_OF[self.kind]


@dataclass(frozen=True, slots=True)
class _Line:
    chrom: str
    kind: str
    start: int
    """0-based."""
    end: int
    strand: str
    attributes: str


def read_features(
    source: Input, feature: Feature, *, contigs: ContigNames, is_first: bool = True
) -> Generator[Region]:
    """Stream the regions of a GTF (plain, gzip, bgzip, "-" for stdin), checked on the FASTA.

    Memory grows with the genes and, for splice, with the transcripts. `is_first`: say at the end
    what was clipped. Raises InputFileError naming the line: fewer than 9 columns, GFF3, start or
    end no whole number, start after end, bad strand, a NUL byte; of lines that are used also: no
    gene_id, contig not in the FASTA, end past the contig, no strand where one is needed, exons of
    a transcript out of order. At the end, if no line is of the kind that is needed.
    """
    reader = _Reader(feature, contigs)
    kinds: Counter[str] = Counter()
    with source.open_text() as text:
        for number, row in enumerate(text, start=1):
            if row.isspace() or row.startswith(("#", "track ", "browser ")):
                if row.startswith("##gff-version") and row.split()[1:2] >= ["3"]:
                    raise InputFileError(source.path, _is_gff3(source), line=number)
                continue
            try:
                line = _line(row)
                if not kinds and _GFF3_ATTRIBUTES.match(line.attributes):
                    raise ValueError(_is_gff3(source))
                kinds[line.kind] += 1
                regions = list(reader.regions(line, number))
            except ValueError as error:
                raise InputFileError(source.path, str(error), line=number) from None
            yield from regions
    if kinds and feature.lines not in kinds:
        found = ", ".join(f"{kind} ({n:,})" for kind, n in kinds.most_common(6))
        problem = f"has no {feature.lines} line, which --feature {feature.kind} is made of; it has"
        raise InputFileError(source.path, f"{problem} {found}")
    if is_first and (reader.n_clipped or reader.n_outside):
        log.warning(
            "%s: %s region(s) reach past the end of a contig and are clipped, %s left out",
            source.path,
            f"{reader.n_clipped:,}",
            f"{reader.n_outside:,} wholly outside are",
        )


def _is_gff3(source: Input) -> str:
    read = f"gffread {source.path}"
    if source.compression != "none":
        read = f"gunzip -c {source.path} | gffread -"
    return f"is GFF3, not GTF; convert it: {read} -T -o NEW.gtf"


def _line(row: str) -> _Line:
    columns = row.rstrip("\r\n").split("\t", 8)
    if len(columns) < 9:
        raise ValueError(f"has {len(columns)} column(s); a GTF line has 9, separated by tabs")
    if "\0" in row:
        raise ValueError("holds a NUL byte")
    chrom, _, kind, first, last, _, strand, _, attributes = columns
    for name, text in (("start", first), ("end", last)):
        # int() alone would also read "1_000" and " 7 ".
        if not (text.isascii() and text.isdigit()):
            raise ValueError(f"{name} {text!r} is not a whole number")
    start, end = from_one_based(int(first)), int(last)
    if start < 0:
        raise ValueError("start 0: GTF counts from 1")
    if start >= end:
        raise ValueError(f"start {int(first):,} is after end {end:,} (1-based, closed)")
    if strand not in _STRANDS:
        raise ValueError(f"strand {strand!r} is none of + - . (column 7)")
    return _Line(chrom, kind, start, end, strand, attributes.replace("\t", " "))


class _Reader:
    """Makes regions of lines, and remembers what later lines need."""

    def __init__(self, feature: Feature, contigs: ContigNames) -> None:
        self.n_clipped = 0
        self.n_outside = 0
        self._feature = feature
        self._contigs = contigs
        self._genes: dict[str, tuple[str, str]] = {}
        """Name and type by gene_id."""
        self._exons: dict[tuple[str, str, str], tuple[int, int, bool | None]] = {}
        """The last exon of each transcript, and whether it is right of the one before it."""

    def regions(self, line: _Line, number: int) -> Iterator[Region]:
        """Those that a line completes."""
        kind, is_used = self._feature.kind, line.kind == self._feature.lines
        is_restart = kind == "splice" and line.kind == "transcript"
        if not (is_used or is_restart or line.kind == "gene"):
            return
        columns = self._columns(line)
        gene_id, gene_name, gene_type, transcript_id = columns
        gene = gene_name or gene_id
        if line.kind == "gene":
            self._genes[gene_id] = (gene_name, gene_type)
        if is_restart:
            # A second copy of a transcript elsewhere shares its ID in some files.
            self._exons.pop((line.chrom, line.strand, transcript_id or gene_id), None)
        if not is_used:
            return
        length = self._contigs.lengths[self._contigs.holding(line.chrom, line.end)]
        name = gene if line.kind == "gene" else transcript_id or gene
        for start, end, of in self._places(line, transcript_id or gene_id):
            kept = (max(0, start), min(length, end))
            if kept[0] >= kept[1]:
                self.n_outside += 1
                continue
            self.n_clipped += kept != (start, end)
            yield self._region(line, kept, name + of, columns, number)

    def _region(
        self, line: _Line, place: tuple[int, int], name: str, columns: tuple[str, ...], number: int
    ) -> Region:
        contig = self._contigs.holding(line.chrom, place[1])
        return Region(
            chrom=line.chrom,
            interval=Interval(contig, *place, _STRANDS[line.strand]),
            name=name,
            has_name=True,
            has_strand=line.strand in ("+", "-"),
            columns=columns,
            line=number,
            titles=COLUMNS,
        )

    def _columns(self, line: _Line) -> tuple[str, str, str, str]:
        values: dict[str, str] = {}
        for key, quoted, bare in _ATTRIBUTE.findall(line.attributes):
            if key not in _KEYS:
                continue
            if _NEXT_ATTRIBUTE.search(quoted):
                raise ValueError(f"no semicolon ends the value of {key}")
            value = quoted.replace('\\"', '"') or bare
            if values.setdefault(key, value) != value and key in ("gene_id", "transcript_id"):
                raise ValueError(f"gives {key} twice: {values[key]!r} and {value!r}")
        gene_id = values.get("gene_id", "")
        if not gene_id:
            raise ValueError(f"the {line.kind} line has no gene_id")
        name, type_ = self._genes.get(gene_id, ("", ""))
        name = values.get("gene_name") or values.get("gene") or name
        type_ = values.get("gene_type") or values.get("gene_biotype") or type_
        return gene_id, name, type_, values.get("transcript_id", "")

    def _places(self, line: _Line, transcript: str) -> Iterator[tuple[int, int, str]]:
        """Start and end (0-based half-open, not clipped), and what to add to the name."""
        feature = self._feature
        if feature.kind not in _AROUND:
            yield line.start, line.end, ""
            return
        if line.strand not in ("+", "-"):
            raise ValueError(f"strand {line.strand!r}: {feature.kind} needs + or -")
        strand = _STRANDS[line.strand]
        if feature.kind == "splice":
            boundaries = self._boundaries(line, transcript)
        else:
            boundaries = iter([(line.start if strand == "+" else line.end, "")])
        for boundary, of in boundaries:
            yield *along(strand, boundary, feature.start, feature.end), of

    def _boundaries(self, exon: _Line, transcript: str) -> Iterator[tuple[int, str]]:
        """The ends of the intron between the transcript's last exon and this one, in that order."""
        key = (exon.chrom, exon.strand, transcript)
        start, end, was_right = self._exons.get(key, (None, 0, None))
        is_right = None if start is None else exon.start >= start
        self._exons[key] = (exon.start, exon.end, is_right)
        if start is None:
            return
        if was_right is not None and was_right != is_right:
            raise ValueError(
                f"the exons of {transcript} are out of order; sort the file by position: "
                "sort -k1,1 -k4,4n"
            )
        left, right = (end, exon.start) if is_right else (exon.end, start)
        if left >= right:  # They touch: no intron.
            return
        is_plus = exon.strand == "+"
        ends = [(left, ":donor" if is_plus else ":acceptor")]
        ends.append((right, ":acceptor" if is_plus else ":donor"))
        yield from ends if is_right else reversed(ends)
