"""Cases of runs that are interrupted, go on in the same or in the other version, or are refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from version_cases.base import AT_ONCE, GENOME, TINY, Case, Command, hyenadna, one, several
from version_cases.records import EMBED_MANY, SCORE_MANY
from version_cases.training import RANDOM, equal_runs

# Each region is a block of its own.
_MUTAGENIZE = (
    "mutagenize", *GENOME, *TINY, "--window", "128", "--region", "chr1:4,001-4,030", "--region",
    "chr1:5,001-5,030", "--region", "chr1:6,001-6,030",
)  # fmt: skip


def resumed_cases() -> Iterator[Case]:
    """Runs that a signal or a time limit ends go on to the bytes of undisturbed ones."""
    yield _resumed_after_signal("resumed-embed", EMBED_MANY, "x.h5ad", "embed-shards/whole.h5ad")
    yield _resumed_after_signal(
        "resumed-score", (*SCORE_MANY, "-W"), "x.vcf.gz", "score-shards/whole.vcf.gz"
    )
    whole, output = "resumed-mutagenize/whole.tsv", "resumed-mutagenize/x.tsv"
    go_on = (*_MUTAGENIZE, "-o", output, "--resume")
    yield several(
        "resumed-mutagenize",
        hyenadna(*_MUTAGENIZE, "-o", whole),
        hyenadna(*_MUTAGENIZE, "-o", output, *AT_ONCE),
        hyenadna(*go_on, "--strand", "+"),
        hyenadna(*go_on),
        hyenadna(*go_on),
        equal=((output, whole),),
    )


def _resumed_after_signal(name: str, command: tuple[str, ...], output: str, whole: str) -> Case:
    broken = f"{name}/{output}"
    return several(
        name,
        hyenadna(*command, "-o", broken, stopped_by=f"{broken}.journal"),
        hyenadna(*command, "-o", broken, "--resume"),
        equal=((broken, whole),),
    )


def handed_over_cases() -> Iterator[Case]:
    """BEFORE is interrupted, AFTER goes on, or refuses to in one line."""
    embed = (*EMBED_MANY, "-o", "handover-embed/x.h5ad")
    yield _handed_over(
        "handover-embed",
        hyenadna(*embed, stopped_by="handover-embed/x.h5ad.journal"),
        hyenadna(*embed, "--resume"),
        equal=(("handover-embed/x.h5ad", "embed-shards/whole.h5ad"),),
    )
    pretrain = (*RANDOM, "-o", "handover-pretrain/run")
    yield _handed_over(
        "handover-pretrain",
        hyenadna(*pretrain, *AT_ONCE),
        hyenadna(*pretrain, "--resume"),
        equal=equal_runs("handover-pretrain/run"),
    )


def _handed_over(name: str, *commands: Command, equal: tuple[tuple[str, str], ...]) -> Case:
    return replace(several(name, *commands, equal=equal), is_handover=True)


def refused_cases() -> Iterator[Case]:
    """Bad command lines and bad inputs: exit codes and messages."""
    embed = ("embed", *TINY)
    sequences = (*embed, "--fasta", "inputs/genes.fa")
    in_genome = (*embed, *GENOME, "--bed")
    score = ("score-variants", *GENOME, *TINY)
    finetune = ("finetune", *TINY, "--epochs", "1", "--compare", "none", "-o", "HERE/run")
    labelled = ("--data", "test_data/labelled.csv")
    commands = {
        "missing-file": (*embed, "--fasta", "inputs/absent.fa"),
        "missing-file-json": ("--log-format", "json", *embed, "--fasta", "inputs/absent.fa"),
        "wrong-suffix": (*sequences, "-o", "HERE/x.xyz"),
        "bad-bed": (*in_genome, "inputs/bad.bed"),
        "unknown-contig": (*in_genome, "inputs/unknown.bed"),
        "beyond-contig": (*in_genome, "inputs/beyond.bed"),
        "bad-letters": (*embed, "--fasta", "inputs/protein.fa"),
        "empty-fasta": (*embed, "--fasta", "inputs/empty.fa"),
        "existing-output": (*sequences, "-o", "inputs/existing.tsv"),
        "long-window": (*sequences, "--window", "1m"),
        "unknown-option": (*sequences, "--colour", "red"),
        "unknown-command": ("embedd",),
        "bad-shard": (*sequences, "--shard", "3/2"),
        "shard-of-stream": (*embed, "--fasta", "-", "--shard", "1/2"),
        "bad-layers": (*sequences, "--layers", "9"),
        "bad-length": (*sequences, "--window", "1x"),
        "bad-device": (*sequences, "--device", "abacus"),
        "stats-on-folder": (*sequences, "--stats", "test_data"),
        "missing-folder": (*sequences, "-o", "absent/x.tsv"),
        "broken-model": ("embed", "--fasta", "inputs/genes.fa", "-m", "inputs/broken_model"),
        "missing-model": ("embed", "--fasta", "inputs/genes.fa", "-m", "absent", "--offline"),
        "no-head": ("predict", "-m", "pretrain-random/run", "--fasta", "inputs/genes.fa"),
        "headerless-vcf": (*score, "inputs/headerless.vcf"),
        "unsorted-vcf": (*score, "inputs/unsorted.vcf", "-W", "-o", "HERE/x.vcf.gz"),
        "no-genome": ("score-variants", "test_data/variants.vcf", *TINY),
        "bad-region": ("mutagenize", *GENOME, *TINY, "--region", "chr1:9-5"),
        "bad-scores": (*score, "test_data/variants.vcf", "--scores", "llr,best"),
        "missing-labels": (*finetune, *labelled, "--label-columns", "nothing"),
        "bad-toml": (*finetune, *labelled, "--config", "inputs/bad.toml"),
        "bad-freeze": (*finetune, *labelled, "--freeze", "half"),
        "bad-length-schedule": (*RANDOM, "-o", "HERE/run", "--length-schedule", "64"),
        "missing-shard": ("merge", "embed-shards/1.h5ad", "embed-shards/3.h5ad"),
        "bad-picture": ("plot", "training", "pretrain-random/run", "-o", "HERE/x.jpg"),
        "long-generation": ("generate", "--length", "1k", *TINY),
    }
    for name, arguments in commands.items():
        folder = f"refused-{name}"
        yield one(folder, *(text.replace("HERE", folder) for text in arguments))
