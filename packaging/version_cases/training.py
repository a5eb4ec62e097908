"""Cases of the commands that train, and of those that read what was trained."""

from __future__ import annotations

from collections.abc import Iterator

from version_cases.base import (
    AT_ONCE,
    FEW,
    FIXED,
    GENOME,
    LABELLED,
    REGIONS,
    TINY,
    TORCH,
    Case,
    hyenadna,
    one,
    several,
)

HELD_OUT = (*GENOME, "--valid-contigs", "chrM", "--test-contigs", "scaffold_4")
RANDOM = (
    "pretrain", *HELD_OUT, "--d-model", "16", "--n-layer", "2", "--max-length", "256",
    "--batch-bases", "1024", "--length-schedule", "64:3,256:5", "--max-steps", "8",
    "--valid-every", "4", "--save-every", "3", "--seed", "5", "--lr", "1e-2", "--warmup-steps",
    "2", *TORCH,
)  # fmt: skip
"""The training of the tiny model, from random weights."""


def equal_runs(run: str) -> tuple[tuple[str, str], ...]:
    """What a resumed training must have in common with that of the tiny model."""
    names = ("model.safetensors", "training.json", "metrics.csv", "known_answer.json")
    return tuple((f"{run}/{name}", f"pretrain-random/run/{name}") for name in names)


def pretraining_cases() -> Iterator[Case]:
    """The model of most other cases, and other ways to pretrain."""
    yield one(
        "pretrain-random", *RANDOM, "-o", "pretrain-random/run", "--stats",
        "pretrain-random/stats.json",
    )  # fmt: skip
    yield one("pretrain-dry-run", *RANDOM, "-o", "pretrain-dry-run/run", "--dry-run")
    yield one(
        "pretrain-builtin", "pretrain", *HELD_OUT, "-m", "builtin", "--length-schedule", "128:2",
        "--batch-bases", "256", "--max-steps", "2", "--no-rc-aug", *FIXED, "-o",
        "pretrain-builtin/run",
    )  # fmt: skip
    yield one(
        "pretrain-config", "pretrain", *HELD_OUT, "--config", "inputs/pretrain.toml",
        "--checkpoint-blocks", "--exclude-bed", "inputs/few.bed", *TORCH, "-o",
        "pretrain-config/run",
    )  # fmt: skip
    run = "pretrain-resumed/run"
    yield several(
        "pretrain-resumed",
        hyenadna(*RANDOM, "-o", run, *AT_ONCE),
        hyenadna(*RANDOM, "-o", run),
        hyenadna(*RANDOM, "-o", run, "--resume"),
        equal=equal_runs(run),
    )


def training_cases() -> Iterator[Case]:
    """Everything else that trains, and what reads its models."""
    yield from _finetuning()
    yield from _predicting()
    yield from _prompting()
    yield from _species()


def _finetuning() -> Iterator[Case]:
    def finetune(name: str, *options: str) -> Case:
        return one(name, "finetune", *TINY, *options, "-o", f"{name}/run")

    quick = ("--epochs", "1", "--compare", "none")
    yield finetune(
        "finetune-binary", *LABELLED, "--epochs", "2", "--table", "--compare", "kmer,probe",
        "--stats", "finetune-binary/stats.json",
    )  # fmt: skip
    yield finetune("finetune-probe", *LABELLED, "--probe", "--compare", "none", "--rc-eval")
    yield finetune(
        "finetune-regression", "--data", "inputs/regression.csv", "--config",
        "inputs/finetune.toml", "--compare", "none", "--rc-aug", "--freeze", "1", "--head-init",
        "probe",
    )  # fmt: skip
    yield finetune(
        "finetune-multiclass", "--data", "inputs/multiclass.csv", *quick, "--class-weights",
        "balanced", "--seeds", "2",
    )  # fmt: skip
    yield finetune("finetune-token", "--data", "inputs/token.csv", *quick)
    yield finetune("finetune-dry-run", *LABELLED, "--dry-run")
    vectors = "finetune-embeddings/x.h5ad"
    yield several(
        "finetune-embeddings",
        hyenadna("embed", "--fasta", "inputs/labelled.fa", *TINY, "-o", vectors),
        hyenadna(
            "finetune", "--probe", "--embeddings", vectors, "--data", "inputs/labels.tsv",
            "--no-version", "-o", "finetune-embeddings/run",
        ),
    )  # fmt: skip


def _predicting() -> Iterator[Case]:
    binary = ("predict", "-m", "finetune-binary/run", *TORCH)
    yield one(
        "predict-binary", *binary, *LABELLED, "--metrics", "predict-binary/metrics.json", "-o",
        "predict-binary/x.tsv.gz",
    )  # fmt: skip
    yield one("predict-dry-run", *binary, *REGIONS, "--dry-run")
    yield one(
        "predict-regression", "predict", "-m", "finetune-regression/run", *TORCH, "--fasta",
        "inputs/genes.fa", "--strand", "both",
    )  # fmt: skip
    yield one(
        "predict-multiclass", "predict", "-m", "finetune-multiclass/run", *TORCH, *REGIONS,
        "--window", "100", "--stride", "60", "-o", "predict-multiclass/x.tsv", "--stats",
        "predict-multiclass/stats.json",
    )  # fmt: skip
    yield one("predict-token", "predict", "-m", "finetune-token/run", *TORCH, *FEW)


def _prompting() -> Iterator[Case]:
    tune = ("prompt-tune", *LABELLED, *TINY)
    soft = (*tune, "--tokens", "4", "--epochs", "1")
    yield one("prompt-soft", *soft, "-o", "prompt-soft/run", "--stats", "prompt-soft/stats.json")
    yield one("prompt-dry-run", *soft, "-o", "prompt-dry-run/run", "--dry-run")
    yield one(
        "prompt-shots", *tune, "--shots", "1", "--samples", "4", "--max-length", "50", "-o",
        "prompt-shots/run",
    )  # fmt: skip
    yield one(
        "prompt-predict", "predict", "-m", "prompt-soft/run", *TORCH, "--fasta",
        "inputs/genes.fa", "--window", "100",
    )  # fmt: skip


def _species() -> Iterator[Case]:
    species = "classify-species"
    yield several(
        "species-manifest",
        hyenadna(species, "manifest"),
        hyenadna(species, "manifest", "--paper"),
    )
    train = (
        species, "train", "--manifest", "inputs/species.tsv", *TINY, "--length", "128",
        "--max-steps", "3", "--batch-bases", "512", "--probe-bases", "4k", "--valid-windows", "3",
        "--warmup-steps", "1",
    )  # fmt: skip
    yield one(
        "species-train", *train, "--lengths", "64,128", "--test-windows", "5", "-o",
        "species-train/run",
    )  # fmt: skip
    yield one("species-dry-run", *train, "-o", "species-dry-run/run", "--dry-run")
    yield one(
        "species-evaluate", species, "evaluate", "-m", "species-train/run", *TORCH, "--manifest",
        "inputs/species.tsv", "--lengths", "64", "--split", "valid", "--strand", "both", "-o",
        "species-evaluate/report",
    )  # fmt: skip
    yield one(
        "species-predict", species, "predict", "-m", "species-train/run", *TORCH, "--fasta",
        "inputs/genes.fa", "--min-prob", "0.55",
    )  # fmt: skip
