"""Calls on sequences: vectors, perplexity, predictions; and sequences that a model makes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from hyenadna_cli.core.config.checks import check_types
from hyenadna_cli.core.config.choices import StrandChoice
from hyenadna_cli.core.dna.sequence import clean
from hyenadna_cli.core.inference import embedding as _embedding
from hyenadna_cli.core.inference import generation as _generation
from hyenadna_cli.core.inference import perplexity as _perplexity
from hyenadna_cli.core.inference.pooling import Pooled, Pooling
from hyenadna_cli.core.inference.sampling import Sampling
from hyenadna_cli.core.library.arguments import (
    GenomeLike,
    Reading,
    Sequences,
    check_batch_size,
    check_model,
    gathered,
    opened_records,
)
from hyenadna_cli.core.library.models import Classifier, load_classifier
from hyenadna_cli.core.library.results import Embeddings, Perplexities, Predictions, Samples
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.tasks import classification as _classification


def embed(
    model: HyenaDNA,
    sequences: Sequences,
    genome: GenomeLike | None = None,
    *,
    pool: Pooling = "mean",
    layer: int = -1,
    strand: StrandChoice = "bed",
    window: int | None = None,
    stride: int | None = None,
    batch_size: int | None = None,
    progress: bool | None = None,
) -> Embeddings:
    """One vector per sequence, in order: `.vectors` is float32 (n, d_model).

    `sequences` are DNA strings, or a file of them (FASTA, FASTQ, GenBank, 2bit); with `genome`, a
    Genome or an indexed FASTA, they are regions: Intervals, texts such as `chr7:101-200` (1-based,
    closed), or a BED file. A text counts as a file if it has a suffix. `layer` is 0 for token
    embeddings, i for what block i gives, -1 for the end. `strand` bed is that of a region, + where
    there is none. Sequences longer than `window` bases (default: what the model reads) are cut, as
    `hyenadna embed` does; a vector does not depend on what else is in the call. `progress` shows
    the bases done, by default in notebooks.

    Raises LetterError at a letter that is not IUPAC, InputFileError about files, TypeError or
    ValueError for an argument that makes no sense, such as a single string of DNA.

    >>> import hyenadna_cli as hd
    >>> model = hd.load_model()
    >>> hd.embed(model, ["ACGTACGT", "GATTACA"]).vectors.shape
    (2, 160)
    >>> regions = hd.embed(model, ["chr1:4,001-4,100", "chrM:1-80"], "test_data/tiny.fa")
    >>> regions.to_pandas()[["name", "strand", "length", "status"]]
                 name strand  length status
    0  chr1:4000-4100      +     100     OK
    1       chrM:0-80      +      80     OK
    """
    check_model(model)
    asked = _Vectors(pool=pool, layer=layer)
    if not -1 <= asked.layer <= model.config.n_layer:
        raise ValueError(f"layer must be from -1 to {model.config.n_layer}, got {layer}")
    reading = Reading(strand=strand, window=window, stride=stride, batch_size=batch_size)
    batcher = reading.batcher(_device(model), longest=model.config.l_max)
    pooled = Pooled(poolings=(pool,), layers=(layer,), strand=strand)
    with opened_records(sequences, genome) as (records, further):
        done = _embedding.embed(model, records, pooled, batcher=batcher)
        rows = gathered(done, "embedding", progress=progress)
    return Embeddings(rows, pooled.keys[0], model.config.d_model, further)


def perplexity(
    model: HyenaDNA,
    sequences: Sequences,
    genome: GenomeLike | None = None,
    *,
    strand: StrandChoice = "bed",
    window: int | None = None,
    stride: int | None = None,
    batch_size: int | None = None,
    progress: bool | None = None,
) -> Perplexities:
    """How well the model predicts each sequence: log-likelihood (natural log), nats, bits per base.

    The arguments are those of `embed`. Bases 2 to the last are scored, without N, over A, C, G, T;
    windows without overlap (`stride`) leave out the first base of each.

    >>> import hyenadna_cli as hd
    >>> model = hd.load_model()
    >>> (row,) = hd.perplexity(model, ["chr1:1,001-2,000"], "test_data/tiny.fa")
    >>> row.n_bases, round(row.nats_per_base, 2)
    (999.0, 1.29)
    """
    check_model(model)
    reading = Reading(strand=strand, window=window, stride=stride, batch_size=batch_size)
    batcher = reading.batcher(_device(model), longest=model.config.l_max)
    with opened_records(sequences, genome) as (records, _):
        done = _perplexity.perplexity(model, records, batcher=batcher, strand=strand)
        return Perplexities(gathered(done, "scoring", progress=progress))


def predict(
    classifier: Classifier | str | Path,
    sequences: Sequences,
    genome: GenomeLike | None = None,
    *,
    strand: StrandChoice = "bed",
    window: int | None = None,
    stride: int | None = None,
    batch_size: int | None = None,
    progress: bool | None = None,
) -> Predictions:
    """The labels or numbers that a tuned model gives: `values` is (C,) per row, or (bases, C).

    `classifier` is what `load_classifier` gives, or its directory. The other arguments are those
    of `embed`; the answer for a sequence that is cut is the mean over windows, by bases.

        predicted = hd.predict("classifier", "peaks.bed", "hg38.fa")
        predicted[0].values  # probabilities in the order of predicted.head.label_names
    """
    if isinstance(classifier, str | Path):
        classifier = load_classifier(classifier)
    if not isinstance(classifier, Classifier):
        kind = type(classifier).__name__
        raise TypeError(f"classifier must be what load_classifier gives, or a path, got {kind}")
    reading = Reading(strand=strand, window=window, stride=stride, batch_size=batch_size)
    batcher = reading.batcher(classifier.device, longest=classifier.longest)
    with opened_records(sequences, genome) as (records, further):
        done = _classification.predict(classifier.answers, records, batcher=batcher, strand=strand)
        rows = gathered(done, "predicting", progress=progress)
    return Predictions(rows, classifier.head, further)


def generate(
    model: HyenaDNA,
    prompts: str | Iterable[str] = "",
    *,
    length: int,
    n_sequences: int = 1,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float = 1.0,
    seed: int = 0,
    allow_n: bool = False,
    batch_size: int | None = None,
    progress: bool | None = None,
) -> Samples:
    """Sample `n_sequences` of `length` bases after each prompt; one string is one prompt.

    A sequence depends on `seed` and its number, not on which others are sampled with it. The
    sampling is that of `hyenadna generate`. Raises LetterError at a letter that is not IUPAC,
    ValueError for what the model cannot read, TypeError for an argument that makes no sense.

    >>> import hyenadna_cli as hd
    >>> model = hd.load_model()
    >>> samples = hd.generate(model, "TATAAA", length=20, n_sequences=2, seed=1)
    >>> [len(sequence) for sequence in samples.sequences]
    [20, 20]
    """
    check_model(model)
    asked = _Sampled(length=length, n_sequences=n_sequences, batch_size=batch_size)
    sampling = Sampling(
        temperature=temperature, top_k=top_k, top_p=top_p, seed=seed, allow_n=allow_n
    )
    given = [prompts] if isinstance(prompts, str) else list(prompts)
    for number, prompt in enumerate(given):
        if not isinstance(prompt, str):
            raise TypeError(f"prompts[{number}] must be a string, not {type(prompt).__name__}")
    starts = [clean(prompt).sequence.upper() for prompt in given]
    done = _generation.generate(
        model,
        starts,
        length=asked.length,
        n_sequences=asked.n_sequences,
        sampling=sampling,
        batch_size=batch_size,
    )
    return Samples(gathered(done, "generating", progress=progress), starts)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Vectors:
    """Arguments about vectors, checked."""

    pool: Pooling
    layer: int

    def __post_init__(self) -> None:
        check_types(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Sampled:
    """Arguments about what is sampled, checked."""

    length: int
    n_sequences: int
    batch_size: int | None

    def __post_init__(self) -> None:
        check_types(self)
        for name in ("length", "n_sequences"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, got {getattr(self, name):,}")
        check_batch_size(self.batch_size)


def _device(model: HyenaDNA) -> torch.device:
    return next(model.parameters()).device
