"""Time to sample against length: incremental decoding, and running the whole prefix for each base.

    python speed.py [--threads 2] > speed.tsv

Writes TSV: sequences, length, seconds and microseconds per base of `generate`, and seconds of the
plain re-run of the same model, in the cases where that ends soon.
"""

from __future__ import annotations

import argparse
import time

import torch

from hyenadna_cli import load_model
from hyenadna_cli.core.inference.generation import Sampling, generate, sample
from hyenadna_cli.core.model.hyenadna import HyenaDNA

CASES = (
    (1, 250),
    (1, 500),
    (1, 1_000),
    (1, 2_000),
    (1, 4_000),
    (1, 8_000),
    (1, 16_000),
    (100, 250),
    (100, 500),
    (100, 1_000),
    (100, 2_000),
)
RERUN = {(1, 250), (1, 500), (1, 1_000), (100, 250)}
"""Cases in which the plain re-run is worth waiting for."""


def incremental_seconds(model: HyenaDNA, n_sequences: int, length: int) -> float:
    """Seconds to sample from nothing."""
    started = time.perf_counter()
    for _ in generate(
        model, [""], length=length, n_sequences=n_sequences, sampling=Sampling(seed=1)
    ):
        pass
    return time.perf_counter() - started


@torch.inference_mode()
def rerun_seconds(model: HyenaDNA, n_sequences: int, length: int) -> float:
    """Seconds to sample with a pass over everything so far for each base."""
    draws = torch.rand(length, n_sequences, generator=torch.Generator().manual_seed(1)).double()
    started = time.perf_counter()
    ids = torch.full((n_sequences, 1), 7)
    for position in range(1, length):
        logits = model.logits(model.hidden_states(ids)[0][:, -1])
        ids = torch.cat([ids, sample(logits, draws[position], Sampling())[:, None]], dim=1)
    return time.perf_counter() - started


def main() -> None:
    """Time every case and print its row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    model = load_model("builtin", offline=True, threads=parser.parse_args().threads)
    incremental_seconds(model, 1, 64)  # the first pass of a process is slower
    print("sequences\tlength\tseconds\tus_a_base\trerun_seconds")
    for n_sequences, length in CASES:
        seconds = incremental_seconds(model, n_sequences, length)
        rerun = "-"
        if (n_sequences, length) in RERUN:
            rerun = f"{rerun_seconds(model, n_sequences, length):.2f}"
        per_base = 1e6 * seconds / (n_sequences * length)
        print(f"{n_sequences}\t{length}\t{seconds:.2f}\t{per_base:.1f}\t{rerun}", flush=True)


if __name__ == "__main__":
    main()
