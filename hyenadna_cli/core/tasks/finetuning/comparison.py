"""Methods and seeds in one harness: the same rows, the same evaluation, one table.

finetune   the pretrained backbone with a head, trained as the settings say
probe      a linear model on the pretrained backbone's frozen features
scratch    the same network from random weights
attention  self-attention of the same depth and width, from random weights
cnn        a small convolutional network
kmer       logistic (or ridge) regression on k-mer counts and GC: what needs no network

output directory/
(the first method's run, or model and evaluation of its best seed)
seed0/ seed1/ ...          the first method's runs, where there are several seeds
METHOD/ or METHOD-seed0/   those of the others
comparison.tsv             one row per method, seed and metric, and their means over the seeds
"""

from __future__ import annotations

import dataclasses
import json
import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyenadna_cli.core.config.settings import HeadConfig
from hyenadna_cli.core.model.classifier import SequenceClassifier, save_classifier
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.outputs import atomic
from hyenadna_cli.core.tasks.classification import predict_rows
from hyenadna_cli.core.tasks.finetuning import training
from hyenadna_cli.core.tasks.finetuning.comparison_table import (
    COMPARISON,
    read_runs,
    write_comparison,
)
from hyenadna_cli.core.tasks.finetuning.experiment import Experiment
from hyenadna_cli.core.tasks.finetuning.kmer_baseline import fit_kmer_baseline
from hyenadna_cli.core.tasks.finetuning.probe_head import fit_probe_head, start_from_probe
from hyenadna_cli.core.tasks.finetuning.settings import FinetuneConfig, Method
from hyenadna_cli.core.tasks.finetuning.training import NETWORKS, Network
from hyenadna_cli.core.tasks.labelled.leakage import leakage
from hyenadna_cli.core.tasks.metrics.evaluation import evaluate
from hyenadna_cli.core.tasks.metrics.files import EVALUATION_FILES, METRICS, write_evaluation
from hyenadna_cli.core.training.distributed import World
from hyenadna_cli.core.training.loop import StepReport
from hyenadna_cli.core.training.run_directory import (
    OtherRunError,
    Progress,
    read_progress,
    restore_best,
)
from hyenadna_cli.core.training.run_identity import MADE_FROM, made_from
from hyenadna_cli.errors import UsageError

log = logging.getLogger(__name__)


_RUN_FILES = ("config.json", "model.safetensors", "training.json", "known_answer.json")


@dataclass(frozen=True, slots=True)
class Doing:
    """One optimiser step of one run; methods without steps give none."""

    method: Method
    seed: int
    report: StepReport
    max_steps: int

    @property
    def n_bases(self) -> int:
        """Of the step."""
        return self.report.n_bases

    @property
    def reached(self) -> str:
        """What a run that ends after this step has come to."""
        return self.describe()

    @property
    def is_validated(self) -> bool:
        """Whether the step was followed by a validation."""
        return self.report.is_validated

    def describe(self) -> str:
        """One line: method, seed, step, loss, and the validation score where there is one."""
        report = self.report
        text = f"{self.method} seed {self.seed}: step {report.step:,} of {self.max_steps:,}"
        text += f", loss {report.loss:.4f}"
        if report.valid_score is None:
            return text
        return f"{text}, validation {report.valid_score:.4f}"


def report_leakage(experiment: Experiment) -> None:
    """Write leakage.json and say what the splits share: results on such rows are too good."""
    report = leakage(experiment.data)
    content = json.dumps(report.as_json(), indent=2) + "\n"
    atomic.write_text(experiment.output / "leakage.json", content)
    for pair in report.pairs:
        log.log(logging.WARNING if pair.is_leaking else logging.INFO, "%s", pair.describe())


