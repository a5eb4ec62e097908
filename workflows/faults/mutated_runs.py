"""Inputs to mutate whose reading shows in an output: VCF and BCF, journals, manifests of outputs.

Whole runs of the program, in this process.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import plain_readers as plain
import pysam
import pysam.bcftools
from bench import Bench
from Bio import bgzf
from kind import Kind, differing

from hyenadna_cli import cli
from hyenadna_cli.core.outputs import journal
from hyenadna_cli.errors import HyenaDNAError

_DOCUMENTED = (0, 1, 2, 3, 4, 5, 6, 75, 130, 143)
_HEADER = """##fileformat=VCFv4.2
##FILTER=<ID=q10,Description="low">
##INFO=<ID=DP,Number=1,Type=Integer,Description="depth">
##INFO=<ID=AF,Number=A,Type=Float,Description="share">
##INFO=<ID=DB,Number=0,Type=Flag,Description="known">
##INFO=<ID=END,Number=1,Type=Integer,Description="end">
##FORMAT=<ID=GT,Number=1,Type=String,Description="genotype">
##FORMAT=<ID=DP,Number=1,Type=Integer,Description="depth">
##contig=<ID=chr1,length=600>
##contig=<ID=chr2,length=199>
##contig=<ID=chrM,length=90>
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tone\ttwo
"""


class RefusedError(HyenaDNAError):
    """A run of the program has ended with a documented exit code other than 0 and 1."""

    def __init__(self, exit_code: int, said: str) -> None:
        super().__init__(said)
        self.exit_code = exit_code


def program(*arguments: str) -> None:
    """Run the program here. Raises RefusedError, RuntimeError for exit 1 or an undocumented one."""
    said = io.StringIO()
    code: object = "none"
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            cli.main(list(arguments))
        except SystemExit as end:
            code = end.code or 0
    last = said.getvalue().strip().rpartition("\n")[2]
    if code == 1 or code not in _DOCUMENTED:
        raise RuntimeError(f"exit code {code}: {last}")
    if code:
        raise RefusedError(int(str(code)), last)


class Runs:
    """The folder, the genome, runs of the bench, and the kinds made of them."""

    def __init__(self, folder: Path, bench: Bench, fasta: Path, contigs: dict[str, str]) -> None:
        self.folder, self.bench, self.contigs = folder, bench, contigs
        model = bench.alleles[bench.alleles.index("-m") :]
        self.alleles = ("--fasta", str(fasta), *model, "--window", "24", "--force")
        self.has_bcftools = shutil.which("bcftools") is not None

    def kinds(self) -> Iterator[Kind]:
        """All of them."""
        vcf = self._vcf()
        yield Kind("VCF", vcf, partial(self._judge_vcf, "x.vcf"))
        yield Kind("VCF, gzip", gzip.compress(vcf, mtime=0), self._judge_packed_vcf, False)
        if self.has_bcftools:
            yield Kind("VCF, written as BCF", vcf, self._judge_vcf_to_bcf)
            bcf = self._bcf(vcf)
            yield Kind("BCF", bcf, partial(self._judge_bcf, False), False)
            # Compressed data have a checksum; behind it, damage is seen by the parser alone.
            inside = gzip.decompress(bcf)
            yield Kind(
                "BCF, changed before compression", inside, partial(self._judge_bcf, True), False
            )
        yield from self._interrupted()
        yield from self._shards()

    def _vcf(self) -> bytes:
        ref = {name: letters.upper() for name, letters in self.contigs.items()}
        rows = [
            ("chr1", 50, "rs1", 1, "G", "50", "PASS", "DP=10;AF=0.5"),
            ("chr1", 200, ".", 1, "A,T", ".", ".", "AF=0.1,0.2;DB"),
            ("chr1", 210, "del;x", 4, ref["chr1"][209], "9.5", "q10", "DP=3"),
            ("chr1", 320, ".", 1, "<DEL>", ".", "PASS", "END=340"),
            ("chr1", 500, "ins", 1, ref["chr1"][499] + "ACG", "1e-3", "PASS", "."),
            ("chr2", 20, ".", 2, "GC", ".", "PASS", "DP=1"),
            ("chr2", 100, ".", 1, "*", "7", "PASS", "DP=2"),
            ("chrM", 89, "rs9", 1, "C", "7", "PASS", "DP=2"),
        ]
        text = _HEADER
        for chrom, pos, name, size, alt, *rest in rows:
            letters = ref[chrom][pos - 1 : pos - 1 + size]
            cells = (chrom, str(pos), name, letters, alt, *rest, "GT:DP", "0/1:5", "0|0:.")
            text += "\t".join(cells) + "\n"
        return text.encode()

    def _bcf(self, vcf: bytes) -> bytes:
        (self.folder / "in.vcf").write_bytes(vcf)
        path = self.folder / "in.bcf"
        pysam.bcftools.view(
            "--no-version", "-Ob", "-o", str(path), str(self.folder / "in.vcf"), catch_stdout=False
        )
        return path.read_bytes()

    def _score(self, name: str, data: bytes, output: str) -> Path:
        source, target = self.folder / name, self.folder / output
        source.write_bytes(data)
        target.unlink(missing_ok=True)
        program("score-variants", str(source), *self.alleles, "-o", str(target))
        return target

    def _judge_vcf(self, name: str, data: bytes) -> str | None:
        return self._scored_vcf(self._score(name, data, "out.vcf"), data)

    def _judge_packed_vcf(self, data: bytes) -> str | None:
        return self._scored_vcf(self._score("x.vcf.gz", data, "out.vcf"), plain.unpacked(data))

    def _scored_vcf(self, output: Path, data: bytes) -> str | None:
        """All columns as they were but INFO, which has more; bcftools agrees."""
        before, after = plain.vcf(data), plain.vcf(output.read_bytes())
        without_info = ([row[:7] + row[8:] for row in rows] for rows in (after, before))
        if problem := differing(*without_info):
            return problem
        for old, new in zip(before, after, strict=True):
            entries = [entry for entry in new[7].split(b";") if not entry.startswith(b"HD_")]
            expected = [entry for entry in old[7].split(b";") if not entry.startswith(b"HD_")]
            if entries != expected and not (entries == [] and expected in ([b"."], [b""])):
                return f"INFO {new[7]!r} of {old[7]!r}"
            if b"HD_STATUS=" not in new[7]:
                return f"no status in {new[7]!r}"
        source = self.folder / "plain.vcf"
        source.write_bytes(data)
        if self.has_bcftools and (seen := _bcftools(source)) is not None:
            if (again := _bcftools(output)) is None:
                return "bcftools reads the input and not the output"
            return differing([row[:7] for row in again], [row[:7] for row in seen])
        return None

    def _judge_vcf_to_bcf(self, data: bytes) -> str | None:
        output = self._score("x.vcf", data, "out.bcf")
        records = _bcftools(output)
        if records is None:
            return "bcftools does not read the BCF"
        got = [[chrom, int(pos), ref, alt] for chrom, pos, _, ref, alt, *_ in records]
        rows = [[cell.decode("utf-8", "surrogateescape") for cell in r] for r in plain.vcf(data)]
        expected = [[chrom, int(pos), ref, alt] for chrom, pos, _, ref, alt, *_ in rows]
        return differing(got, expected)

    def _judge_bcf(self, is_unpacked: bool, data: bytes) -> str | None:
        if is_unpacked:
            packed = io.BytesIO()
            with bgzf.BgzfWriter(fileobj=packed) as writer:
                writer.write(data)
                writer.flush()
                data = packed.getvalue() + _BGZF_END
        output = self._score("x.bcf", data, "out.vcf")
        seen = _bcftools(self.folder / "x.bcf") or _later_bcftools(self.folder / "x.bcf")
        if seen is None:
            return "bcftools does not read the BCF"
        columns = [
            [c.decode("utf-8", "surrogateescape") for c in r]
            for r in plain.vcf(output.read_bytes())
        ]
        return differing([row[:7] for row in columns], [row[:7] for row in seen])

    def _interrupted(self) -> Iterator[Kind]:
        """An output, the journal that a kill would have left of it, and its manifest."""
        output = self.folder / "done.tsv"
        self.resumed = (*self.bench.case("embed (.tsv)").arguments, "-o", str(output))
        kept: list[bytes] = []
        keep = journal.JournalFile.keep

        def kept_too(
            self: journal.JournalFile, *arrays: journal.Array, ends_chunk: bool = True
        ) -> None:
            keep(self, *arrays, ends_chunk=ends_chunk)
            if self.n_chunks == 2 and ends_chunk:
                kept.append(journal.journal_path(output).read_bytes())

        journal.JournalFile.keep = kept_too  # type: ignore[method-assign]
        try:
            program(*self.resumed)
        finally:
            journal.JournalFile.keep = keep  # type: ignore[method-assign]
        self.whole = output.read_bytes()
        manifest = output.with_name("done.tsv.manifest.json")
        yield Kind("journal", kept[0], self._judge_journal, False)
        yield Kind("manifest of an output", manifest.read_bytes(), self._judge_manifest)

    def _judge_journal(self, data: bytes) -> str | None:
        output = self.folder / "done.tsv"
        output.unlink(missing_ok=True)
        journal.journal_path(output).unlink(missing_ok=True)
        journal.journal_path(output).write_bytes(data)
        program(*self.resumed, "--resume")
        return (
            None if output.read_bytes() == self.whole else "other rows than of an undisturbed run"
        )

    def _judge_manifest(self, data: bytes) -> str | None:
        output = self.folder / "done.tsv"
        output.write_bytes(self.whole)
        journal.journal_path(output).unlink(missing_ok=True)
        output.with_name("done.tsv.manifest.json").write_bytes(data)
        program(*self.resumed, "--resume")
        return (
            None if output.read_bytes() == self.whole else "other rows than of an undisturbed run"
        )

    def _shards(self) -> Iterator[Kind]:
        """One of two shards, and its manifest."""
        for number in (1, 2):
            output = str(self.folder / f"shard{number}.tsv")
            program(*self.resumed[:-1], output, "--shard", f"{number}/2")
        self.shard = {
            name: (self.folder / name).read_bytes()
            for name in ("shard1.tsv", "shard1.tsv.manifest.json")
        }
        for kind, (name, data) in zip(
            ("shard", "manifest of a shard"), self.shard.items(), strict=True
        ):
            yield Kind(kind, data, partial(self._judge_shard, name))

    def _judge_shard(self, name: str, data: bytes) -> str | None:
        for other, as_written in self.shard.items():
            (self.folder / other).write_bytes(data if other == name else as_written)
        merged = self.folder / "merged.tsv"
        merged.unlink(missing_ok=True)
        shards = [str(self.folder / f"shard{number}.tsv") for number in (1, 2)]
        program("merge", *shards, "-o", str(merged), "--force")
        return None if merged.read_bytes() == self.whole else "other rows than of the unsharded run"


_BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


def _bcftools(path: Path) -> list[list[str]] | None:
    """The columns of the records as bcftools prints them; None if it fails."""
    command = ["bcftools", "view", "-H", str(path)]
    done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603
    if done.returncode:
        return None
    text = done.stdout.decode("utf-8", "surrogateescape")
    return [line.split("\t") for line in text.split("\n")[:-1]]


def _later_bcftools(path: Path) -> list[list[str]] | None:
    """As `_bcftools`, by the one in pysam: older ones refuse records that it reads."""
    try:
        text = pysam.bcftools.view("-H", str(path))
    except (pysam.SamtoolsError, UnicodeDecodeError):
        return None
    return [line.split("\t") for line in text.split("\n")[:-1]]
