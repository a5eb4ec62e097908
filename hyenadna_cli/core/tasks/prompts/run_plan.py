"""What tuning a prompt, or a model on demonstrations, will do: steps, words, memory."""

from __future__ import annotations

from hyenadna_cli.core.config import ModelConfig, TrainConfig
from hyenadna_cli.core.model.cost import describe_training_memory
from hyenadna_cli.core.tasks.labelled.rows import LabelledData
from hyenadna_cli.core.tasks.prompts.few_shot import FewShotConfig
from hyenadna_cli.core.tasks.prompts.tuning import PromptConfig


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
