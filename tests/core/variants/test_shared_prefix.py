"""Suffixes computed on a REF pass are the ends of plain passes; test_scoring.py has the rest."""

from __future__ import annotations

import pytest
import torch

from hyenadna_cli.core.config.settings import ModelConfig
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.variants import shared_prefix
from hyenadna_cli.core.variants.shared_prefix import SharedPrefix, _Alleles, kept_bytes

WINDOW = 65


@pytest.fixture(scope="module")
def model():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = ModelConfig(d_model=8, n_layer=3, d_inner=16, l_max=WINDOW)
        return HyenaDNA(config).eval().double()


@pytest.mark.parametrize("start", [0, 1, 2, 40, 64])
def test_a_suffix_is_the_end_of_a_plain_pass(model, start):
    random = torch.Generator().manual_seed(1)
    ref_ids = torch.randint(7, 11, (3, WINDOW), generator=random)
    rows = torch.tensor([2, 0, 0, 1])
    alt_ids = ref_ids[rows]
    alt_ids[:, start:] = torch.randint(7, 11, (4, WINDOW - start), generator=random)
    shared = SharedPrefix(model, WINDOW)

    (hidden,), states = shared.ref(ref_ids, [50, start])
    (suffix,) = shared.alt(states, rows, alt_ids[:, start:], start)

    with torch.inference_mode():
        torch.testing.assert_close(hidden, model.hidden_states(ref_ids)[0])
        torch.testing.assert_close(suffix, model.hidden_states(alt_ids)[0][:, start:])


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize(
    ("start", "changed"),
    [(0, (0, 1)), (1, (0, 3)), (40, (0, 1)), (40, (5, 9)), (40, (24, 25)), (4, (1, 60))],
)
def test_a_few_exchanged_tokens_give_the_same_suffix_for_less(order, start, changed):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        config = ModelConfig(
            d_model=8, n_layer=2, d_inner=16, l_max=WINDOW, order=order, short_filter_order=7
        )
        model = HyenaDNA(config).eval().double()
        ref_ids = torch.randint(7, 11, (3, WINDOW))
    rows = torch.tensor([2, 0, 0, 1])
    alt_ids = ref_ids[rows]
    exchanged = slice(start + changed[0], start + changed[1])
    alt_ids[:, exchanged] = 18 - alt_ids[:, exchanged]
    shared = SharedPrefix(model, WINDOW)

    _, states = shared.ref(ref_ids, [start])
    (suffix,) = shared.alt(states, rows, alt_ids[:, start:], start, changed=slice(*changed))

    with torch.inference_mode():
        torch.testing.assert_close(suffix, model.hidden_states(alt_ids)[0][:, start:])


def test_a_ref_pass_may_leave_unfinished_what_nothing_is_compared_with(model):
    """From `first` on it is the plain pass, and ALT passes see no difference."""
    shared = SharedPrefix(model, WINDOW)
    random = torch.Generator().manual_seed(1)
    ref_ids, alt_ids = torch.randint(7, 11, (2, 3, WINDOW), generator=random)
    (whole,), whole_states = shared.ref(ref_ids, [50])

    (hidden,), states = shared.ref(ref_ids, [50], first=49)

    torch.testing.assert_close(hidden[:, 49:], whole[:, 49:])
    assert (hidden[:, :49] - whole[:, :49]).abs().max() > 1e-3  # or nothing was spared
    rows = torch.arange(3)
    (alt,) = shared.alt(states, rows, alt_ids[:, 50:], 50)
    (expected,) = shared.alt(whole_states, rows, alt_ids[:, 50:], 50)
    torch.testing.assert_close(alt, expected)


@pytest.mark.parametrize("changed", [None, slice(0, 2)], ids=["any", "two tokens"])
def test_alleles_all_at_once_are_alleles_one_by_one(model, monkeypatch, changed):
    """As on a GPU."""
    random = torch.Generator().manual_seed(1)
    ref_ids = torch.randint(7, 11, (3, WINDOW), generator=random)
    rows = torch.tensor([2, 0, 0, 1])
    alt_ids = ref_ids[rows]
    alt_ids[:, 40:42] = 18 - alt_ids[:, 40:42]
    shared = SharedPrefix(model, WINDOW)
    _, states = shared.ref(ref_ids, [20, 40])
    (one_by_one,) = shared.alt(states, rows, alt_ids[:, 40:], 40, changed=changed)

    monkeypatch.setattr(
        shared_prefix, "_done_together", lambda rows_A: [_Alleles(slice(None), rows_A)]
    )
    (at_once,) = shared.alt(states, rows, alt_ids[:, 40:], 40, changed=changed)

    torch.testing.assert_close(at_once, one_by_one, rtol=0, atol=0)


def test_kept_states_are_as_large_as_promised(model):
    ids = torch.full((2, WINDOW), 7)

    _, states = SharedPrefix(model, WINDOW).ref(ids, [40])

    kept = [
        tensor for layer in states.layers for tensor in (*layer.read, *layer.gave, *layer.gates)
    ]
    n_bytes = sum(tensor.numel() * tensor.element_size() for tensor in kept)
    assert n_bytes == 2 * kept_bytes(model.config, n_positions=WINDOW - 40, n_bytes=8)


def test_a_start_that_was_not_announced_is_refused(model):
    ids = torch.full((1, WINDOW), 7)
    shared = SharedPrefix(model, WINDOW)
    _, states = shared.ref(ids, [40])

    with pytest.raises(ValueError, match="41"):
        shared.alt(states, torch.tensor([0]), ids[:, 41:], 41)


def test_windows_longer_than_the_model_reads_are_refused(model):
    with pytest.raises(ValueError, match="at most 65"):
        SharedPrefix(model, WINDOW + 1)
