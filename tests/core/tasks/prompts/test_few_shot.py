"""Demonstrations: what is shown, what is asked, and that dropout and padding play no part."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from hyenadna_cli.core.dna import tokenizer
from hyenadna_cli.core.model.checkpoints import checkpoint
from hyenadna_cli.core.model.classifier import backbone_digest
from hyenadna_cli.core.tasks.labelled.rows import LabelledData, LabelledRows
from hyenadna_cli.core.tasks.prompts import few_shot
from hyenadna_cli.core.tasks.prompts.few_shot import FewShotBatches
from hyenadna_cli.core.tasks.prompts.settings import FewShotConfig

SEQUENCES = ("AAA", "ACC", "AGGG", "ATTT", "TAA", "TCC", "TGG", "TTTT")
TARGETS = (0, 0, 0, 0, 1, 1, 1, 1)
WORDS = ("C", "G")


def rows_of(sequences, targets):
    return LabelledRows(
        names=list(sequences),
        sequences=list(sequences),
        intervals=[None] * len(sequences),
        targets=np.array(targets),
    )


@pytest.fixture
def data():
    splits = {"train": rows_of(SEQUENCES, TARGETS), "valid": rows_of(("ACG", "TGA"), (0, 1))}
    return LabelledData(task="binary", label_names=("x", "y"), splits=splits, sources=())


@pytest.fixture
def model(tiny_model):
    return checkpoint.load(tiny_model)[0]


def examples(ids):
    """(sequence, word) of each example in a sample."""
    parts = tokenizer.decode(np.array([i for i in ids if i != tokenizer.PAD], np.uint8))
    pieces = parts.split("[SEP]")
    return list(zip(pieces[::2], pieces[1::2], strict=False))


@pytest.mark.parametrize("n_shots", [0, 1, 3])
def test_a_sample_shows_each_class_as_often_and_never_its_own_sequence(data, n_shots):
    config = FewShotConfig(n_shots=n_shots, n_samples=8, words=WORDS)
    batches = FewShotBatches(data.splits["train"], config)

    queries = []
    for step in range(4):
        batch = batches.batch(step=step, rows=range(2), length=10**6, rows_per_step=2)
        for ids in batch.token_ids_BL.tolist():
            *shown, (query, _) = found = examples(ids)
            queries.append(query)
            assert sorted(word for _, word in shown) == sorted(WORDS * n_shots)
            assert all(WORDS[TARGETS[SEQUENCES.index(s)]] == word for s, word in found)
            assert query not in [sequence for sequence, _ in shown]
            assert len({sequence for sequence, _ in shown}) == len(shown)
    assert sorted(queries) == sorted(SEQUENCES)


def test_targets_are_the_words_and_nothing_else(data):
    config = FewShotConfig(n_shots=2, n_samples=8, words=("CA", "GA"))
    batch = FewShotBatches(data.splits["train"], config).batch(
        step=0, rows=range(2), length=1, rows_per_step=2
    )

    for ids, targets in zip(batch.token_ids_BL, batch.targets_BT, strict=True):
        asked = targets[targets != -100].byte().numpy()
        words = [word for _, word in examples(ids.tolist())]
        assert tokenizer.decode(asked) == "".join(words)
        # The word is asked for after the separator, not after the last base.
        first = int((targets != -100).nonzero()[0])
        assert int(ids[first]) == tokenizer.SEP


def test_the_loss_is_that_of_the_words_in_a_plain_pass(model, data):
    config = FewShotConfig(n_shots=0, n_samples=2, words=WORDS)
    batch = FewShotBatches(data.splits["train"], config).batch(
        step=0, rows=range(2), length=1, rows_per_step=2
    )

    with torch.no_grad():
        loss, n_words = few_shot.word_loss(model, batch)
        expected = 0.0
        for ids in batch.token_ids_BL.tolist():
            tokens = [i for i in ids if i != tokenizer.PAD]
            log_probs = torch.log_softmax(model(torch.tensor([tokens[:-1]])), dim=-1)
            expected -= float(log_probs[0, -1, tokens[-1]])

    assert n_words == 2
    assert float(loss) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("n_shots", [0, 2])
def test_a_judgement_is_the_plain_pass_behind_one_set_of_demonstrations(model, data, n_shots):
    config = FewShotConfig(n_shots=n_shots, words=WORDS, seed=4)
    model.train()  # dropout would show

    classifier = few_shot.in_context(model, data, config)
    ids_BL = torch.from_numpy(
        np.stack([tokenizer.encode(s) for s in ("ACG", "TGA")]).astype("int64")
    )
    with torch.no_grad():
        scores_BC = classifier(ids_BL, torch.tensor([3, 3]))

    random = np.random.Generator(np.random.Philox(key=4, counter=[0, 7, 0, 0]))
    shown = few_shot.draw_shots(np.array(TARGETS), n_shots, 2, random)
    text = [(SEQUENCES[row], WORDS[TARGETS[row]]) for row in shown]
    context = []
    for sequence, word in text:
        context += [*tokenizer.encode(sequence), tokenizer.SEP]
        context += [*tokenizer.encode(word), tokenizer.SEP]
    for scores_C, ids_L in zip(scores_BC, ids_BL.tolist(), strict=True):
        tokens = torch.tensor([[*map(int, context), *ids_L, tokenizer.SEP]])
        with torch.no_grad():
            plain = torch.log_softmax(model.eval()(tokens)[0, -1], dim=-1)
        assert_close(scores_C, plain[[tokenizer.C, tokenizer.G]], rtol=1e-5, atol=1e-5)


def test_other_seeds_show_other_examples_and_the_same_seed_the_same(data):
    def shown(seed):
        random = np.random.Generator(np.random.Philox(key=seed, counter=[0, 7, 0, 0]))
        return few_shot.draw_shots(np.array(TARGETS), 2, 2, random)

    assert shown(0) == shown(0)
    assert len({tuple(shown(seed)) for seed in range(8)}) > 4


def test_tuning_changes_the_weights_and_no_samples_change_nothing(model, data, tmp_path):
    before = backbone_digest(model)
    none = FewShotConfig(n_shots=1, n_samples=0, words=WORDS)
    some = FewShotConfig(n_shots=1, n_samples=4, words=WORDS, learning_rate=1e-2)

    assert list(few_shot.tune(model, data, none, run_dir=tmp_path, about={})) == []
    assert backbone_digest(model) == before
    reports = list(few_shot.tune(model, data, some, run_dir=tmp_path, about={}))

    assert [report.step for report in reports] == [1, 2]
    assert backbone_digest(model) != before


@pytest.mark.parametrize(
    ("n_shots", "n_samples", "problem"),
    [
        (5, 0, "class x has 4 training examples; 5 shots need 5"),
        (4, 2, "4 shots need 5"),
        (1, 9, "9 samples of 8 training rows"),
    ],
)
def test_fewer_examples_than_are_needed_is_refused(data, n_shots, n_samples, problem):
    config = FewShotConfig(n_shots=n_shots, n_samples=n_samples, words=WORDS)

    with pytest.raises(ValueError, match=problem):
        few_shot.check_counts(data.splits["train"], data.label_names, config)


def test_the_context_is_as_long_as_announced(data):
    config = FewShotConfig(n_shots=3, n_samples=8, words=("CA", "GA"))
    batch = FewShotBatches(data.splits["train"], config).batch(
        step=0, rows=range(8), length=1, rows_per_step=8
    )

    assert batch.token_ids_BL.shape[1] <= config.n_context(4) + 4 + 1 + 2