def run(
    experiment: Experiment, *, world: World, should_stop: Callable[[], bool]
) -> Iterator[Doing]:
    """Carry out every run that is not finished yet, then write the comparison.

    Ends early, with a checkpoint and without a comparison, once `should_stop` says so.
    """
    for method, seed, directory in experiment.runs():
        if (directory / METRICS).exists():
            _check_finished(experiment, method, seed, directory)
            continue
        if world.is_main:
            directory.mkdir(parents=True, exist_ok=True)
        world.wait()
        if method in NETWORKS:
            yield from _run_network(experiment, method, seed, directory, world, should_stop)
        elif world.is_main:
            (_run_probe if method == "probe" else _run_kmer)(experiment, directory)
        world.wait()
        if not (directory / METRICS).exists():
            return
        if should_stop():
            return
    if world.is_main:
        _put_best_seed_in_place(experiment)
        write_comparison(read_runs(experiment.runs()), experiment.output)
    world.wait()


def _check_finished(experiment: Experiment, method: Method, seed: int, directory: Path) -> None:
    """A result that is there already must be of the same data, model and settings."""
    record = json.loads((directory / "training.json").read_text())
    settings = dataclasses.asdict(dataclasses.replace(experiment.config, seed=seed))
    settings = json.loads(json.dumps(settings))
    decisive = settings.keys() & record["settings"].keys() - {"recompute_blocks"}
    if method == "kmer":
        decisive = set()
    differing = [name for name in sorted(decisive) if record["settings"][name] != settings[name]]
    if method != "kmer" and record.get("base") != experiment.made_by.model_sha256:
        differing.insert(0, "the model")
    if record.get("digest") != experiment.facts["digest"]:
        differing.insert(0, "the data")
    if differing:
        raise OtherRunError(
            f"{directory} holds a finished run with other settings ({', '.join(differing)}); "
            "--force starts over, or choose another -o"
        )


def _run_network(
    experiment: Experiment,
    network: Network,
    seed: int,
    directory: Path,
    world: World,
    should_stop: Callable[[], bool],
) -> Iterator[Doing]:
    data, config = experiment.data, dataclasses.replace(experiment.config, seed=seed)
    started = time.monotonic()
    classifier = training.build(
        network,
        _head(experiment),
        config,
        shape=experiment.shape,
        pretrained=experiment.pretrained,
        runtime=experiment.runtime,
    )
    max_steps = config.train_config(
        n_rows=len(data.splits["train"]), max_length=int(data.splits["train"].lengths.max())
    ).max_steps
    is_new = read_progress(directory).step == 0
    if network == "finetune" and config.head_init == "probe" and is_new:
        start_from_probe(classifier, data, select=config.select, world=world)
    about = {
        "method": network,
        "data": experiment.facts["digest"],
        MADE_FROM: made_from(experiment.made_by),
    }
    for report in training.fit(
        network,
        classifier,
        data,
        config,
        run_dir=directory,
        runtime=experiment.runtime,
        about=about,
        world=world,
        should_stop=should_stop,
    ):
        yield Doing(network, seed, report, max_steps)
    world.wait()
    if not read_progress(directory).is_done:
        return
    progress = restore_best(classifier, directory)
    _finish(
        experiment,
        network,
        classifier.eval(),
        directory,
        config=config,
        progress=progress,
        world=world,
        seconds=time.monotonic() - started,
    )


def _run_probe(experiment: Experiment, directory: Path) -> None:
    data, config = experiment.data, experiment.config
    started = time.monotonic()
    frozen = dataclasses.replace(config, freeze="all")
    classifier = training.build(
        "finetune",
        _head(experiment),
        frozen,
        shape=experiment.shape,
        pretrained=experiment.pretrained,
        runtime=experiment.runtime,
    ).eval()
    probe = fit_probe_head(classifier, data, select=config.select)
    log.info("probe: regularisation C = %g", probe.strength)
    _finish(
        experiment,
        "probe",
        classifier,
        directory,
        config=config,
        progress=None,
        world=World(),
        seconds=time.monotonic() - started,
        chosen={"C": probe.strength},
    )


def _run_kmer(experiment: Experiment, directory: Path) -> None:
    started = time.monotonic()
    baseline = fit_kmer_baseline(experiment.data)
    log.info("kmer: %s", baseline.describe())
    scores = baseline.scores(experiment.data.splits[experiment.judged])
    _write(
        experiment,
        "kmer",
        directory,
        scores,
        seed=experiment.config.seed,
        seconds=time.monotonic() - started,
        n_parameters=None,
        progress=None,
        chosen=baseline.chosen(),
    )


