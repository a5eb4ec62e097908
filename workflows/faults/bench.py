"""A folder with data, tiny models and the commands to break; runs of them are forked from here.

Each run is a process of its own, forked from this one, which has the libraries loaded already: so
the moments of the kills fall into the work and not into the loading of libraries. What is about
environments and pipes starts `python -m hyenadna_cli` instead.
"""

from __future__ import annotations

import csv
import io
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from Bio import bgzf

from hyenadna_cli import cli
from hyenadna_cli.core.config.settings import HeadConfig, ModelConfig
from hyenadna_cli.core.model.checkpoints import checkpoint
from hyenadna_cli.core.model.classifier import SequenceClassifier, save_classifier
from hyenadna_cli.core.model.hyenadna import HyenaDNA

REPOSITORY = Path(__file__).resolve().parents[2]
_SHAPE = ModelConfig(d_model=16, n_layer=2, d_inner=64, l_max=258)
_CONTIG = 100_000
_PROGRESS = {"metrics.csv", "last", "regions.bed", "checkpoints"}
"""What a run directory holds before training has ended."""


@dataclass(frozen=True)
class Case:
    """A command with everything but its output: a file, or a run directory (without suffix)."""

    arguments: tuple[str, ...]
    output: str
    to: str = "-o"
    """The option that names the output."""

    @property
    def name(self) -> str:
        """`embed (.h5ad)`, `classify-species predict (.tsv)`, `pretrain`."""
        words = self.arguments[: 2 if self.arguments[0] == "classify-species" else 1]
        suffix = "".join(Path(self.output).suffixes)
        words += (self.to,) if self.to != "-o" else ()
        return " ".join(words) + (f" ({suffix})" if suffix else "")

    @property
    def is_training(self) -> bool:
        """Whether the output is a run directory."""
        return "." not in self.output


