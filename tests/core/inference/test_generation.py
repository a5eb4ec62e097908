"""Base by base is the whole pass; draws are the seed's, and nothing but bases is drawn."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from hyenadna_cli.core.config.settings import ModelConfig
from hyenadna_cli.core.dna import tokenizer
from hyenadna_cli.core.inference.generation import (
    Decoder,
    Sampling,
    check_lengths,
    decoder_bytes,
    generate,
    plan_generation,
    sample,
)
from hyenadna_cli.core.model.checkpoints import checkpoint
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.model.prefix import run_prefix
from hyenadna_cli.errors import CheckpointError, UsageError


@pytest.fixture(scope="module")
def model(tiny_model):
    return checkpoint.load(tiny_model)[0]


@pytest.fixture(scope="module", params=[(2, 3), (3, 4)], ids=["order2", "order3"])
def precise_model(request):
    order, n_taps = request.param
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = ModelConfig(
            d_model=8, n_layer=2, d_inner=16, l_max=200, order=order, short_filter_order=n_taps
        )
        return HyenaDNA(config).eval().double()


def tokens(n_sequences, n_positions):
    generator = torch.Generator().manual_seed(1)
    return torch.randint(7, 12, (n_sequences, n_positions), generator=generator)


def decoded(model, ids_BL, *, n_prefix=0):
    """Logits of every position after the prefix, one token at a time."""
    n_sequences, n_positions = ids_BL.shape
    n_later = n_positions - n_prefix
    with torch.inference_mode():
        prefix = None
        if n_prefix:
            embedded = model.embed_tokens(ids_BL[:, :n_prefix])
            prefix = run_prefix(model, embedded, n_later=n_later)
        decoder = Decoder(model, n_sequences=n_sequences, n_positions=n_later, prefix=prefix)
        steps = [decoder.step(ids_B) for ids_B in ids_BL[:, n_prefix:].unbind(1)]
    return torch.stack(steps, dim=1)


@pytest.mark.parametrize("n_prefix", [0, 1, 5, 64], ids=lambda n: f"prefix{n}")
def test_base_by_base_gives_the_logits_of_the_plain_pass(precise_model, n_prefix):
    ids_BL = tokens(2, 150)

    logits_BTV = decoded(precise_model, ids_BL, n_prefix=n_prefix)

    with torch.inference_mode():
        plain_BLV = precise_model(ids_BL)
    assert_close(logits_BTV, plain_BLV[:, n_prefix:], rtol=1e-9, atol=1e-9)


def test_float32_gives_the_logits_of_the_plain_pass(model):
    ids_BL = tokens(2, 256)

    logits_BTV = decoded(model, ids_BL, n_prefix=100)

    with torch.inference_mode():
        assert_close(logits_BTV, model(ids_BL)[:, 100:], rtol=1e-4, atol=1e-4)


def run(model, prompts=("",), *, length=40, n_sequences=3, batch_size=None, **sampling):
    pieces = generate(
        model,
        prompts,
        length=length,
        n_sequences=n_sequences,
        batch_size=batch_size,
        sampling=Sampling(**sampling),
    )
    return [row for done in pieces for row in done.rows]


def test_every_base_is_drawn_from_the_plain_pass(model):
    """Sampled again by running the whole prefix for each base."""
    prompt = "ACGTTTGACA"
    (row,) = run(model, [prompt], n_sequences=1, seed=5)

    draws = np.random.Generator(np.random.Philox(key=np.array([5, 0], np.uint64))).random(40)
    text = prompt
    for draw in draws:
        ids = torch.from_numpy(tokenizer.encode(text).astype(np.int64))[None]
        with torch.inference_mode():
            logits = model(ids)[:, -1]
        text += tokenizer.decode(sample(logits, torch.tensor([draw]), Sampling()).byte().numpy())

    assert text == prompt + row.sequence


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [1, 2, 3, 7])
def test_the_batch_size_does_not_change_the_sequences(model, batch_size):
    prompts = ["", "ACGTACGT", "NNNNGG"]

    rows = run(model, prompts, n_sequences=5, batch_size=batch_size)

    assert [(row.prompt, row.number) for row in rows] == [
        (p, n) for p in range(3) for n in range(5)
    ]
    assert [row.sequence for row in rows] == [
        row.sequence for row in run(model, prompts, n_sequences=5, batch_size=5)
    ]
    assert len({row.sequence for row in rows}) == 15


def test_a_longer_run_begins_with_the_shorter_one_and_another_seed_differs(model):
    short, long = run(model, length=33)[0].sequence, run(model, length=80)[0].sequence

    assert long.startswith(short)
    assert run(model, length=33, seed=1)[0].sequence != short


@pytest.mark.parametrize("allow_n", [False, True], ids=["bases", "bases-and-N"])
def test_nothing_is_drawn_that_was_not_allowed(allow_n):
    """Even where special tokens, padding rows or N have all the probability."""
    logits_BV = torch.full((1000, 16), -1.0)
    logits_BV[:, [0, 1, 4, 6, 11, 12, 15]] = 5.0
    draws_B = torch.arange(1000).double() / 1000

    letters = sample(logits_BV, draws_B, Sampling(allow_n=allow_n)).unique().tolist()

    assert letters == [*tokenizer.BASES, *([tokenizer.N] if allow_n else [])]


def shares(**sampling):
    """How often A, C, G, T are drawn at p = 0.5, 0.3, 0.15, 0.05, over evenly spread draws."""
    logits_BV = torch.zeros(1000, 16)
    logits_BV[:, 7:11] = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()
    draws_B = (torch.arange(1000).double() + 0.5) / 1000
    ids_B = sample(logits_BV, draws_B, Sampling(**sampling))
    return [round(float((ids_B == base).double().mean()), 3) for base in tokenizer.BASES]


def test_draws_follow_the_probabilities_and_the_choices_about_them():
    assert shares() == [0.5, 0.3, 0.15, 0.05]
    assert shares(temperature=0) == [1, 0, 0, 0]
    assert shares(top_k=1) == [1, 0, 0, 0]
    assert shares(top_k=2) == [0.625, 0.375, 0, 0]
    assert shares(top_p=0.5) == [1, 0, 0, 0]
    assert shares(top_p=0.6) == [0.625, 0.375, 0, 0]
    assert shares(top_p=1e-9) == [1, 0, 0, 0]
    # p ** 2, normalised: 0.25, 0.09, 0.0225, 0.0025 of 0.365.
    assert shares(temperature=0.5) == pytest.approx([0.685, 0.247, 0.062, 0.007], abs=0.002)


@pytest.mark.parametrize("temperature", [1e-30, 1e-310, 5e-324])
def test_the_coldest_draw_is_the_most_likely_base(temperature):
    """Also where the logits over the temperature are infinite."""
    assert shares(temperature=temperature) == [1, 0, 0, 0]


@pytest.mark.parametrize(
    "choice", [{"temperature": 0}, {"top_k": 1}, {"top_p": 0.1}, {"temperature": 9.0}], ids=str
)
def test_the_first_base_of_all_is_any_whatever_the_choices(model, choice):
    firsts = [row.sequence for row in run(model, length=1, n_sequences=40, **choice)]

    assert firsts == [row.sequence for row in run(model, length=1, n_sequences=40)]
    assert set(firsts) == set("ACGT")


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -1},
        {"temperature": float("nan")},
        {"top_k": 0},
        {"top_p": 0},
        {"top_p": 1.1},
        {"seed": -1},
        {"seed": 2**64},
    ],
    ids=str,
)
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match="must be"):
        Sampling(**wrong)


def test_more_than_the_model_reads_is_refused(model):
    with pytest.raises(ValueError, match="at most 258"):
        run(model, ["ACGT"], length=255)
    assert len(run(model, ["ACGT"], length=254, n_sequences=1)[0].sequence) == 254


def test_a_seed_below_the_limit_is_taken_whole():
    assert dataclasses.replace(Sampling(), seed=2**64 - 1).seed == 2**64 - 1


def test_a_plan_counts_what_will_be_sampled():
    config = ModelConfig(d_model=8, n_layer=2, d_inner=16, l_max=200)
    plan = plan_generation(
        config, torch.device("cpu"), n_prompts=2, n_sequences=5, length=30, batch_size=3
    )

    assert plan == {
        "prompts": 2,
        "sequences": 10,
        "bases": 300,
        "batches": 4,
        "peak_memory_mb": -(-3 * decoder_bytes(config, length=30) // 1_000_000),
    }


def test_a_prompt_and_what_follows_must_fit_into_the_model():
    config = ModelConfig(d_model=8, n_layer=2, d_inner=16, l_max=10)

    check_lengths([("p", "ACGT")], 6, config, model_name="tiny")
    with pytest.raises(CheckpointError, match="7 bases after the 4 of prompt 'p': tiny reads at"):
        check_lengths([("p", "ACGT")], 7, config, model_name="tiny")
    with pytest.raises(CheckpointError, match="11 bases: tiny reads at most 10; ask for fewer"):
        check_lengths([("generated", "")], 11, config, model_name="tiny")
    with pytest.raises(UsageError, match="--length 0: sample at least 1 base"):
        check_lengths([("generated", "")], 0, config, model_name="tiny")
