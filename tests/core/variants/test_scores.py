"""What each score means, by its definition, on numbers small enough to see."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from hyenadna_cli.core.dna import tokenizer
from hyenadna_cli.core.variants import scores as allele_scores
from hyenadna_cli.core.variants.scores import Pairs


def ids(*sequences):
    return torch.from_numpy(np.stack([tokenizer.encode(s).astype(np.int64) for s in sequences]))


def distributions(n_alleles, length, seed, n_classes=4):
    random = torch.Generator().manual_seed(seed)
    logits = torch.randn(n_alleles, length, n_classes, generator=random, dtype=torch.float64)
    return torch.log_softmax(logits, -1)


@pytest.fixture
def pairs():
    """An SNV at 3, a deletion of 2 and an insertion of 1, in windows of 10."""
    ref = ids("ACGTACGTNA", "ACGTACGTNA", "ACGTACGTNA")
    alt = ids("ACGAACGTNA", "ACGTGTNACC", "ACGTTACGTN")
    shared = distributions(3, 10, seed=1)
    own = distributions(3, 10, seed=2)
    return Pairs(
        ref_ids_AL=ref,
        alt_ids_AL=alt,
        ref_log_probs_ALV=shared,
        alt_log_probs_ALV=torch.cat([shared[:, :3], own[:, 3:]], dim=1),
        start=3,
        ref_ends_A=torch.tensor([4, 6, 4]),
        alt_ends_A=torch.tensor([4, 4, 5]),
        ref_limits_A=torch.tensor([10, 10, 10]),
        alt_limits_A=torch.tensor([10, 10, 10]),
    )


def test_llr_sums_over_the_bases_and_skips_n(pairs):
    expected = []
    for allele in range(3):
        total = 0.0
        for ids_L, log_probs, sign in (
            (pairs.alt_ids_AL[allele], pairs.alt_log_probs_ALV[allele], 1),
            (pairs.ref_ids_AL[allele], pairs.ref_log_probs_ALV[allele], -1),
        ):
            for t in range(1, 10):
                if ids_L[t] != tokenizer.N:
                    total += sign * log_probs[t - 1, ids_L[t] - tokenizer.A].item()
        expected.append(total)

    assert allele_scores.llr(pairs).tolist() == pytest.approx(expected)


def test_jsd_compares_what_follows_the_allele_base_by_base(pairs):
    def divergence(p, q):
        middle = (p + q) / 2
        return (p * np.log2(p / middle) + q * np.log2(q / middle)).sum() / 2

    expected = []
    for allele in range(3):
        ref_end, alt_end = int(pairs.ref_ends_A[allele]), int(pairs.alt_ends_A[allele])
        found = []
        for step in range(10 - max(ref_end, alt_end)):
            if pairs.ref_ids_AL[allele, ref_end + step] != tokenizer.N:
                p = pairs.ref_log_probs_ALV[allele, ref_end - 1 + step].exp().numpy()
                q = pairs.alt_log_probs_ALV[allele, alt_end - 1 + step].exp().numpy()
                found.append(divergence(p, q))
        expected.append(np.mean(found))

    assert allele_scores.jsd(pairs).tolist() == pytest.approx(expected)


def test_equal_distributions_do_not_diverge_and_disjoint_ones_do_by_a_bit(pairs):
    sure = torch.full((1, 10, 4), -1e3, dtype=torch.float64)
    sure[..., 0] = 0.0
    other = sure.roll(1, dims=-1)
    ends = torch.tensor([4])

    def jsd(ref, alt):
        bases = ids("ACGTACGTCA")
        return allele_scores.jsd(
            Pairs(
                ref_ids_AL=bases,
                alt_ids_AL=bases,
                ref_log_probs_ALV=ref,
                alt_log_probs_ALV=alt,
                start=3,
                ref_ends_A=ends,
                alt_ends_A=ends,
                ref_limits_A=torch.tensor([len(bases[0])]),
                alt_limits_A=torch.tensor([len(bases[0])]),
            )
        ).item()

    assert jsd(sure, sure) == pytest.approx(0)
    assert jsd(sure, other) == pytest.approx(1)


def test_site_is_not_defined_where_a_token_is_no_base():
    log_probs = distributions(3, 1, seed=3)[:, 0]
    ref, alt = ids("ANA")[0], ids("CCN")[0]

    first, second, third = allele_scores.site(log_probs, ref, alt).tolist()

    assert first == pytest.approx((log_probs[0, 1] - log_probs[0, 0]).item())
    assert math.isnan(second)
    assert math.isnan(third)


def test_distances_are_those_of_the_means_over_the_bases():
    random = torch.Generator().manual_seed(4)
    states = torch.randn(2, 5, 3, generator=random)
    ref_ids, alt_ids = ids("ACGTN")[0], ids("ACNNT")[0]
    ref_mean = states[0, :4].double().mean(0)
    alt_mean = states[1, [0, 1, 4]].double().mean(0)

    l2, cos = allele_scores.distances(
        allele_scores.summed_states(states[:1], ref_ids[None]),
        allele_scores.summed_states(states[1:], alt_ids[None]),
    )

    assert l2.item() == pytest.approx(torch.dist(ref_mean, alt_mean).item())
    cosine = torch.nn.functional.cosine_similarity(ref_mean, alt_mean, dim=0).item()
    assert cos.item() == pytest.approx(1 - cosine)


def test_what_the_model_did_not_give_is_infinite_and_not_undefined(pairs):
    broken = Pairs(
        ref_ids_AL=pairs.ref_ids_AL,
        alt_ids_AL=pairs.alt_ids_AL,
        ref_log_probs_ALV=pairs.ref_log_probs_ALV,
        alt_log_probs_ALV=pairs.alt_log_probs_ALV * torch.nan,
        start=3,
        ref_ends_A=pairs.ref_ends_A,
        alt_ends_A=pairs.alt_ends_A,
        ref_limits_A=pairs.ref_limits_A,
        alt_limits_A=pairs.alt_limits_A,
    )

    assert torch.isinf(allele_scores.llr(broken)).all()
    assert torch.isinf(allele_scores.jsd(broken)).all()
