"""Recorded passes: when, for how long, how many, and always the same results."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch
from torch import Tensor

from hyenadna_cli.core.config.settings import ModelConfig
from hyenadna_cli.core.model import cuda_graphs as graphs_module
from hyenadna_cli.core.model.blocks import Execution
from hyenadna_cli.core.model.cuda_graphs import MAX_GRAPHS, MAX_TOKENS, CudaGraphs
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.model.weight_cache import WeightCache
from hyenadna_cli.core.variants.shared_prefix import SharedPrefix


@dataclasses.dataclass(frozen=True, slots=True)
class States:
    """As a REF pass keeps them."""

    first: int
    kept: dict[int, Tensor]


class Replayer:
    """Records nothing but what to do again: results are overwritten in place, as by a graph."""

    def __init__(self) -> None:
        self.n_recorded = self.n_replayed = 0

    def warm_up(self, work):
        work()

    def record(self, work):
        result = work()
        self.n_recorded += 1

        def replay() -> None:
            self.n_replayed += 1
            for old, new in zip(tensors(result), tensors(work()), strict=True):
                old.copy_(new)

        return replay, result


def tensors(result: object) -> list[Tensor]:
    """Those of a list, or of a list and `States`."""
    if isinstance(result, tuple):
        return [*result[0], *result[1].kept.values()]
    assert isinstance(result, list)
    return result


class Passes:
    """A pass that depends on token ids, a weight, and something derived from the weight."""

    def __init__(self) -> None:
        self.weight = torch.nn.Parameter(torch.arange(1.0, 5.0))
        self.weight_cache = WeightCache(1_000)
        self.recorder = Replayer()
        self.graphs = CudaGraphs(self.weight_cache, lambda _: self.recorder)

    def compute(self, ids_BL: Tensor) -> tuple[list[Tensor], States]:
        squares = self.weight_cache.get("squares", [self.weight], lambda: self.weight.detach() ** 2)
        return [ids_BL * squares], States(3, {7: ids_BL + self.weight.detach()})

    def run(self, ids_BL: Tensor, key: object = "pass") -> tuple[list[Tensor], States]:
        return self.graphs.run(key, ids_BL, [self.weight], self.compute)

    def check(self, ids_BL: Tensor, key: object = "pass") -> None:
        found, expected = self.run(ids_BL, key), self.compute(ids_BL)
        assert found[1].first == 3
        for a, b in zip(tensors(found), tensors(expected), strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=0)


@pytest.fixture
def passes() -> Passes:
    return Passes()


def ids(n_rows: int = 2, first: int = 0) -> Tensor:
    return torch.arange(first, first + 4 * n_rows, dtype=torch.int64).view(n_rows, 4)


def test_a_shape_is_recorded_when_it_comes_for_the_third_time(passes):
    for number in range(6):
        passes.check(ids(first=number))

    assert (passes.recorder.n_recorded, passes.recorder.n_replayed) == (1, 4)


def test_a_result_is_not_overwritten_by_the_next_one(passes):
    results = [passes.run(ids(first=number)) for number in range(6)]

    for number, result in enumerate(results):
        for found, expected in zip(
            tensors(result), tensors(passes.compute(ids(first=number))), strict=True
        ):
            assert torch.equal(found, expected)


def test_shapes_and_keys_have_recordings_of_their_own(passes):
    for number in range(4):
        passes.check(ids(1, number))
        passes.check(ids(2, number))
        passes.check(ids(2, number), key="another pass")

    assert passes.recorder.n_recorded == 3


def test_the_shapes_used_last_are_kept(passes):
    for n_rows in range(1, MAX_GRAPHS + 2):
        for _ in range(3):
            passes.check(ids(n_rows))
    n_recorded = passes.recorder.n_recorded
    passes.check(ids(2))

    assert n_recorded == MAX_GRAPHS + 1
    assert passes.recorder.n_recorded == n_recorded
    passes.check(ids(1))  # the first one is gone, and recorded anew
    assert passes.recorder.n_recorded == n_recorded + 1


@pytest.mark.parametrize("change", ["weight", "derived", "moved"])
@torch.no_grad()
def test_nothing_is_replayed_once_what_it_reads_has_changed(passes, change):
    for _ in range(4):
        passes.check(ids())
    n_replayed = passes.recorder.n_replayed
    if change == "weight":
        passes.weight.mul_(2)
    elif change == "derived":
        passes.weight_cache.clear()
    else:
        passes.weight = torch.nn.Parameter(passes.weight.detach() + 1)

    passes.check(ids())
    passes.check(ids())

    assert passes.recorder.n_replayed == n_replayed
    passes.check(ids())
    assert passes.recorder.n_recorded == 2


def test_what_is_derived_while_recording_is_not_kept(passes):
    """It holds no numbers before the first replay."""
    passes.weight_cache.max_bytes = 0  # nothing is: it is part of the recording
    for _ in range(4):
        passes.check(ids())
    passes.weight_cache.max_bytes = 1_000
    with passes.weight_cache.closed():
        passes.compute(ids())

    made = []
    passes.weight_cache.get("squares", [passes.weight], lambda: made.append(1) or torch.ones(1))
    assert made


def test_a_failure_is_said_once_and_passes_go_on(passes, monkeypatch, caplog):
    caplog.set_level("INFO")

    def fail(work):
        raise RuntimeError("operation not permitted when stream is capturing\nat line 1")

    monkeypatch.setattr(passes.recorder, "record", fail)
    for number in range(8):
        passes.check(ids(first=number))

    assert [r.message for r in caplog.records] == [
        "no CUDA graphs: operation not permitted when stream is capturing"
    ]


def test_long_inputs_are_never_recorded(passes):
    long = torch.zeros(MAX_TOKENS // 4 + 1, 4, dtype=torch.int64)
    for _ in range(4):
        passes.check(long)

    assert passes.recorder.n_recorded == 0


def test_counts_of_shapes_that_never_come_again_do_not_pile_up(passes, monkeypatch):
    monkeypatch.setattr(graphs_module, "_MAX_COUNTED", 5)
    for key in range(20):
        passes.check(ids(), key=key)

    assert len(passes.graphs._n_met) <= 5


def test_a_cpu_has_no_graphs(passes):
    passes.graphs = CudaGraphs(passes.weight_cache)
    for _ in range(5):
        passes.check(ids())

    assert not passes.graphs._recordings


def model_of(*, kernels: str = "torch") -> HyenaDNA:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = ModelConfig(d_model=16, n_layer=2, d_inner=32, l_max=300, filter_order=8)
        return HyenaDNA(config, execution=Execution(kernels=kernels)).eval()


def random_ids(seed: int, n_rows: int = 2, n_positions: int = 100) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(7, 11, (n_rows, n_positions), generator=generator)


def test_only_the_kernels_that_must_be_asked_for_come_with_graphs(monkeypatch):
    monkeypatch.setattr(CudaGraphs, "run", None)

    with torch.inference_mode():
        assert model_of().hidden_states(random_ids(0))[0].shape == (2, 100, 16)


def test_a_model_gives_the_same_states_from_its_recordings():
    """On the portable kernels, as Triton's take its interpreter long."""
    model, plain = model_of(), model_of()
    recorder = Replayer()
    model.backbone.graphs = CudaGraphs(model.backbone.weight_cache, lambda _: recorder)

    def infer(ids_BL: Tensor) -> list[Tensor]:
        return model.backbone.infer(model.embed_tokens(ids_BL), (0, 1, -1), model.execution)

    with torch.inference_mode():
        for number in range(5):
            ids_BL = random_ids(number)
            found = model.backbone.graphs.run("states", ids_BL, model.parameters(), infer)
            for a, b in zip(found, plain.hidden_states(ids_BL, (0, 1, -1)), strict=True):
                torch.testing.assert_close(a, b, rtol=0, atol=0)
    assert (recorder.n_recorded, recorder.n_replayed) == (1, 3)


