"""One command's experiment: the data, the methods and the seeds, and where each run goes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hyenadna_cli.core.config.choices import Split
from hyenadna_cli.core.config.settings import ModelConfig
from hyenadna_cli.core.machine.runtime import Runtime
from hyenadna_cli.core.model.cost import describe_training_memory
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.outputs.provenance import Provenance
from hyenadna_cli.core.tasks.classification import as_scores
from hyenadna_cli.core.tasks.finetuning.settings import Comparison, FinetuneConfig, Method
from hyenadna_cli.core.tasks.finetuning.training import class_weights, judged
from hyenadna_cli.core.tasks.labelled.rows import LabelledData
from hyenadna_cli.errors import UsageError

log = logging.getLogger(__name__)

_SEEDLESS: tuple[Method, ...] = ("probe", "kmer")
"""Their result does not depend on a seed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Experiment:
    """Everything that the runs of one command share."""

    data: LabelledData
    config: FinetuneConfig
    """Of the first seed; the others differ by the seed alone."""
    methods: tuple[Method, ...]
    """The first one's model is that of the output directory."""
    n_seeds: int
    shape: ModelConfig
    """Of the pretrained backbone, and of the networks compared with it."""
    pretrained: Callable[[], HyenaDNA]
    runtime: Runtime
    output: Path
    made_by: Provenance
    facts: Mapping[str, Any]
    """Further entries of training.json: `data`, the files, and `digest`, of all rows."""

    @property
    def judged(self) -> Split:
        """The split that results are about; without a test split, the validation rows."""
        return "test" if "test" in self.data.splits else "valid"

    def runs(self) -> list[tuple[Method, int, Path]]:
        """(method, seed, directory) of every run, in order."""
        runs = []
        for method in self.methods:
            seeds = range(self.config.seed, self.config.seed + self.n_seeds)
            many = self.n_seeds > 1 and method not in _SEEDLESS
            for seed in seeds if many else seeds[:1]:
                if method == self.methods[0]:
                    place = self.output / f"seed{seed}" if many else self.output
                else:
                    place = self.output / (f"{method}-seed{seed}" if many else method)
                runs.append((method, seed, place))
        return runs

    def plan(self) -> str:
        """What would be done: data, steps, memory, runs."""
        rows = self.data.splits["train"]
        longest = int(rows.lengths.max())
        train = self.config.train_config(n_rows=len(rows), max_length=longest)
        lines = [
            self.data.describe(),
            f"steps: at most {train.max_steps:,} a run",
            describe_training_memory(self.shape, train, longest=longest),
        ]
        lines += [f"run: {method}, seed {seed} -> {place}" for method, seed, place in self.runs()]
        return "\n".join(lines)


def _check_metric(data: LabelledData, metric: str | None) -> None:
    """Raise UsageError, before anything is trained, for a metric that the task does not have."""
    targets = data.splits["valid" if "valid" in data.splits else "test"].flat_targets
    shape = (len(targets), data.n_outputs)
    answers = as_scores(data.task, np.full(shape, 1 / data.n_outputs))
    judged(data.task, metric, targets, answers, data.label_names)


def experiment(
    data: LabelledData,
    config: FinetuneConfig,
    comparison: Comparison,
    *,
    shape: ModelConfig,
    pretrained: Callable[[], HyenaDNA],
    runtime: Runtime,
    output: Path,
    made_by: Provenance,
) -> Experiment:
    """An experiment that can be carried out. Raises UsageError for one that cannot."""
    if not {"valid", "test"} & data.splits.keys():
        raise UsageError("there are no rows to judge on: give --test, or --valid-fraction above 0")
    if "valid" not in data.splits and "kmer" in comparison.methods:
        raise UsageError("the k-mer baseline needs validation rows; --compare none leaves it out")
    if isinstance(config.freeze, int) and config.freeze > shape.n_layer:
        raise UsageError(f"--freeze {config.freeze}: the model has {shape.n_layer} blocks")
    class_weights(data, config.class_weights)
    _check_metric(data, config.select)
    if config.both_strands and not config.reverse_complement:
        log.warning("--rc-eval without --rc-aug: the other strand is judged but never learned")
    sources = [
        {"file": Path(source.path).name, "size": source.size, "sha256": source.sha256}
        for source in data.sources
    ]
    return Experiment(
        data=data,
        config=config,
        methods=comparison.methods,
        n_seeds=comparison.n_seeds,
        shape=shape,
        pretrained=pretrained,
        runtime=runtime,
        output=output,
        made_by=made_by,
        facts={"data": sources, "digest": data.digest()},
    )
