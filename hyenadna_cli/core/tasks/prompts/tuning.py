"""Soft prompts: labelled rows and a frozen model to a prompt, the best by validation.

rows -> a few of them, or all -> LabelledBatches -> training.train (the prompt alone learns)
     -> validation loss chooses -> judged on every held-out split
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hyenadna_cli.core.config.settings import HeadConfig
from hyenadna_cli.core.dna.tiling import Tiling
from hyenadna_cli.core.inference.batching import Batcher, BatchLimits
from hyenadna_cli.core.model.checkpoints.checkpoint import ModelSource
from hyenadna_cli.core.model.classifier import SequenceClassifier
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.outputs import atomic
from hyenadna_cli.core.outputs.provenance import Provenance
from hyenadna_cli.core.tasks.classification import predict_rows
from hyenadna_cli.core.tasks.labelled.rows import LabelledData, LabelledRows
from hyenadna_cli.core.tasks.labelled_batches import HeadLoss, LabelledBatch, LabelledBatches, stack
from hyenadna_cli.core.tasks.metrics.evaluation import Metrics, evaluate
from hyenadna_cli.core.tasks.prompts import soft_prompt as prompts
from hyenadna_cli.core.tasks.prompts.settings import PromptConfig
from hyenadna_cli.core.tasks.prompts.soft_prompt import (
    Base,
    Prompted,
    PromptedBackbone,
    WordClassifier,
)
from hyenadna_cli.core.training.loop import Selection, StepReport, train
from hyenadna_cli.core.training.loop import evaluate as mean_loss
from hyenadna_cli.core.training.run_directory import read_progress, require_same, restore_best
from hyenadna_cli.core.training.run_identity import MADE_FROM, made_from

_VALID_ROWS = 128
"""Rows of a validation batch."""


def chosen_rows(data: LabelledData, *, n_examples: int | None, seed: int) -> LabelledData:
    """The same data with `n_examples` training rows, as equal in classes as can be.

    Raises ValueError if there are fewer rows than that.
    """
    rows = data.splits["train"]
    if n_examples is None:
        return data
    if not 0 < n_examples <= len(rows):
        raise ValueError(f"{n_examples:,} examples of {len(rows):,} training rows")
    random = np.random.default_rng(seed)
    order = random.permutation(len(rows))
    classes = np.asarray(rows.targets)[order]
    # How many of its class come before each row: the rows with the smallest ranks are balanced.
    ranks = np.zeros(len(rows), np.int64)
    for number in range(data.n_outputs):
        mine = np.flatnonzero(classes == number)
        ranks[mine] = np.arange(mine.size)
    kept = order[np.argsort(ranks, kind="stable")[:n_examples]]
    return dataclasses.replace(data, splits={**data.splits, "train": rows.subset(np.sort(kept))})


def build(model: HyenaDNA, data: LabelledData, config: PromptConfig) -> Prompted:
    """A fresh prompt, and head, on a model that stays as it is; on the model's device."""
    generator = torch.Generator().manual_seed(config.seed)
    vectors_ND = prompts.initial_prompt(
        model, config.n_tokens, from_vocabulary=config.init == "vocabulary", generator=generator
    )
    backbone = PromptedBackbone(model, vectors_ND)
    answers = HeadConfig(task=data.task, label_names=data.label_names, pooling=config.pooling)
    if config.words:
        return WordClassifier(backbone, answers, config.words)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        classifier = SequenceClassifier(backbone, answers, width=model.config.d_model)
    return classifier.to(vectors_ND.device)


