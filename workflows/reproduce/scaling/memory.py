"""Peak memory, time and exchanged bytes of a process over a long sequence.

    python workflows/reproduce/scaling/memory.py step 2 128 500000 1 2 4
    python workflows/reproduce/scaling/memory.py pass 2 128 1000000 1 2 4

are forward and backward (`step`, blocks recomputed), or forward without gradients (`pass`), of
2 blocks of 128 channels over 1,000,000 bases, by 1, 2 and 4 processes. Each row of the TSV on
stdout is of fresh processes: the largest resident memory of any, less what it had before.
"""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

import torch
import torch.distributed as dist

from hyenadna_cli.core.config.settings import ModelConfig
from hyenadna_cli.core.machine.runtime import resolve
from hyenadna_cli.core.model.cost import exchanged_bytes
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.model.likelihood import next_base_loss
from hyenadna_cli.core.training.distributed import joined

COLUMNS = ("work", "blocks", "width", "bases", "processes")
FIGURES = ("peak_gb", "seconds", "seconds_exchanging", "sent_gb")


def main(work: str, *sizes: str) -> None:
    """Measure with each number of processes, one after the other."""
    sys.stdout.write("\t".join((*COLUMNS, *FIGURES)) + "\n")
    for n in sizes[3:]:
        torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", n)
        case = (work, *sizes[:3], n)
        done = subprocess.run(  # noqa: S603
            [sys.executable, *torchrun, __file__, "--process", *case],
            check=True,
            capture_output=True,
            text=True,
        )
        rows = [json.loads(row) for row in re.findall(r"\[[^\]]*\]", done.stdout)]
        assert len(rows) == int(n)
        largest = (f"{max(column):.2f}" for column in zip(*rows, strict=True))
        sys.stdout.write("\t".join((*case, *largest)) + "\n")
        sys.stdout.flush()


def measure(work: str, n_layer: int, d_model: int, n_bases: int, n: int) -> None:
    """In each process: write what it took, as JSON."""
    config = ModelConfig(
        d_model=d_model, n_layer=n_layer, d_inner=4 * d_model, l_max=n_bases + 2, embed_dropout=0.0
    )
    runtime = resolve(device="cpu", threads=1, training=True)
    is_step = work == "step"
    with joined(runtime.device, n_context=n) as world, torch.set_grad_enabled(is_step):
        model = HyenaDNA(config).train(is_step)
        model.execution = runtime.execution(recompute_blocks=True, context=world.context)
        ids = torch.randint(7, 11, (1, n_bases + 1), generator=torch.Generator().manual_seed(0))
        run(model, ids[:, :1_000])  # compiles kernels
        exchanging = timed_exchanges()
        before, started = memory("VmRSS"), time.perf_counter()
        run(model, ids)
        seconds = time.perf_counter() - started
        sent = exchanged_bytes(config, n_windows=1, n_tokens=n_bases, n_context=n)
        sent *= 3 if is_step else 1
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1_024 - before
        figures = json.dumps([peak / 1e9, seconds, exchanging[0], sent / 1e9])
        sys.stdout.write(f"{figures}\n")
        sys.stdout.flush()


def run(model: HyenaDNA, ids_BL: torch.Tensor) -> None:
    """Loss, and gradients where they are on."""
    loss, _ = next_base_loss(model, ids_BL)
    if loss.requires_grad:
        loss.backward()


def timed_exchanges() -> list[float]:
    """Seconds in all-to-alls from now on, waiting for the others included."""
    total, plain = [0.0], dist.all_to_all_single

    def timed(*arguments: object, **more: object) -> None:
        started = time.perf_counter()
        plain(*arguments, **more)
        total[0] += time.perf_counter() - started

    dist.all_to_all_single = timed
    return total


def memory(entry: str) -> int:
    """Bytes of this process, as Linux has them."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1_024 * next(int(line.split()[1]) for line in lines if line.startswith(entry))


if __name__ == "__main__":
    if sys.argv[1] == "--process":
        measure(sys.argv[2], *map(int, sys.argv[3:]))
    else:
        main(*sys.argv[1:])