def _head(experiment: Experiment) -> HeadConfig:
    config = experiment.config
    return training.head_config(experiment.data, pooling=config.pooling, dropout=config.dropout)


def _finish(
    experiment: Experiment,
    method: Method,
    classifier: SequenceClassifier,
    directory: Path,
    *,
    config: FinetuneConfig,
    progress: Progress | None,
    world: World,
    seconds: float,
    chosen: Mapping[str, Any] | None = None,
) -> None:
    """Judge a trained network and write its directory; all processes take part."""
    scores = predict_rows(
        classifier,
        experiment.data.splits[experiment.judged],
        batcher=training.batcher_for(classifier, experiment.runtime),
        both_strands=config.both_strands,
        world=world,
    )
    if not np.isfinite(scores).all():
        raise UsageError(f"{method}: training diverged, its answers are not numbers; lower --lr")
    if not world.is_main:
        return
    if type(classifier.backbone) is HyenaDNA:
        save_classifier(classifier.cpu(), directory)
    n_parameters = sum(parameter.numel() for parameter in classifier.parameters())
    _write(
        experiment,
        method,
        directory,
        scores,
        seed=config.seed,
        seconds=seconds,
        n_parameters=n_parameters,
        progress=progress,
        chosen=chosen,
    )


def _write(
    experiment: Experiment,
    method: Method,
    directory: Path,
    scores: NDArray[np.float64],
    *,
    seed: int,
    seconds: float,
    n_parameters: int | None,
    progress: Progress | None,
    chosen: Mapping[str, Any] | None = None,
) -> None:
    """`chosen` is what a method without steps chose on the validation rows."""
    data, split = experiment.data, experiment.judged
    rows = data.splits[split]
    metrics = evaluate(data.task, rows.flat_targets, scores, data.label_names, groups=rows.groups)
    facts = {
        "method": method,
        "seed": seed,
        "split": split,
        "n_parameters": n_parameters,
        "steps": None if progress is None else progress.step,
        "best_step": None if progress is None else progress.best_step,
        "validation": None if progress is None else progress.best_score,
        "chosen": None if chosen is None else dict(chosen),
    }
    record = {
        "task": data.task,
        "label_map": {name: index for index, name in enumerate(data.label_names)},
        **facts,
        "settings": dataclasses.asdict(dataclasses.replace(experiment.config, seed=seed)),
        "rows": {name: len(part) for name, part in data.splits.items()},
        **experiment.facts,
        "base": experiment.made_by.model_sha256,
        "results": {name: found.value for name, found in metrics.values.items()},
        "seconds": None if experiment.made_by.is_reproducible else round(seconds, 1),
        "made_by": experiment.made_by.as_json(),
    }
    atomic.write_text(directory / "training.json", json.dumps(record, indent=2) + "\n")
    write_evaluation(directory, rows, scores, metrics, facts=facts)


def _put_best_seed_in_place(experiment: Experiment) -> None:
    """Where the first method ran with several seeds, copy what validated best to the top."""
    first = experiment.methods[0]
    mine = [directory for method, _, directory in experiment.runs() if method == first]
    if len(mine) == 1:
        return

    def validation(directory: Path) -> float:
        score = json.loads((directory / METRICS).read_text())["validation"]
        return -np.inf if score is None else float(score)

    best = max(mine, key=validation)
    for name in (*_RUN_FILES, *EVALUATION_FILES):
        if (best / name).exists():
            with atomic.replace_on_success(experiment.output / name, overwrite=True) as scratch:
                shutil.copyfile(best / name, scratch)


def is_finished(experiment: Experiment) -> bool:
    """Whether every run has its result and the comparison is written."""
    directories = [directory for _, _, directory in experiment.runs()]
    return (
        all((directory / METRICS).exists() for directory in directories)
        and (experiment.output / COMPARISON).exists()
    )