def fit(
    classifier: Prompted,
    data: LabelledData,
    config: PromptConfig,
    *,
    run_dir: Path,
    about: Mapping[str, Any],
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[StepReport]:
    """Tune in `run_dir`, one report a step; `run_directory.restore_best` loads the result.

    The validation loss chooses the prompt; without a validation split the last one counts.
    """
    rows = data.splits["train"]
    longest = int(rows.lengths.max())
    loss_of = HeadLoss()
    selection: Selection[Prompted] | None = None
    if "valid" in data.splits:
        held_out = _held_out(data.splits["valid"])

        def score(model: Prompted) -> float:
            return -mean_loss(model, held_out, loss_of)

        selection = Selection(score=score, patience=config.patience)
    yield from train(
        classifier,
        LabelledBatches(rows, seed=config.seed, use_both_strands=config.reverse_complement),
        loss_of,
        config=config.train_config(n_rows=len(rows), longest=longest),
        run_dir=run_dir,
        max_length=longest,
        selection=selection,
        lr_ratios={"head.": config.head_learning_rate / config.learning_rate},
        about={**dataclasses.asdict(config), **about},
        should_stop=should_stop,
    )


def judge(
    classifier: Prompted, data: LabelledData, *, device: torch.device, seed: int
) -> dict[str, Metrics]:
    """Metrics of every held-out split, whole."""
    longest = prompts.longest_input(classifier)
    batcher = Batcher(
        tiling=Tiling(longest, longest),
        limits=BatchLimits.choose(device, batch_size=None),
        device=device,
    )
    metrics: dict[str, Metrics] = {}
    for split, rows in data.splits.items():
        if split != "train":
            scores = predict_rows(classifier, rows, batcher=batcher)
            targets = np.asarray(rows.targets)
            metrics[split] = evaluate(data.task, targets, scores, data.label_names, seed=seed)
    return metrics


def made_on(base: Base, data: LabelledData) -> dict[str, str]:
    """Digests of model and data: what a resumed run must agree on beside the settings."""
    return {"base": base.digest, "data": data.digest()}


def check_finished(output: Path, settings: Mapping[str, Any], about: Mapping[str, str]) -> None:
    """Raises OtherRunError if `output` holds what was made with other settings, model or data."""
    path = output / "training.json"
    if path.exists():
        record = json.loads(path.read_text())
        saved = {**record.get("settings", {}), **record.get("made_on", {})}
        require_same(saved, json.loads(json.dumps({**settings, **about})))


def run(
    model: HyenaDNA,
    source: ModelSource,
    data: LabelledData,
    config: PromptConfig,
    *,
    output: Path,
    made_by: Provenance,
    should_stop: Callable[[], bool],
) -> Iterator[StepReport]:
    """Tune, judge and write the prompt directory `output`, one report a step.

    Stopped early, it leaves a checkpoint and no prompt.
    """
    base = Base.of(model, source)
    about = made_on(base, data)
    check_finished(output, dataclasses.asdict(config), about)
    classifier = build(model, data, config)
    yield from fit(
        classifier,
        data,
        config,
        run_dir=output,
        about={**about, MADE_FROM: made_from(made_by)},
        should_stop=should_stop,
    )
    if not read_progress(output).is_done:
        return
    restore_best(classifier, output)
    finish(
        classifier.eval().requires_grad_(False),
        base,
        data,
        dataclasses.asdict(config),
        about=about,
        output=output,
        made_by=made_by,
    )


def finish(
    classifier: Prompted,
    base: Base,
    data: LabelledData,
    settings: Mapping[str, Any],
    *,
    about: Mapping[str, str],
    output: Path,
    made_by: Provenance,
) -> None:
    """Judge a classifier and write its prompt and training.json. Raises OutputError.

    `about` is what `made_on` gave before anything was tuned.
    """
    device = next(classifier.parameters()).device
    metrics = judge(classifier, data, device=device, seed=settings["seed"])
    prompts.save(classifier, base, output)
    record = {
        "task": f"prompt, {data.task}",
        "settings": dict(settings),
        "made_on": dict(about),
        "best_step": read_progress(output).best_step,
        "labels": list(data.label_names),
        "data": {split: {"rows": len(rows)} for split, rows in data.splits.items()},
        "sources": [dataclasses.asdict(source) for source in data.sources],
        "base": dataclasses.asdict(base),
        "metrics": {split: found.as_json() for split, found in metrics.items()},
        "made_by": made_by.as_json(),
    }
    atomic.write_text(output / "training.json", json.dumps(record, indent=2) + "\n")


def summary(output: Path) -> Iterator[str]:
    """One line for each split that was judged."""
    metrics = json.loads((output / "training.json").read_text())["metrics"]
    for split, found in metrics.items():
        values = ", ".join(
            f"{name} {value['value']:.3f}" + _interval(value)
            for name, value in found["values"].items()
            if name in ("accuracy", "mcc", "auroc") and value["value"] is not None
        )
        yield f"{split}, {found['n']:,} rows: {values}"


def _interval(value: Mapping[str, float | None]) -> str:
    """Nothing where rows of one class leave the interval undefined."""
    return "" if value["low"] is None else f" ({value['low']:.3f}-{value['high']:.3f})"


def _held_out(rows: LabelledRows) -> list[LabelledBatch]:
    # Sorted by length: little padding.
    order = np.argsort(rows.lengths, kind="stable")
    examples = [(rows[int(index)].sequence, rows[int(index)].target) for index in order]
    return [
        stack(examples[start : start + _VALID_ROWS])
        for start in range(0, len(examples), _VALID_ROWS)
    ]
