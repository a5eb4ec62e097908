"""The head of a species classifier: what it is fitted to, and what it is afterwards."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hyenadna_cli.core.model.checkpoints import checkpoint
from hyenadna_cli.core.tasks.labelled_batches import HeadLoss, stack
from hyenadna_cli.core.tasks.species.head_fit import bases_to_fit, fit_head, gc_matched_weights
from hyenadna_cli.core.tasks.species.manifest import open_genomes
from hyenadna_cli.core.tasks.species.settings import SpeciesConfig, SpeciesFiles
from hyenadna_cli.core.tasks.species.training import new_classifier
from hyenadna_cli.core.tasks.species.windows import TrainingWindows, fixed_windows


@pytest.fixture
def genomes(text_file, fasta_file):
    """Three species of different composition."""
    random = np.random.default_rng(0)
    shares = {"a": (0.4, 0.1, 0.1, 0.4), "b": (0.1, 0.4, 0.4, 0.1), "c": (0.4, 0.4, 0.1, 0.1)}
    for species, of_bases in shares.items():
        contigs = {n: "".join(random.choice(list("ACGT"), 3_000, p=of_bases)) for n in "xyz"}
        fasta_file(contigs, name=f"{species}.fa")
    lines = [f"{species}\t{species}.fa\tx\ty\tz\n" for species in shares]
    path = text_file("".join(lines), name="species.tsv")
    with open_genomes(SpeciesFiles(manifest=path)) as opened:
        yield opened


def classifier(tiny_model, names, **config):
    backbone, _ = checkpoint.load(tiny_model)
    return new_classifier(backbone, names, SpeciesConfig(length=64, **config), seed=0)


def accuracy(model, genomes, length):
    windows = list(fixed_windows(genomes, "test", length=length, max_windows=20))
    batch = stack([(window.sequence(), window.label) for window in windows])
    with torch.inference_mode():
        scores = model(batch.token_ids_BL, batch.lengths_B)
    return (scores.argmax(1) == batch.targets).float().mean().item()


@pytest.mark.parametrize("pooling", ["mean", "last"])
def test_a_fitted_head_tells_species_apart_and_the_backbone_is_untouched(
    tiny_model, genomes, pooling
):
    model = classifier(tiny_model, genomes.names, pooling=pooling)
    before = {name: p.clone() for name, p in model.backbone.named_parameters()}

    windows = TrainingWindows(genomes, seed=0, use_both_strands=False)
    fit_head(model, windows, lengths=(32, 128), n_bases=20_000)

    assert accuracy(model, genomes, 128) > (0.9 if pooling == "mean" else 0.5)
    for name, parameter in model.backbone.named_parameters():
        assert torch.equal(parameter, before[name])


def test_a_head_is_not_fitted_to_the_same_bases_over_and_over(genomes):
    windows = TrainingWindows(genomes, seed=0)

    assert bases_to_fit(windows, 4_000_000) == 4 * 3 * 3_000
    assert bases_to_fit(windows, 1_000) == 1_000


def test_a_fit_that_is_stopped_leaves_the_head_as_it_was(tiny_model, genomes):
    model = classifier(tiny_model, genomes.names)
    before, asked = model.head.weight.clone(), []

    def should_stop():
        asked.append(None)
        return len(asked) == 3

    windows = TrainingWindows(genomes, seed=0)
    assert not fit_head(model, windows, lengths=(32, 128), n_bases=60_000, should_stop=should_stop)

    assert torch.equal(model.head.weight, before)
    assert fit_head(model, windows, lengths=(128,), n_bases=5_000)


def test_training_goes_on_from_what_was_fitted(tiny_model, genomes):
    model = classifier(tiny_model, genomes.names)
    windows = TrainingWindows(genomes, seed=0)
    fit_head(model, windows, lengths=(128,), n_bases=20_000)
    drawn = [windows.draw(step=0, row=row, length=128) for row in range(8)]
    batch = stack([(window.sequence(), window.label) for window in drawn])

    fitted, _ = HeadLoss()(model.eval(), batch)
    model.train()
    model.backbone.eval()  # what the backbone drops is its own affair
    at_first, _ = HeadLoss()(model, batch)

    assert torch.equal(at_first, fitted)


def test_two_species_need_two_rows_of_weights(tiny_model, genomes):
    path = genomes.files.manifest
    with open_genomes(SpeciesFiles(manifest=path, species=("c", "a"))) as two:
        model = classifier(tiny_model, two.names)
        fit_head(model, TrainingWindows(two, seed=0), lengths=(128,), n_bases=10_000)

        assert accuracy(model, two, 128) > 0.9
        assert torch.allclose(model.head.weight[0], -model.head.weight[1])


def test_the_fit_weighs_species_alike_in_every_range_of_gc():
    """What a species' training contigs happen to contain must not pass for the species."""
    random = np.random.default_rng(0)
    labels_N = random.integers(0, 3, 3_000)
    gc_N = random.normal(0.4, 0.03, 3_000) + 0.02 * labels_N

    weights_N = gc_matched_weights(labels_N, gc_N)

    assert weights_N.mean() == pytest.approx(1)
    in_lowest_N = gc_N < np.quantile(gc_N, 0.25)
    for is_in_range_N in (in_lowest_N, ~in_lowest_N):
        sums = [weights_N[is_in_range_N & (labels_N == label)].sum() for label in range(3)]
        assert max(sums) < 1.05 * min(sums)
