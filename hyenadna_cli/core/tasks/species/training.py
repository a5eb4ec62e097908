"""Species classification: a classifier trained on random windows of genomes.

TrainingWindows (length warm-up) -> batches -> training.train -> model directory with a head
fixed windows of the validation contigs ------^
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import torch

from hyenadna_cli.core.config.choices import SPLITS
from hyenadna_cli.core.config.settings import HeadConfig, ModelConfig
from hyenadna_cli.core.machine.runtime import Runtime
from hyenadna_cli.core.model.classifier import SequenceClassifier, save_classifier
from hyenadna_cli.core.model.cost import describe_training_memory
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.outputs import atomic
from hyenadna_cli.core.outputs.provenance import Provenance
from hyenadna_cli.core.tasks.labelled_batches import HeadLoss, LabelledBatch, freeze_backbone, stack
from hyenadna_cli.core.tasks.species.head_fit import bases_to_fit, fit_head
from hyenadna_cli.core.tasks.species.manifest import SpeciesGenomes
from hyenadna_cli.core.tasks.species.settings import Settings, SpeciesConfig
from hyenadna_cli.core.tasks.species.windows import (
    SamplingWeights,
    SpeciesWindow,
    TrainingWindows,
    check_lengths,
    fixed_windows,
)
from hyenadna_cli.core.training.distributed import World
from hyenadna_cli.core.training.loop import StepReport, train
from hyenadna_cli.core.training.run_directory import read_progress
from hyenadna_cli.core.training.run_identity import MADE_FROM, made_from
from hyenadna_cli.errors import UsageError

log = logging.getLogger(__name__)


class _DrawnBatches:
    """Training windows as batches; a function of the step alone."""

    def __init__(self, windows: TrainingWindows) -> None:
        self.windows = windows

    def batch(self, *, step: int, rows: range, length: int, rows_per_step: int) -> LabelledBatch:
        """The given rows of one step."""
        return _stacked([self.windows.draw(step=step, row=row, length=length) for row in rows])


class _FixedBatches(Sequence[LabelledBatch]):
    """The same windows at every validation, fetched when asked for."""

    def __init__(self, windows: Sequence[SpeciesWindow], *, rows: int) -> None:
        self.windows, self.rows = windows, rows

    def __len__(self) -> int:
        return -(-len(self.windows) // self.rows)

    @overload
    def __getitem__(self, index: int) -> LabelledBatch: ...
    @overload
    def __getitem__(self, index: slice) -> list[LabelledBatch]: ...
    def __getitem__(self, index: int | slice) -> LabelledBatch | list[LabelledBatch]:
        if isinstance(index, slice):
            return [self[number] for number in range(len(self))[index]]
        if index >= len(self):
            raise IndexError(index)
        return _stacked(self.windows[index * self.rows : (index + 1) * self.rows])


def _held_out(genomes: SpeciesGenomes, settings: Settings) -> _FixedBatches:
    species, n_bases = settings.species, settings.train.micro_batch_bases
    windows = fixed_windows(
        genomes, "valid", length=species.length, max_windows=species.valid_windows
    )
    return _FixedBatches(list(windows), rows=max(1, n_bases // species.length))


def _stacked(windows: Sequence[SpeciesWindow]) -> LabelledBatch:
    return stack([(window.sequence(), window.label) for window in windows])


def random_backbone(config: ModelConfig, *, seed: int) -> HyenaDNA:
    """A backbone that has learned nothing."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return HyenaDNA(config)


