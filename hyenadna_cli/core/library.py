"""The few calls that a notebook needs; the commands run the same code underneath."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hyenadna_cli.core import checkpoint, published, runtime
from hyenadna_cli.core import embedding as _embedding
from hyenadna_cli.core.batching import Batcher, BatchLimits
from hyenadna_cli.core.model import HyenaDNA
from hyenadna_cli.core.pooling import Pooled, Pooling
from hyenadna_cli.core.records import Record
from hyenadna_cli.core.runtime import DtypeRequest
from hyenadna_cli.core.sequence import clean
from hyenadna_cli.core.windows import Tiling
from hyenadna_cli.ops.backend import KernelsRequest


def load_model(
    name: str = "builtin",
    *,
    revision: str | None = None,
    offline: bool = False,
    filter_shift: float | None = None,
    device: str = "auto",
    dtype: DtypeRequest = "auto",
    kernels: KernelsRequest = "auto",
    threads: int | None = None,
) -> HyenaDNA:
    """A model by name, Hugging Face id or directory, on its device and ready for inference.

    Raises CheckpointError and UsageError, as the commands do.
    """
    run = runtime.resolve(device=device, dtype=dtype, kernels=kernels, threads=threads)
    found = published.locate(name, revision=revision, offline=offline, cache_dir=None)
    model, _ = checkpoint.load(
        found.directory, name=found.name, revision=found.revision, filter_shift=filter_shift
    )
    model.execution = run.execution()
    return model.to(run.device)


def embed(
    model: HyenaDNA,
    sequences: Iterable[str],
    *,
    pool: Pooling = "mean",
    layer: int = -1,
    strand: Literal["+", "-", "both"] = "+",
    batch_size: int | None = None,
) -> NDArray[np.float32]:
    """One vector for each DNA string, in order: (n, d_model).

    Sequences longer than the model reads are cut into windows, as `hyenadna embed` does; a vector
    does not depend on what else is in the call. Raises LetterError at a letter that is not IUPAC.
    """
    device = next(model.parameters()).device
    l_max = model.config.l_max
    batcher = Batcher(
        tiling=Tiling(window=l_max, stride=l_max),
        limits=BatchLimits.choose(device, batch_size=batch_size),
        device=device,
    )
    pooled = Pooled(poolings=(pool,), layers=(layer,), strand=strand)
    vectors = [
        row.vectors[pooled.keys[0]]
        for done in _embedding.embed(model, _records(sequences), pooled, batcher=batcher)
        for row in done.rows
    ]
    return np.stack(vectors) if vectors else np.empty((0, model.config.d_model), np.float32)


def _records(sequences: Iterable[str]) -> Iterator[Record]:
    for number, sequence in enumerate(sequences):
        name = str(number)
        cleaned = clean(sequence).sequence
        yield Record(name, name, 0, len(cleaned), ".", cleaned)
