"""The model against numbers printed by the official implementation; see golden/appendix_a.json."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from hyenadna_cli.core.config.settings import ModelConfig
from hyenadna_cli.core.model.hyenadna import HyenaDNA

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "appendix_a.json").read_text())

# The printed numbers carry six decimals, and float32 sums differ in the last bits.
ATOL = 2e-6


def formula_model(shift):
    model = HyenaDNA(ModelConfig(**GOLDEN["config"], filter_shift=shift)).eval()
    parameters = dict(sorted(model.named_parameters()))  # the tied head is not listed twice
    with torch.no_grad():
        for j, (name, parameter) in enumerate(parameters.items()):
            i = np.arange(parameter.numel())
            values = (0.3 * np.sin(0.7 * i + 1.3 * j + 0.1)).astype(np.float32)
            is_norm = name.endswith(("norm1.weight", "norm2.weight", "ln_f.weight"))
            offset = np.float32(10 if name.endswith("freq") else 1 if is_norm else 0)
            parameter.copy_(torch.from_numpy(values + offset).view_as(parameter))
    return model


def case_name(case):
    return f"shift{case['shift']}-{'.'.join(map(str, case['token_ids'][:9]))}"


def test_the_parameters_are_the_official_ones_by_name_and_number():
    names = sorted(name for name, _ in formula_model(0.05).named_parameters())

    assert len(names) == 49
    assert {n: names[int(n)] for n in GOLDEN["tensor_numbers"]} == GOLDEN["tensor_numbers"]


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=case_name)
def test_hidden_states_and_logits_are_those_of_the_official_implementation(case):
    model = formula_model(case["shift"])
    token_ids = torch.tensor([case["token_ids"]])

    with torch.inference_mode():
        hidden = model.hidden_states(token_ids)[0][0]
        logits = model.logits(hidden)
    nll = -torch.log_softmax(logits[:-1].double(), -1).gather(-1, token_ids[0, 1:, None])

    found = {
        "first_hidden": hidden[0],
        "last_hidden": hidden[-1],
        "last_logits": logits[-1],
        "mean_nll": nll.mean(),
    }
    for name in found.keys() & case.keys():
        np.testing.assert_allclose(found[name].numpy(), case[name], rtol=0, atol=ATOL)
    # A sum of n entries, each off by up to ATOL.
    for name, total in (("sum_hidden", hidden.sum()), ("sum_abs_hidden", hidden.abs().sum())):
        if name in case:
            assert float(total) == pytest.approx(case[name], abs=ATOL * hidden.numel())


def test_filters_are_those_of_the_official_implementation():
    taps = GOLDEN["filter_taps"]
    model = formula_model(taps["shift"])

    with torch.inference_mode():
        (filter_dl,) = model.backbone.layers[taps["layer"]].mixer.filter_fn(5)

    for channel, expected in taps["channels"].items():
        np.testing.assert_allclose(filter_dl[int(channel)].numpy(), expected, rtol=0, atol=ATOL)


def test_positions_are_those_of_the_official_implementation():
    filter_fn = formula_model(0.05).backbone.layers[0].mixer.filter_fn

    for row, expected in GOLDEN["z_rows"].items():
        np.testing.assert_allclose(filter_fn.pos_emb.z[0, int(row)], expected, rtol=0, atol=1e-7)
    deltas = filter_fn.modulation.deltas[0, 0]
    np.testing.assert_allclose(deltas, GOLDEN["deltas"], rtol=1e-7, atol=0)