class Bench:
    """The folder, and the commands by kind."""

    def __init__(self, folder: Path, *, n_records: int, seed: int) -> None:
        self.folder = folder
        self.random = random.Random(seed)  # noqa: S311
        bases = self._make_genome()
        self._make_regions_and_variants(bases, n_records)
        self._make_labels()
        self._make_models()
        # Compiled kernels would be compiled by every process that was forked before they were.
        common = ("--device", "cpu", "--threads", "1", "--no-version", "--kernels", "torch")
        model = ("-m", self._path("model"), *common)
        regions = ("--fasta", self._path("genome.fa"), "--bed", self._path("regions.bed"))
        self.alleles = ("--fasta", self._path("genome.fa"), *model, "--window", "64")
        vcf = self._path("variants.vcf.gz")
        # Regions of up to 32,768 bases are kept as a whole.
        spots = [f"--region=chr1:{start}-{start + 80}" for start in range(1_001, 4_001, 100)]
        heads_of = {name: ("-m", self._path(name), *common) for name in ("classes", "bases")}
        self.records = [
            Case(("embed", *regions, *model), "x.tsv"),
            Case(("embed", *regions, *model, "--pool", "mean,last"), "x.h5ad"),
            Case(("embed", *regions, *model, "--pool", "token"), "x.h5"),
            Case(("perplexity", *regions, *model), "x.tsv.gz"),
            Case(("score-variants", vcf, *self.alleles, "-W"), "x.vcf.gz"),
            Case(("score-variants", vcf, *self.alleles), "x.bcf"),
            Case(("score-variants", vcf, *self.alleles), "x.tsv"),
            Case(("mutagenize", *self.alleles, *spots), "x.tsv"),
            Case(("mutagenize", *self.alleles, *spots, "--full"), "x.bedgraph"),
            Case(("predict", *regions, *heads_of["classes"]), "x.tsv"),
            Case(("predict", *regions, *heads_of["bases"]), "x.tsv.gz"),
            Case(("classify-species", "predict", *regions, *heads_of["classes"]), "x.tsv"),
        ]
        region = ("--region", "chr1:1001-1160")
        self.maps = [
            Case(("perplexity", *regions, *model, "--window", "64"), "x.bedgraph", "--track"),
            Case(("mutagenize", *self.alleles, *region), "x.h5", "--dependencies"),
        ]
        self.generate = Case(
            (
                "generate",
                "--length",
                "100",
                "--sequences",
                "120",
                "--batch-size",
                "4",
                "--prompt",
                "TATAAA",
                *model,
            ),
            "x.fa",
        )
        labels = ("--data", self._path("labels.tsv"), *model)
        self.trainings = [
            Case(
                (
                    "pretrain",
                    "--fasta",
                    self._path("genome.fa"),
                    "--valid-contigs",
                    "chr2",
                    "--d-model",
                    "16",
                    "--n-layer",
                    "2",
                    "--max-length",
                    "128",
                    "--length-schedule",
                    "32:20,64:20",
                    "--batch-bases",
                    "512",
                    "--save-every",
                    "7",
                    "--valid-every",
                    "20",
                    "--max-steps",
                    "60",
                    *common,
                ),
                "run",
            ),
            Case(("finetune", *labels, "--epochs", "4", "--batch-size", "16"), "run"),
            Case(
                (
                    "classify-species",
                    "train",
                    "--manifest",
                    self._path("species.tsv"),
                    *model,
                    "--length",
                    "64",
                    "--max-steps",
                    "40",
                    "--batch-bases",
                    "256",
                    "--probe-bases",
                    "8k",
                    "--valid-every",
                    "10",
                    "--valid-windows",
                    "3",
                    "--save-every",
                    "7",
                ),
                "run",
            ),
            Case(("prompt-tune", *labels, "--epochs", "6"), "run"),
        ]

    def case(self, name: str) -> Case:
        """The first record-wise case of this name."""
        return next(case for case in self.records if case.name == name)

    def _path(self, name: str) -> str:
        return str(self.folder / name)

    def _write_fasta(self, name: str, contigs: dict[str, str]) -> None:
        with (self.folder / name).open("w") as fasta, (self.folder / f"{name}.fai").open("w") as i:
            for contig, bases in contigs.items():
                fasta.write(f">{contig}\n")
                i.write(f"{contig}\t{len(bases)}\t{fasta.tell()}\t{len(bases)}\t{len(bases) + 1}\n")
                fasta.write(f"{bases}\n")

    def _make_genome(self) -> str:
        drawn = {
            name: "".join(self.random.choices("ACGT", k=length))
            for name, length in (("chr1", _CONTIG), ("chr2", 5_000))
        }
        self._write_fasta("genome.fa", drawn)
        return drawn["chr1"]

    def _make_regions_and_variants(self, bases: str, n_records: int) -> None:
        starts = sorted(self.random.randrange(200, _CONTIG - 1_000) for _ in range(n_records))
        regions = "".join(f"chr1\t{s}\t{s + 60}\tr{i % 97}\n" for i, s in enumerate(starts))
        header = f"##fileformat=VCFv4.2\n##contig=<ID=chr1,length={_CONTIG}>\n"
        header += "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
        records = "".join(
            f"chr1\t{s + 1}\tv{i}\t{bases[s]}\t{'G' if bases[s] == 'A' else 'A'}\t.\t.\t.\n"
            for i, s in enumerate(starts)
        )
        few = 50  # for shards of which there are many
        for name, text in (("regions.bed", regions), ("few.bed", _head(regions, few))):
            (self.folder / name).write_text(text)
        for name, text in (("variants.vcf.gz", records), ("few.vcf.gz", _head(records, few))):
            with bgzf.open(self._path(name), "w") as file:
                file.write(header + text)
        for name, text in (("empty.bed", ""), ("empty.vcf", header), ("empty.fa", "")):
            (self.folder / name).write_text(text)

    def _make_labels(self) -> None:
        splits = ("train", "train", "train", "valid", "test")
        rows = ["sequence\tlabel\tsplit"]
        for i in range(200):
            sequence = "".join(self.random.choices("ACGT", k=60))
            rows.append(f"{sequence}\t{'ab'[i % 2]}\t{splits[i % 5]}")
        (self.folder / "labels.tsv").write_text("\n".join(rows) + "\n")
        manifest = "species\tfasta\ttrain_contigs\tvalid_contigs\ttest_contigs\n"
        for name, weights in (("yeast", (4, 1, 1, 4)), ("fly", (1, 4, 4, 1))):
            contigs = {c: "".join(self.random.choices("ACGT", weights, k=3_000)) for c in "abc"}
            self._write_fasta(f"{name}.fa", contigs)
            manifest += f"{name}\t{name}.fa\ta\tb\tc\n"
        (self.folder / "species.tsv").write_text(manifest)

    def _make_models(self) -> None:
        torch.manual_seed(1)
        (self.folder / "model").mkdir()
        checkpoint.save(HyenaDNA(_SHAPE).eval(), self.folder / "model")
        answers = {
            "classes": HeadConfig(task="multiclass", label_names=("yeast", "fly")),
            "bases": HeadConfig(task="token", label_names=("out", "in")),
        }
        for name, config in answers.items():
            (self.folder / name).mkdir()
            classifier = SequenceClassifier(HyenaDNA(_SHAPE).eval(), config, width=16)
            save_classifier(classifier, self.folder / name)

    @contextmanager
    def output_folder(self) -> Iterator[Path]:
        """An empty folder for outputs, removed afterwards."""
        with tempfile.TemporaryDirectory(dir=self.folder) as name:
            yield Path(name)

    def start(self, case: Case, output: Path, *more: str) -> int:
        """Fork a run of a case; returns its process id."""
        return self.fork([*case.arguments, case.to, str(output), *more])

    def fork(self, arguments: list[str]) -> int:
        """Fork a run of the program; stderr goes to a file, as nobody watches."""
        process = os.fork()
        if process:
            return process
        code = 99
        try:
            with (self.folder / "stderr").open("ab") as log:
                os.dup2(log.fileno(), 2)
            cli.main(arguments)
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            os._exit(code)

    def said(self) -> str:
        """The end of what forked runs have said on stderr."""
        return (self.folder / "stderr").read_text(errors="replace")[-600:]

    def shell(self, command: str) -> subprocess.CompletedProcess[bytes]:
        """Run a shell command in which `hyenadna` is the program."""
        program = f'hyenadna() {{ "{sys.executable}" -m hyenadna_cli "$@"; }}\n'
        return subprocess.run(  # noqa: S603
            ["/bin/bash", "-c", program + command],
            capture_output=True,
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            stdin=subprocess.DEVNULL,
            check=False,
        )

    def undisturbed(self, case: Case) -> tuple[dict[str, bytes], float]:
        """What a run writes that nobody disturbs, and its seconds."""
        with self.output_folder() as folder:
            started = time.monotonic()
            code = ended(self.start(case, folder / case.output))
            assert code == 0, self.said()
            return contents(folder), time.monotonic() - started


