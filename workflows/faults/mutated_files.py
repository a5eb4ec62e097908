"""Sequences, regions, indexes and tables to mutate, and what a plain reader makes of them."""

from __future__ import annotations

import gzip
import io
import logging
import os
import random
import struct
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import plain_readers as plain
import pysam
from Bio import SeqIO, bgzf
from Bio.Seq import Seq
from Bio.SeqRecord import SeqRecord
from kind import Kind, differing

from hyenadna_cli.core.dna.coordinates import Interval
from hyenadna_cli.core.dna.sequence import LetterCounts
from hyenadna_cli.core.io.fasta import Genome, SequenceFile
from hyenadna_cli.core.io.records import RecordSource
from hyenadna_cli.core.tasks.labelled.files import Reading, read_labelled
from hyenadna_cli.core.tasks.species.manifest import open_genomes
from hyenadna_cli.core.tasks.species.settings import SpeciesFiles

_LINE = 50
_CLASSES = ("binary", "multiclass")
_SEQUENCE = ("sequence", "seq", "dna")
_LABEL = ("label", "labels", "target", "class", "y")


class Warnings(logging.Handler):
    """Counts what the program warns about."""

    n = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Called by logging."""
        self.n += record.levelno >= logging.WARNING


class Files:
    """The folder, a small genome in it, and the kinds made of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.random = random.Random(1)  # noqa: S311
        self.warnings = Warnings()
        logging.getLogger().addHandler(self.warnings)
        chr1 = self._drawn(600)
        chr1 = f"{chr1[:100].lower()}{'N' * 40}{chr1[140:300]}R{chr1[301:]}"
        self.contigs = {"chr1": chr1, "chr2": self._drawn(199), "chrM": self._drawn(90)}
        self.fasta = folder / "genome.fa"
        self.fasta.write_bytes(fasta_of(self.contigs))
        pysam.faidx(str(self.fasta))
        self.truth = {name: plain.bases(letters) for name, letters in self.contigs.items()}

    def kinds(self) -> Iterator[Kind]:
        """All of them."""
        fasta = self.fasta.read_bytes()
        yield Kind("FASTA", fasta, partial(self._records, "x.fa", plain.fasta))
        packed = _bgzip(fasta)
        yield Kind("FASTA, bgzip", packed, partial(self._packed_records, plain.fasta), False)
        yield Kind("FASTQ", self._fastq(), partial(self._records, "x.fq", plain.fastq))
        yield Kind("GenBank", self._genbank(), self._judge_genbank)
        twobit = twobit_of(self.contigs)
        yield Kind("2bit", twobit, partial(self._records, "x.2bit", plain.twobit), False)
        yield Kind("FASTA, index made for the run", fasta, self._judge_genome)
        yield Kind("FASTA beside its old index", fasta, self._judge_old_index)
        yield from self._indexes()
        yield Kind("BED", self._bed(), self._judge_bed)
        yield Kind("BED, gzip", gzip.compress(self._bed(), mtime=0), self._judge_packed_bed, False)
        yield Kind("GTF", self._gtf(), self._judge_gtf)
        yield Kind("--rename-chrs", b"1\tchr1\n# a comment\n2 chr2\nMT\tchrM\n", self._judge_rename)
        yield Kind("labelled CSV", self._table(","), partial(self._judge_table, "x.csv"))
        yield Kind("labelled TSV", self._table("\t"), partial(self._judge_table, "x.tsv"))
        yield Kind("species manifest", self._species(), self._judge_species)

    def _drawn(self, length: int) -> str:
        return "".join(self.random.choices("ACGT", k=length))

    def _written(self, name: str, data: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(data)
        return path

    def _fastq(self) -> bytes:
        reads = [self._drawn(length) for length in (30, 45, 1, 60)]
        return "".join(f"@r{i} x\n{r}\n+\n{'I' * len(r)}\n" for i, r in enumerate(reads)).encode()

    def _genbank(self) -> bytes:
        about = {"molecule_type": "DNA"}
        records = [
            SeqRecord(Seq(plain.bases(letters)), id=f"{name}.1", name=name, annotations=about)
            for name, letters in self.contigs.items()
        ]
        text = io.StringIO()
        SeqIO.write(records, text, "genbank")
        return text.getvalue().encode()

    def _bed(self) -> bytes:
        return (
            b"# chrom\tstart\tend\tname\tscore\tstrand\tgene\n"
            b"track name=x\nchr1\t0\t50\tfirst\t0\t+\tA\nchr1\t90\t200\tsecond\t0\t-\tB\n"
            b"chr2\t0\t199\t.\t0\t.\tC\n\nchr2\t5\t6\tone base\t7\t+\tD\n"
            b"chrM\t80\t90\tlast\t0\t+\tE\n"
        )

    def _gtf(self) -> bytes:
        """As GENCODE, Ensembl and NCBI write it."""
        of_gene = 'gene_id "g1.2"; gene_type "lncRNA"; gene_name "A;B";'
        lines = [
            ("chr1", "HAVANA", "gene", 51, 400, "+", of_gene),
            ("chr1", "HAVANA", "exon", 51, 90, "+", f'{of_gene} transcript_id "t1.1"; level 2;'),
            ("chr1", "HAVANA", "exon", 301, 400, "+", f'{of_gene} transcript_id "t1.1"; tag "x";'),
            ("chr2", "ensembl", "exon", 1, 199, "-", 'gene_id "g2"; transcript_id "t2";'),
            ("chr2", "BestRefSeq", "exon", 7, 7, "-", 'gene_id "g3"; transcript_id ""; gene "C";'),
            ("chrM", "insdc", "CDS", 10, 30, "+", 'gene_id "g4"; transcript_id "t4";'),
        ]
        text = "#!genome-build made up\n"
        for contig, source, kind, first, last, strand, attributes in lines:
            cells = (contig, source, kind, str(first), str(last), ".", strand, ".", attributes)
            text += "\t".join(cells) + "\n"
        return text.encode()

    def _table(self, separator: str) -> bytes:
        rows = [("name", "sequence", "label", "split")]
        for i in range(12):
            split = ("train", "train", "valid", "test")[i % 4]
            rows.append((f"n{i}", self._drawn(20 + i), ("yes", "no", "perhaps")[i % 3], split))
        return "".join(f"{separator.join(row)}\n" for row in rows).encode()

    def _species(self) -> bytes:
        return (
            b"species\tfasta\ttrain_contigs\tvalid_contigs\ttest_contigs\n# a comment\n"
            b"yeast\tgenome.fa\tchr1\tchr2\tchrM\nfly\tlarge.fa\ta\tb\tc\n"
        )

    def _indexes(self) -> Iterator[Kind]:
        index = Path(f"{self.fasta}.fai").read_bytes()
        self._written("copy.fa", self.fasta.read_bytes())
        judge = partial(self._judge_index, "copy.fa", ".fai", self.truth)
        yield Kind("index of FASTA (.fai)", index, judge)
        # Three blocks of bgzip.
        large = {"a": self._drawn(90_000), "b": self._drawn(90_000), "c": self._drawn(500)}
        self._written("large.fa", fasta_of(large))
        packed = self._written("large.fa.gz", _bgzip(fasta_of(large)))
        for path in (self.folder / "large.fa", packed):
            pysam.faidx(str(path))
        for suffix in (".fai", ".gzi"):
            name = f"index of bgzip FASTA ({suffix})"
            data = Path(f"{packed}{suffix}").read_bytes()
            other = Path(f"{packed}{'.gzi' if suffix == '.fai' else '.fai'}").read_bytes()
            copy = f"copy{suffix[1:]}.fa.gz"
            self._written(copy, packed.read_bytes())
            self._written(f"{copy}{'.gzi' if suffix == '.fai' else '.fai'}", other)
            judge = partial(self._judge_index, copy, suffix, large)
            yield Kind(name, data, judge, suffix == ".fai")

    def _records(
        self, name: str, read: Callable[[bytes], plain.Sequences], data: bytes
    ) -> str | None:
        path = self._written(name, data)
        records = SequenceFile(path).read(LetterCounts())
        got = [(record.name, record.sequence) for record in records]
        return differing(got, read(data) if data.strip() else [])

    def _packed_records(self, read: Callable[[bytes], plain.Sequences], data: bytes) -> str | None:
        path = self._written("x.gz", data)
        got = [(record.name, record.sequence) for record in SequenceFile(path).read(LetterCounts())]
        return differing(got, read(plain.unpacked(data)) if data.strip() else [])

    def _judge_genbank(self, data: bytes) -> str | None:
        records = SequenceFile(self._written("x.gb", data)).read(LetterCounts())
        got = [record.sequence for record in records]
        return differing(got, plain.genbank(data) if data.strip() else [])

    def _judge_genome(self, data: bytes) -> str | None:
        with Genome(self._written("x.fa", data)) as genome:
            # samtools leaves out what has no bases; no region can be there.
            got = [contig for contig in _whole(genome) if contig[1]]
        return differing(got, [(n, b) for n, b in plain.fasta(data, as_samtools=True) if b])

    def _judge_old_index(self, data: bytes) -> str | None:
        """A wrong base is allowed where the program has said that the index is older."""
        path = self._written("old.fa", data)
        index = self._written("old.fa.fai", Path(f"{self.fasta}.fai").read_bytes())
        os.utime(index, (1e9, 1e9))
        before = self.warnings.n
        with Genome(path) as genome:
            problem = differing(list(_whole(genome)), plain.fasta(data, as_samtools=True))
        return problem if self.warnings.n == before else None

    def _judge_index(
        self, fasta: str, suffix: str, truth: dict[str, str], data: bytes
    ) -> str | None:
        self._written(f"{fasta}{suffix}", data)
        with Genome(self.folder / fasta) as genome:
            for name, letters in _whole(genome):
                if letters != truth.get(name):
                    return f"contig {name!r} has {len(letters)} other bases than the genome"
        return None

    def _judge_bed(self, data: bytes) -> str | None:
        return self._regions(self._written("x.bed", data), data)

    def _judge_packed_bed(self, data: bytes) -> str | None:
        path = self._written("x.bed.gz", data)
        return self._regions(path, data)

    def _regions(self, path: Path, data: bytes) -> str | None:
        with RecordSource(str(self.fasta), bed=str(path)) as source:
            got = [(r.chrom, r.name, r.start, r.end, r.strand, r.sequence) for r in source.read()]
        expected = [
            (contig, name or f"{contig}:{a}-{b}", a, b, strand, self.truth[contig][a:b])
            for contig, name, a, b, strand in plain.bed(plain.unpacked(data))
        ]
        return differing(got, expected)

    def _judge_gtf(self, data: bytes) -> str | None:
        path = self._written("x.gtf", data)
        with RecordSource(str(self.fasta), gtf=str(path), feature="exon") as source:
            got = [(r.chrom, r.name, r.start, r.end, r.strand, r.sequence) for r in source.read()]
        expected = []
        for contig, name, start, end, strand in plain.gtf_exons(data):
            inside = end if end <= len(self.truth[contig]) else None
            letters = self.truth[contig][start:inside]
            expected.append((contig, name, start, end, strand, letters))
        return differing(got, expected)

    def _judge_rename(self, data: bytes) -> str | None:
        bed = self._written("names.bed", b"1\t0\t40\n2\t3\t9\nMT\t1\t2\n")
        path = self._written("names.txt", data)
        with RecordSource(str(self.fasta), bed=str(bed), rename_chrs=path) as source:
            got = [(record.chrom, record.sequence) for record in source.read()]
        rows = [line.split() for line in plain.text_of(data).split("\n")]
        names = dict(row for row in rows if row and not row[0].startswith("#"))
        places = (("1", 0, 40), ("2", 3, 9), ("MT", 1, 2))
        return differing(got, [(n, self.truth[names.get(n, n)][a:b]) for n, a, b in places])

    def _judge_table(self, name: str, data: bytes) -> str | None:
        path = self._written(name, data)
        read = read_labelled([str(path)], reading=Reading(), letters=LetterCounts())
        got = [
            (row.sequence, read.label_names[int(row.target)] if read.task in _CLASSES else "")
            for rows in read.splits.values()
            for row in rows
        ]
        expected = []
        for row in plain.table(data):
            sequence = plain.bases(next(row[name] for name in _SEQUENCE if name in row)).upper()
            label = next((row[name] for name in _LABEL if name in row), None)
            if label is None or read.task not in _CLASSES:
                # Which columns are labels then is the program's to say.
                got = [(letters, "") for letters, _ in got]
                label = ""
            expected.append((sequence, "-" if label == "[]" else label))
        return differing(sorted(got), sorted(expected))

    def _judge_species(self, data: bytes) -> str | None:
        path = self._written("species.tsv", data)
        with open_genomes(SpeciesFiles(manifest=path)) as genomes:
            got = [
                [one.name, one.fasta.name, *(",".join(names) for names in one.contigs.values())]
                for one in genomes.species
            ]
        rows = [
            [cell.strip() for cell in line.split("\t")]
            for line in plain.text_of(data).split("\n")
            if line.strip() and not line.startswith("#")
        ]
        expected = [
            [
                name,
                Path(fasta).name,
                *(",".join(filter(None, map(str.strip, x.split(",")))) for x in c),
            ]
            for name, fasta, *c in rows
            if name != "species"
        ]
        return differing(got, expected)


def _whole(genome: Genome) -> Iterator[tuple[str, str]]:
    for name, length in genome.lengths.items():
        genome.check(name)
        yield name, genome.fetch(Interval(name, 0, length)) if length else ""


def fasta_of(contigs: dict[str, str]) -> bytes:
    """A FASTA with lines of 50 bases."""
    lines = []
    for name, letters in contigs.items():
        lines.append(f">{name} made up")
        lines += [letters[i : i + _LINE] for i in range(0, len(letters), _LINE)]
    return "".join(f"{line}\n" for line in lines).encode()


def twobit_of(contigs: dict[str, str]) -> bytes:
    """A 2bit file, lower case and runs of N included; other IUPAC codes are N."""
    body, index = b"", b""
    offset = 16 + sum(5 + len(name) for name in contigs)
    for name, letters in contigs.items():
        index += (
            struct.pack("<B", len(name)) + name.encode() + struct.pack("<I", offset + len(body))
        )
        letters = plain.bases(letters)
        body += struct.pack("<I", len(letters))
        for is_in in ("Nn".__contains__, str.islower):
            blocks = _blocks([is_in(letter) for letter in letters])
            starts, sizes = [a for a, _ in blocks], [b - a for a, b in blocks]
            body += struct.pack(f"<{1 + 2 * len(blocks)}I", len(blocks), *starts, *sizes)
        codes = ["TCAG".find(letter) % 4 for letter in letters.upper().replace("N", "T")]
        codes += [0] * (-len(codes) % 4)
        packed = bytes(
            a << 6 | b << 4 | c << 2 | d for a, b, c, d in zip(*[iter(codes)] * 4, strict=True)
        )
        body += struct.pack("<I", 0) + packed
    return struct.pack("<4I", 0x1A412743, 0, len(contigs), 0) + index + body


def _blocks(flags: list[bool]) -> list[tuple[int, int]]:
    edges = [
        i for i in range(len(flags) + 1) if (flags[i : i + 1] == [True]) != (i > 0 and flags[i - 1])
    ]
    return list(zip(edges[::2], edges[1::2], strict=True))


def _bgzip(data: bytes) -> bytes:
    packed = io.BytesIO()
    with bgzf.BgzfWriter(fileobj=packed) as writer:
        writer.write(data)
        writer.flush()
        return packed.getvalue() + _BGZF_END


_BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
