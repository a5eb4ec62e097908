"""What a model gives for a sequence, by one process or by those of torchrun; see test_context.

torchrun --nproc-per-node 2 -m tests.core.model.shared_sequence OUTPUT LENGTH...
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import torch
import torch.distributed as dist

from hyenadna_cli.core.config.settings import ModelConfig
from hyenadna_cli.core.model import context_forward
from hyenadna_cli.core.model.blocks import Execution
from hyenadna_cli.core.model.context import Context
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.model.likelihood import next_base_loss

CONFIG = ModelConfig(
    d_model=24, n_layer=2, d_inner=48, l_max=1 << 17, filter_order=8, embed_dropout=0.0
)
CASES: dict[str, tuple[torch.dtype, int, Execution]] = {
    # precision, Hyena order, how it is computed
    "float64": (torch.float64, 2, Execution()),
    "float64, order 3, blocks recomputed": (torch.float64, 3, Execution(recompute_blocks=True)),
    "float32": (torch.float32, 2, Execution()),
    "float32, compiled": (torch.float32, 2, Execution(kernels="numba")),
}


def results(
    case: str, length: int, context: Context | None = None, *, is_exact: bool = False
) -> dict[str, torch.Tensor]:
    """Logits with and without gradients, loss, and all gradients: of all processes together.

    `is_exact`: of the same weights, computed in float64.
    """
    dtype, order, execution = CASES[case]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = HyenaDNA(dataclasses.replace(CONFIG, order=order)).to(dtype)
    if dtype == torch.float64:  # float32 keeps the weights of a new model, which round less
        for name, parameter in model.named_parameters():
            if parameter.ndim >= 2 and "freq" not in name:
                parameter.data *= 0.1 / parameter.data.std()
    model.to(torch.float64 if is_exact else dtype)
    model.execution = dataclasses.replace(execution, context=context)
    n_rows = 2 if length < 10_000 else 1
    generator = torch.Generator().manual_seed(length)
    ids = torch.randint(7, 11, (n_rows, length + 1), generator=generator)
    loss, n_targets = next_base_loss(model, ids)
    loss.backward()
    totals = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    totals |= {"loss": loss.detach(), "n_targets": n_targets.to(dtype)}
    found = {"logits": model(ids[:, :-1]).detach()}
    model.eval()
    with torch.inference_mode():
        found["inferred"] = model(ids[:, :-1])
        found["inferred again"] = model(ids[:, :-1])  # with spectra that were kept
    if context is None:
        return totals | found
    shared = model.context_of(length)
    assert shared is not None
    gathered = {name: shared.gather(logits) for name, logits in found.items()}
    return {name: context.sum(total) for name, total in totals.items()} | gathered


def bytes_sent(length: int, context: Context) -> torch.Tensor:
    """Bytes that this process sends to others in a forward pass, and in a backward pass."""
    model = HyenaDNA(CONFIG)
    model.execution = Execution(context=context)
    n_bytes = torch.zeros(2, dtype=torch.int64)
    plain, part = dist.all_to_all_single, 0

    def counting(result, x, received, sent, group):  # type: ignore[no-untyped-def]
        n_bytes[part] += x.element_size() * (sum(sent) - sent[context.rank])
        return plain(result, x, received, sent, group=group)

    dist.all_to_all_single = counting
    try:
        loss, _ = next_base_loss(model, torch.full((3, length + 1), 7))
        part = 1
        loss.backward()
    finally:
        dist.all_to_all_single = plain
    return n_bytes


def main(output: str, *lengths: str) -> None:
    """Leave what all processes together give."""
    dist.init_process_group("gloo")
    # Several exchanges for each convolution, and several pieces of the filter network.
    context_forward._GROUP_CHANNELS, context_forward._GROUP_BYTES, context_forward._ROWS = 2, 0, 300
    torch.set_num_threads(1)
    context = Context(group=dist.group.WORLD, rank=dist.get_rank(), size=dist.get_world_size())
    found = {
        f"{case} {length}": results(case, int(length), context)
        for case in CASES
        for length in lengths
    }
    found["bytes"] = {"sent": bytes_sent(1_200, context), "n": context.size}
    if context.rank == 0:
        torch.save(found, Path(output))
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
