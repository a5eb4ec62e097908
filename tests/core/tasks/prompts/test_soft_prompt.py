"""Prompts: run once and equal to the plain pass, words that fit, files that know their model."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch.testing import assert_close

from hyenadna_cli.core.config.settings import HeadConfig
from hyenadna_cli.core.dna import tokenizer
from hyenadna_cli.core.model.checkpoints import checkpoint
from hyenadna_cli.core.model.classifier import SequenceClassifier
from hyenadna_cli.core.tasks.prompts import soft_prompt as prompts
from hyenadna_cli.core.tasks.prompts.soft_prompt import Base, PromptedBackbone, WordClassifier
from hyenadna_cli.errors import CheckpointError, UsageError


@pytest.fixture
def loaded(tiny_model):
    return checkpoint.load(tiny_model)


@pytest.fixture
def model(loaded):
    return loaded[0]


def prompt_of(model, n_tokens=20):
    generator = torch.Generator().manual_seed(3)
    return prompts.initial_prompt(model, n_tokens, from_vocabulary=False, generator=generator) * 50


def words_of(model, *words, n_tokens=20):
    names = tuple(str(number) for number in range(len(words)))
    task = "binary" if len(words) == 2 else "multiclass"
    config = HeadConfig(task=task, label_names=names, pooling="last")
    return WordClassifier(PromptedBackbone(model, prompt_of(model, n_tokens)), config, words).eval()


def ids(*sequences):
    encoded = [tokenizer.encode(sequence) for sequence in sequences]
    longest = max(e.size for e in encoded)
    table = torch.full((len(encoded), longest), tokenizer.PAD)
    for row, e in zip(table, encoded, strict=True):
        row[: e.size] = torch.from_numpy(e.astype("int64"))
    return table, torch.tensor([e.size for e in encoded])


@torch.no_grad()
def plain_log_probs(model, prompt_ND, tokens):
    """Ln p of each next token, by one pass over prompt and tokens, without padding."""
    embedded = torch.cat([prompt_ND, model.embed_tokens(torch.tensor(tokens))])[None]
    logits = model.logits(model.hidden_states_of(embedded)[0])[0, len(prompt_ND) :]
    return torch.log_softmax(logits, dim=-1)


@pytest.mark.parametrize("n_tokens", [0, 1, 20], ids=lambda n: f"prompt{n}")
def test_a_word_has_the_probability_of_the_plain_pass(model, n_tokens):
    sequences = ("ACGTTGCA", "GG", "TTTTTTTTTTTTTTTA")
    classifier = words_of(model, "A", "T", "N", n_tokens=n_tokens)

    with torch.no_grad():
        scores_BC = classifier(*ids(*sequences))

    for scores_C, sequence in zip(scores_BC, sequences, strict=True):
        tokens = [*tokenizer.encode(sequence).tolist(), tokenizer.SEP]
        plain = plain_log_probs(model, classifier.backbone.prompt, tokens)[-1]
        assert_close(scores_C, plain[[tokenizer.A, tokenizer.T, tokenizer.N]], rtol=1e-5, atol=1e-5)


def test_longer_words_follow_the_chain_rule(model):
    words = ("AC", "AG", "TA", "TN")
    classifier = words_of(model, *words)

    with torch.no_grad():
        scores_BC = classifier(*ids("ACGTTGCA", "GGG"))

    for scores_C, sequence in zip(scores_BC, ("ACGTTGCA", "GGG"), strict=True):
        for score, word in zip(scores_C, words, strict=True):
            first, second = tokenizer.encode(word).tolist()
            tokens = [*tokenizer.encode(sequence).tolist(), tokenizer.SEP, first]
            plain = plain_log_probs(model, classifier.backbone.prompt, tokens)
            assert_close(score, plain[-2, first] + plain[-1, second], rtol=1e-5, atol=1e-5)


def test_a_sequence_is_answered_the_same_alone_and_in_any_batch(model):
    classifier = words_of(model, "A", "T")
    sequences = ("ACGT", "ACGTACGTACGTA", "G")

    with torch.no_grad():
        together = classifier(*ids(*sequences))
        alone = torch.cat([classifier(*ids(sequence)) for sequence in sequences])

    assert_close(together, alone, rtol=1e-5, atol=1e-5)


def test_the_prompt_is_not_run_again_for_each_batch(model, monkeypatch):
    """After the first batch only the positions of the sequences are embedded and run."""
    classifier = words_of(model, "A", "T")
    with torch.no_grad():
        first = classifier(*ids("ACGTACGT"))
        monkeypatch.setattr(prompts, "run_prefix", None)
        again = classifier(*ids("ACGTACGT"))
        classifier(*ids("AC"))

    assert torch.equal(first, again)


def test_a_prompt_that_has_changed_is_run_again(model):
    classifier = words_of(model, "A", "T")
    with torch.no_grad():
        before = classifier(*ids("ACGT"))
        classifier.train()
        classifier.backbone.prompt.mul_(-1)
        classifier.eval()

        assert not torch.allclose(classifier(*ids("ACGT")), before)


@pytest.mark.parametrize("n_classes", [2, 3, 4, 5, 6, 16, 17, 919])
def test_the_default_words_can_stand_for_any_number_of_classes(n_classes):
    words = prompts.default_words(n_classes)

    prompts.check_words(words, [str(number) for number in range(n_classes)])
    assert len(words[0]) == next(n for n in range(1, 9) if 4**n >= n_classes or n_classes == 5)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("A", "X"), "word 'X' of class 'b' is outside the vocabulary"),
        (("A", ""), "outside the vocabulary"),
        (("A", "A"), "must differ"),
        (("A", "AC"), "one length"),
        (("A",), "1 label words for 2 classes"),
    ],
)
def test_words_that_cannot_stand_for_the_classes_are_refused(words, problem):
    with pytest.raises(UsageError, match=problem):
        prompts.check_words(words, ("a", "b"))


def test_what_is_longer_than_the_model_reads_is_refused_with_all_numbers():
    prompts.check_fits(n_prompt=100, longest=157, n_after=1, l_max=258)
    with pytest.raises(CheckpointError, match=r"100 prompt tokens.* 158 bases.* 259; .*258"):
        prompts.check_fits(n_prompt=100, longest=158, n_after=1, l_max=258)


@pytest.mark.parametrize("has_head", [False, True], ids=["words", "head"])
def test_a_stored_prompt_answers_as_before(loaded, tmp_path, has_head):
    model, source = loaded
    classifier = words_of(model, "A", "T")
    if has_head:
        config = dataclasses.replace(classifier.config, pooling="mean")
        classifier = SequenceClassifier(classifier.backbone, config, width=16).eval()
    prompts.save(classifier, Base.of(model, source), tmp_path)

    stored = prompts.read(tmp_path)
    again = prompts.attach(stored, checkpoint.load(source.directory)[0])

    assert stored.base.sha256 == source.sha256
    assert stored.n_tokens == 20
    with torch.no_grad():
        assert torch.equal(again(*ids("ACGTT", "A")), classifier(*ids("ACGTT", "A")))
    assert not any(parameter.requires_grad for parameter in again.parameters())


def test_another_model_refuses_the_prompt(loaded, tmp_path):
    model, source = loaded
    prompts.save(words_of(model, "A", "T"), Base.of(model, source), tmp_path)
    with torch.no_grad():
        model.backbone.ln_f.bias[0] += 1e-6

    with pytest.raises(CheckpointError, match=r"tuned on .*tiny_model"):
        prompts.attach(prompts.read(tmp_path), model)


def test_a_directory_without_a_prompt_has_none_and_a_damaged_one_is_refused(tmp_path, tiny_model):
    assert prompts.read(tiny_model) is None
    (tmp_path / "prompt.safetensors").write_bytes(b"not safetensors")
    with pytest.raises(CheckpointError, match="not a prompt file"):
        prompts.read(tmp_path)
