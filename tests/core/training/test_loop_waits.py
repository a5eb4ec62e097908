"""No training step waits for its device: shown without a GPU, and on one where there is one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from hyenadna_cli.core.config.settings import HeadConfig, ModelConfig, TrainConfig
from hyenadna_cli.core.model.attention import AttentionModel
from hyenadna_cli.core.model.blocks import Execution
from hyenadna_cli.core.model.classifier import SequenceClassifier
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.model.likelihood import next_base_loss, next_token_loss
from hyenadna_cli.core.tasks.labelled_batches import HeadLoss, LabelledBatch
from hyenadna_cli.core.tasks.prompts.few_shot import FewShotBatch, word_loss
from hyenadna_cli.core.tasks.prompts.soft_prompt import PromptedBackbone, WordClassifier
from hyenadna_cli.core.training import loop
from hyenadna_cli.core.training.distributed import World
from hyenadna_cli.core.training.muon import MuonAdamW
from hyenadna_cli.ops.gpu import dft

MODEL = ModelConfig(d_model=8, n_layer=2, d_inner=16, l_max=70, filter_order=4, embed_dropout=0.2)
TRAIN = TrainConfig(max_steps=4, batch_bases=128, micro_batch_bases=64, warmup_steps=2)
N_ROWS, LENGTH = 4, 32

META = torch.device("meta")
"""A device whose numbers nobody can read: shapes only."""


class NoCopies(TorchDispatchMode):
    """Refuses copies between devices that are waited for; reading from `meta` fails by itself."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if func in (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default):
            is_waited_for = not (kwargs or {}).get("non_blocking", False) and True not in args[2:]
            source = args[0] if func is torch.ops.aten._to_copy.default else args[1]
            if is_waited_for and source.device != result.device:
                raise AssertionError(f"the host waits for {tuple(source.shape)} to be copied")
        return result


