"""The CNN sees a fixed reach, and no padding."""

from __future__ import annotations

import pytest
import torch

from hyenadna_cli.core.dna.tokenizer import PAD
from hyenadna_cli.core.tasks.finetuning.cnn import SmallCNN


@pytest.fixture
def cnn() -> SmallCNN:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return SmallCNN(width=16).eval()


def bases(n_rows: int, n_positions: int) -> torch.Tensor:
    return torch.randint(7, 11, (n_rows, n_positions), generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_padding_changes_nothing(cnn: SmallCNN):
    token_ids = bases(1, 70)
    padded = torch.cat([token_ids, torch.full((1, 90), PAD)], dim=1)

    alone = cnn.hidden_states(token_ids)[0]
    in_batch = cnn.hidden_states(torch.cat([padded, bases(1, 160)]))[0]

    torch.testing.assert_close(in_batch[:1, :70], alone)


@torch.no_grad()
def test_a_base_is_seen_28_bases_away_and_no_further(cnn: SmallCNN):
    token_ids = bases(1, 101)
    changed = token_ids.clone()
    changed[0, 50] = 7 if token_ids[0, 50] != 7 else 8

    differs = (cnn.hidden_states(token_ids)[0] != cnn.hidden_states(changed)[0]).any(-1)[0]

    assert differs.nonzero().flatten().tolist() == list(range(22, 79))


def test_it_is_as_large_as_the_published_baseline():
    assert 100_000 < sum(parameter.numel() for parameter in SmallCNN().parameters()) < 140_000