def ended(process: int) -> int:
    """Wait; the exit code, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def contents(folder: Path, *, final_only: bool = True) -> dict[str, bytes]:
    """The files of a folder by relative path; journals and unfinished files are not final.

    The seconds in the tables of training are left out: no two runs agree on them.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        is_unfinished = ".tmp." in name or name.endswith(".journal")
        if path.is_file() and not (final_only and is_unfinished):
            data = path.read_bytes()
            found[name] = _without_seconds(data) if path.name == "metrics.csv" else data
    return found


def comparable(found: dict[str, bytes]) -> dict[str, bytes]:
    """Of `contents`, what does not depend on where a training was stopped.

    A clean stop writes a checkpoint, so only the newest one is the same for all.
    """
    newest = {data.decode().strip() for name, data in found.items() if Path(name).name == "last"}
    kept = {}
    for name, data in found.items():
        steps = [part for part in Path(name).parts if re.fullmatch(r"step_\d{8}", part)]
        if not steps or steps[0] in newest:
            kept[name] = data
    return kept


def results(found: dict[str, bytes]) -> dict[str, bytes]:
    """Of `contents`, what must be whole at any moment: not the state of a training under way."""
    return {
        name: data for name, data in found.items() if not _PROGRESS.intersection(Path(name).parts)
    }


def _head(text: str, n_lines: int) -> str:
    return "".join(text.splitlines(keepends=True)[:n_lines])


def _without_seconds(table: bytes) -> bytes:
    rows = list(csv.reader(io.StringIO(table.decode())))
    if not rows or "seconds" not in rows[0]:
        return table
    column = rows[0].index("seconds")
    return "\n".join(",".join(row[:column] + row[column + 1 :]) for row in rows).encode()