class NoNumbersThere(TorchFunctionMode):
    """Refuses tensors of numbers made on a device: they are copied there below what modes see."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if func in (torch.tensor, torch.as_tensor) and result.device.type != "cpu":
            raise AssertionError(f"the host waits for {args[0]} to be copied")
        return result


class Cases:
    """Everything that the training loop trains, each with a source of batches and its loss."""

    @staticmethod
    def ids(n_rows: int = N_ROWS) -> Tensor:
        return torch.randint(7, 11, (n_rows, LENGTH), generator=torch.Generator().manual_seed(1))

    def bases(self):
        return HyenaDNA(MODEL), self.ids, next_base_loss

    def by_muon(self):
        return self.bases()

    def tokens(self):
        return HyenaDNA(MODEL), self.ids, next_token_loss

    def checkpointed(self):
        model = HyenaDNA(MODEL, execution=Execution(recompute_blocks=True))
        return model, self.ids, next_base_loss

    def bfloat16(self):
        model = HyenaDNA(MODEL, execution=Execution(matmul_dtype=torch.bfloat16))
        return model, self.ids, next_base_loss

    def attention(self):
        return AttentionModel(MODEL), self.ids, next_base_loss

    def _labelled(self, task, targets: Callable[[], Tensor], *, pooling="mean", weights=None):
        numbers = (0.5, 2.0) if task == "regression" else ()
        head = HeadConfig(
            task=task,
            label_names=("a", "b"),
            pooling=pooling,
            target_means=numbers,
            target_scales=numbers,
        )
        classifier = SequenceClassifier(HyenaDNA(MODEL), head, width=MODEL.d_model)

        def batch(n_rows: int = N_ROWS) -> LabelledBatch:
            return LabelledBatch(self.ids(n_rows), torch.full((n_rows,), 20), targets()[:n_rows])

        return classifier, batch, HeadLoss(weights)

    def classes(self):
        labels = torch.tensor([0, 1, 1, 0])
        return self._labelled("binary", lambda: labels, weights=torch.tensor([1.0, 3.0]))

    def classes_by_the_last_base(self):
        return self._labelled("multiclass", lambda: torch.tensor([0, 1, 1, 0]), pooling="last")

    def classes_by_the_maximum(self):
        return self._labelled("multiclass", lambda: torch.tensor([0, 1, 1, 0]), pooling="max")

    def labels(self):
        return self._labelled("multilabel", lambda: torch.ones(N_ROWS, 2))

    def numbers(self):
        return self._labelled("regression", lambda: torch.ones(N_ROWS, 2))

    def labelled_bases(self):
        return self._labelled("token", lambda: torch.arange(LENGTH).expand(N_ROWS, -1) % 3 - 1)

    def prompt(self):
        head = HeadConfig(task="binary", label_names=("a", "b"), pooling="last")
        backbone = PromptedBackbone(HyenaDNA(MODEL), torch.randn(5, MODEL.d_model))
        _, batch, loss_of = self.classes()
        return WordClassifier(backbone, head, ("CA", "GT")), batch, loss_of

    def demonstrations(self):
        def batch(n_rows: int = N_ROWS) -> FewShotBatch:
            places = torch.tensor([[row, 10 + row] for row in range(n_rows)]).T
            return FewShotBatch(self.ids(n_rows), self.ids(n_rows)[:, 1:], places)

        return HyenaDNA(MODEL), batch, word_loss


CASES = [name for name in vars(Cases) if not name.startswith("_") and name != "ids"]


class Batches:
    """The same rows at every step."""

    def __init__(self, make: Callable[[int], object]) -> None:
        self._make = make

    def batch(self, *, step, rows, length, rows_per_step):
        return self._make(len(rows))


def stepper(case: str, device: torch.device, *, kernels: str = "torch") -> Callable[[int], Tensor]:
    """A function from the number of a step to what the step gives."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, batch, loss_of = getattr(Cases(), case)()
    model.to(device)
    for module in model.modules():
        if isinstance(module, HyenaDNA):
            module.execution = dataclasses.replace(module.execution, kernels=kernels)
    if case == "by_muon":
        groups = loop.parameter_groups(model, dataclasses.replace(TRAIN, optimiser="muon"))
        optimiser: torch.optim.Optimizer = MuonAdamW(groups)
    else:
        optimiser = torch.optim.AdamW(loop.parameter_groups(model, TRAIN))

    def run(step: int) -> Tensor:
        stage = (LENGTH, N_ROWS)
        return loop._update(
            model, Batches(batch), loss_of, optimiser, step, stage, config=TRAIN, world=World()
        )

    return run


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_step_reads_nothing_from_its_device(case, monkeypatch):
    """Forward, backward, clipping and update; the second step with all state there."""
    monkeypatch.setattr(Tensor, "pin_memory", lambda tensor: tensor)  # there is no GPU to pin for
    run = stepper(case, META)

    with NoCopies(), NoNumbersThere():
        outcomes = [run(0), run(1)]

    assert all(outcome.device == META and outcome.shape == (2,) for outcome in outcomes)


def test_lengths_of_one_transform_share_its_tables():
    """Made once: rows of every length must not be waited for while their tables are copied."""
    tables = [dft.plan(n, META).inner.tables for n in (257, 300, 512)]

    assert tables[0] is tables[1] is tables[2]


@pytest.mark.parametrize(
    "fetch",
    [
        lambda x: x.sum().item(),
        lambda x: float(x.sum()),
        lambda x: bool(x.any()),
        lambda x: x[x > 0],
        lambda x: x.cpu(),
        lambda x: x.tolist(),
        lambda x: x + torch.tensor([1.0, 2.0]).to(x.device),
        lambda x: x + torch.tensor([1.0, 2.0], device=x.device),
        lambda x: torch.empty_like(x).copy_(torch.ones(2)),
    ],
)
def test_what_waits_for_a_device_is_noticed(fetch):
    """The test above can fail."""
    x = torch.ones(2, device=META)

    with (
        pytest.raises((AssertionError, RuntimeError, NotImplementedError)),
        NoCopies(),
        NoNumbersThere(),
    ):
        fetch(x)


@pytest.mark.parametrize("case", CASES)
def test_the_values_read_after_a_step_are_finite(case):
    """The cases are real ones: they run on the CPU too."""
    assert stepper(case, torch.device("cpu"))(0).isfinite().all()


@pytest.mark.gpu
@pytest.mark.parametrize("kernels", ["torch", "triton"])
@pytest.mark.parametrize("case", CASES)
def test_a_step_on_a_gpu_waits_for_nothing(case, kernels):
    run = stepper(case, torch.device("cuda"), kernels=kernels)
    run(0)  # libraries start, tables of a length are made, weights are cast
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        outcome = run(1)
    finally:
        torch.cuda.set_sync_debug_mode(before)

    assert outcome.isfinite().all()
