"""What tuning a prompt, or a model on demonstrations, will do: words, rows, steps, memory."""

from __future__ import annotations

from hyenadna_cli.core.config.settings import ModelConfig, TrainConfig
from hyenadna_cli.core.model.cost import describe_training_memory
from hyenadna_cli.core.tasks.labelled.rows import LabelledData
from hyenadna_cli.core.tasks.prompts.few_shot import check_counts
from hyenadna_cli.core.tasks.prompts.settings import Answers, FewShotConfig, PromptConfig
from hyenadna_cli.core.tasks.prompts.soft_prompt import check_fits, check_words, default_words
from hyenadna_cli.core.tasks.prompts.tuning import chosen_rows
from hyenadna_cli.errors import InputFileError, UsageError


def words_of(data: LabelledData, answers: Answers) -> tuple[str, ...]:
    """A word for each class; none for a head. Raises UsageError for words that do not fit."""
    if data.task not in ("binary", "multiclass"):
        raise UsageError(f"prompts answer with classes; these labels are a {data.task} task")
    asked = answers.label_words
    if answers.head:
        if asked is not None:
            raise UsageError("--head answers without words: no --label-words")
        return ()
    if asked is None:
        return default_words(data.n_outputs)
    if set(asked) != set(data.label_names):
        raise UsageError(
            f"--label-words names the classes {', '.join(asked)}; the data have "
            f"{', '.join(data.label_names)}"
        )
    words = tuple(asked[name] for name in data.label_names)
    check_words(words, data.label_names)
    return words


def rows_to_use(
    data: LabelledData, config: PromptConfig | FewShotConfig, *, l_max: int
) -> LabelledData:
    """The rows, as few to tune on as asked for. Raises InputFileError if there are not as many.

    Raises CheckpointError if they do not fit a model of `l_max` tokens behind what is before them.
    """
    longest = max(int(split.lengths.max()) for split in data.splits.values())
    try:
        if isinstance(config, FewShotConfig):
            n_prompt = config.n_context(int(data.splits["train"].lengths.max()))
            check_counts(data.splits["train"], data.label_names, config)
        else:
            n_prompt = config.n_tokens
            data = chosen_rows(data, n_examples=config.n_examples, seed=config.seed)
    except ValueError as error:
        raise InputFileError(data.sources[0].path, str(error)) from error
    n_after = len(config.words[0]) if config.words else 0
    check_fits(n_prompt=n_prompt, longest=longest, n_after=n_after, l_max=l_max)
    return data


def n_steps(data: LabelledData, config: PromptConfig | FewShotConfig) -> int:
    """Optimiser steps, at most; 0 for demonstrations without samples to tune on."""
    train_config = _train_config(data, config)
    return 0 if train_config is None else train_config.max_steps


def plan(data: LabelledData, config: PromptConfig | FewShotConfig, shape: ModelConfig) -> str:
    """Rows, steps, words and, where something is tuned, memory: a line each."""
    lines = [f"{split}_rows\t{n_rows}" for split, n_rows in data.split_sizes.items()]
    lines.append(f"steps\t{n_steps(data, config)}")
    if config.words:
        words = zip(data.label_names, config.words, strict=True)
        lines.append(f"words\t{','.join(f'{name}={word}' for name, word in words)}")
    train_config = _train_config(data, config)
    if train_config is not None:
        longest, n_prompt = int(data.splits["train"].lengths.max()), 0
        if isinstance(config, FewShotConfig):
            longest = config.n_tokens(longest)
        else:
            n_prompt = config.n_tokens
        lines.append(
            describe_training_memory(shape, train_config, longest=longest, n_prompt=n_prompt)
        )
    return "\n".join(lines)


def _train_config(data: LabelledData, config: PromptConfig | FewShotConfig) -> TrainConfig | None:
    """How the training loop runs; None if there is nothing to tune."""
    rows = data.splits["train"]
    longest = int(rows.lengths.max())
    if isinstance(config, PromptConfig):
        return config.train_config(n_rows=len(rows), longest=longest)
    return config.train_config(longest=longest) if config.n_samples else None