def new_classifier(
    backbone: HyenaDNA, names: Sequence[str], config: SpeciesConfig, *, seed: int
) -> SequenceClassifier:
    """A classifier of these species on a backbone, its head untrained.

    Raises UsageError if there are not as many blocks as are to be frozen.
    """
    head = HeadConfig(
        task="multiclass", label_names=tuple(names), pooling=config.pooling, dropout=config.dropout
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        classifier = SequenceClassifier(backbone, head, width=backbone.config.d_model)
    try:
        freeze_backbone(classifier, config.freeze)
    except ValueError as error:
        raise UsageError(f"--freeze: {error}") from error
    return classifier


def check(
    genomes: SpeciesGenomes,
    settings: Settings,
    weights: SamplingWeights,
    *,
    measured: Sequence[int],
) -> None:
    """Refuse what would fail only after hours: windows that no contig, or no weight, gives.

    `measured` are lengths (bases) to measure on the test contigs. Raises InputFileError and
    UsageError.
    """
    for split in SPLITS:
        genomes.runs(split)
    drawn = TrainingWindows(genomes, seed=settings.train.seed, weights=weights)
    for length in settings.lengths:
        drawn.prepare(length)
    check_lengths(genomes, "test", measured)


def plan(genomes: SpeciesGenomes, settings: Settings, backbone: HyenaDNA) -> str:
    """What a run would do: data, size of the backbone, stages, memory."""
    species, config = settings.species, settings.train
    n_parameters = sum(parameter.numel() for parameter in backbone.parameters())
    lines = [
        *(genomes.describe(split) for split in SPLITS),
        f"species: {', '.join(genomes.names)}",
        f"model: {n_parameters:,} parameters, {species.pooling} pooling",
        f"steps: {config.max_steps:,}",
        *config.describe_stages(max_length=species.length),
        describe_training_memory(backbone.config, config, longest=settings.longest),
    ]
    return "\n".join(lines)


def run(
    classifier: SequenceClassifier,
    genomes: SpeciesGenomes,
    settings: Settings,
    *,
    weights: SamplingWeights,
    base: Mapping[str, str | None],
    run_dir: Path,
    runtime: Runtime,
    world: World,
    made_by: Provenance,
    should_stop: Callable[[], bool],
) -> Iterator[StepReport]:
    """Train, and write the model into `run_dir` once the last step is done.

    `base` is the identity of the model that the backbone was. Yields one report a step; none if
    `should_stop` says so while the head is fitted. Raises DeviceMemoryError if a micro-batch does
    not fit the device.
    """
    species, config = settings.species, settings.train
    backbone = classifier.backbone
    assert isinstance(backbone, HyenaDNA)
    backbone.execution = runtime.execution(recompute_blocks=config.recompute_blocks)
    classifier.to(runtime.device)
    drawn = TrainingWindows(
        genomes, seed=config.seed, weights=weights, use_both_strands=config.reverse_complement
    )
    if species.probe_bases and read_progress(run_dir).step == 0:
        is_fitted = _fits_head(classifier, drawn, settings, should_stop)
        if world.sum(float(not is_fitted), runtime.device) > 0:
            return
    about: dict[str, Any] = {
        "base": dict(base),
        "species": dataclasses.asdict(species),
        "weights": _weights_as_json(weights),
        "data": digest(genomes),
    }
    yield from train(
        classifier,
        _DrawnBatches(drawn),
        HeadLoss(),
        config=config,
        run_dir=run_dir,
        max_length=species.length,
        valid_batches=_held_out(genomes, settings),
        lr_ratios={"head.": species.head_lr_ratio},
        about={**about, MADE_FROM: made_from(made_by)},
        world=world,
        should_stop=should_stop,
    )
    progress = read_progress(run_dir)
    # Not by the steps done here: a run may be killed after its last one.
    if world.is_main and progress.is_done and not (run_dir / "training.json").exists():
        save_classifier(classifier.eval(), run_dir)
        record = {
            **_facts(genomes, settings, about),
            "valid_nats_per_window": progress.valid_loss,
            "made_by": made_by.as_json(),
        }
        atomic.write_text(run_dir / "training.json", json.dumps(record, indent=2) + "\n")


def _facts(genomes: SpeciesGenomes, settings: Settings, about: Mapping[str, Any]) -> dict[str, Any]:
    """What training.json says of settings and data."""
    return {
        "task": "species classification",
        "species": list(genomes.names),
        "classifier": about["species"],
        "settings": dataclasses.asdict(settings.train),
        "weights": about["weights"],
        "data": {"digest": about["data"]} | {str(s): genomes.describe(s) for s in SPLITS},
        "base": about["base"],
    }


def _fits_head(
    classifier: SequenceClassifier,
    drawn: TrainingWindows,
    settings: Settings,
    should_stop: Callable[[], bool],
) -> bool:
    """Fit the head to the backbone as it is; False if this was stopped."""
    species = settings.species
    n_bases = bases_to_fit(drawn, species.probe_bases)
    is_fitted = fit_head(
        classifier,
        drawn,
        lengths=settings.lengths,
        n_bases=n_bases,
        match_gc=species.match_gc,
        should_stop=should_stop,
    )
    if is_fitted:
        log.info("head fitted to %s bases, backbone as it is", f"{n_bases:,}")
    return is_fitted


def digest(genomes: SpeciesGenomes) -> str:
    """SHA-256 over the names and stretches of all species: what a resumed run must agree on."""
    said = hashlib.sha256(json.dumps([genomes.names, genomes.max_n_run]).encode())
    for split in ("train", "valid"):
        for contigs in genomes.runs(split):
            for contig in contigs:
                ends = [(run.start, run.end) for run in contig.runs]
                said.update(json.dumps([split, contig.contig, ends]).encode())
    return said.hexdigest()


def _weights_as_json(weights: SamplingWeights) -> dict[str, Any]:
    contigs = weights.contigs
    return {
        "species": weights.species if isinstance(weights.species, str) else dict(weights.species),
        "contigs": contigs
        if isinstance(contigs, str)
        else {f"{species}:{contig}": weight for (species, contig), weight in contigs.items()},
    }
