"""Cases of the commands that inform, of models and their files, and of plots."""

from __future__ import annotations

from collections.abc import Iterator

from version_cases.base import Case, hyenadna, one, several

_VERBS = (
    "", "embed", "generate", "finetune", "perplexity", "predict", "pretrain", "prompt-tune",
    "mutagenize", "score-variants", "merge", "benchmark", "doctor", "classify-species",
    "classify-species train", "classify-species evaluate", "classify-species manifest",
    "classify-species predict", "models", "models list", "models info", "models download",
    "models convert", "models average", "models verify", "plot", "plot training", "plot species",
    "plot mutagenesis",
)  # fmt: skip
_CACHE = ("--cache-dir", "cache")
"""Nothing is in it, whatever this machine has downloaded."""


def informing_cases() -> Iterator[Case]:
    """What the program tells of itself."""
    yield one("version", "--version")
    yield several("help", *(hyenadna(*verb.split(), "--help") for verb in _VERBS))
    groups = ((), ("models",), ("plot",), ("classify-species",))
    yield several("no-arguments", *(hyenadna(*group) for group in groups))
    yield one("doctor", "doctor", "--json", "--threads", "1", *_CACHE)


def model_cases() -> Iterator[Case]:
    """`hyenadna models`."""
    tiny = "pretrain-random/run"
    yield one("models-list", "models", "list", *_CACHE)
    yield several(
        "models-info",
        hyenadna("models", "info", tiny),
        hyenadna("models", "info", "builtin"),
        hyenadna("models", "info", "small-32k", "--json", *_CACHE),
    )
    yield one("models-download", "models", "download", "tiny-1k", "--offline", *_CACHE)
    yield one(
        "models-convert", "models", "convert", tiny, "--store", "bf16", "-o", "models-convert/x"
    )
    yield one("models-average", "models", "average", tiny, "models-convert/x", "-o",
              "models-average/x")  # fmt: skip
    yield several(
        "models-verify",
        hyenadna("models", "verify", "models-average/x"),
        hyenadna("models", "verify", "inputs/broken_model", "--json"),
    )


def plot_cases() -> Iterator[Case]:
    """Pictures, of which only the tables beside them are compared."""
    yield one("plot-training", "plot", "training", "pretrain-random/run", "-o",
              "plot-training/x.svg")  # fmt: skip
    yield one(
        "plot-species", "plot", "species", "a=species-train/run/evaluation/accuracy.tsv",
        "b=species-evaluate/report/accuracy.tsv", "-o", "plot-species/x.svg",
    )  # fmt: skip
    yield one(
        "plot-mutagenesis", "plot", "mutagenesis", "mutagenize-tsv/x.tsv", "--region",
        "chr1:4,011-4,030", "--score", "site", "-o", "plot-mutagenesis/x.svg",
    )  # fmt: skip