def test_a_copy_of_a_model_has_no_recordings():
    model = model_of()
    model.backbone.graphs._n_met["x"] += 1

    again = copy.deepcopy(model).backbone

    assert not again.graphs._n_met
    assert again.graphs._weight_cache is again.weight_cache


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [None, torch.bfloat16], ids=["fp32", "bf16"])
def test_graphs_give_on_a_gpu_what_single_kernels_give(dtype):
    model, plain = model_of().cuda(), model_of().cuda()
    model.execution = plain.execution = Execution(kernels="triton", matmul_dtype=dtype)
    plain.backbone.graphs._is_off = True
    shared, shared_plain = SharedPrefix(model, 100), SharedPrefix(plain, 100)

    with torch.inference_mode():
        for number in range(6):
            for n_rows in (1, 3):
                ids_BL = random_ids(number, n_rows).cuda()
                found = model.hidden_states(ids_BL, (1, -1))
                for a, b in zip(found, plain.hidden_states(ids_BL, (1, -1)), strict=True):
                    torch.testing.assert_close(a, b, rtol=0, atol=0)
                (hidden_BLD,), states = shared.ref(ids_BL, [50])
                (expected_BLD,), expected = shared_plain.ref(ids_BL, [50])
                torch.testing.assert_close(hidden_BLD, expected_BLD, rtol=0, atol=0)
                for a, b in zip(states.layers, expected.layers, strict=True):
                    torch.testing.assert_close(a.gave, b.gave, rtol=0, atol=0)

    assert len(model.backbone.graphs._recordings) == 4
    assert not model.backbone.graphs._is_off
