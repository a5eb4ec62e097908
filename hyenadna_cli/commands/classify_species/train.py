"""`classify-species train`: a classifier on random windows of genomes."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hyenadna_cli.commands.classify_species.evaluate import (
    LengthsOption,
    ManifestOption,
    MaxNRunOption,
    RenameContigsOption,
    TestStrandOption,
    TestWindowsOption,
    check_longest,
    collect_provenance,
    measure,
    opened_genomes,
)
from hyenadna_cli.commands.options import shared as opt
from hyenadna_cli.commands.options import training as tr
from hyenadna_cli.commands.options.groups import with_option_groups
from hyenadna_cli.commands.options.model import ChosenModel, ComputeRequest, ModelRequest
from hyenadna_cli.commands.reporting.progress import track
from hyenadna_cli.commands.reporting.record_run import exit_code_when_out_of_memory
from hyenadna_cli.commands.reporting.stops import StopRequest, on_signals
from hyenadna_cli.commands.reporting.training_counts import TrainingAccount
from hyenadna_cli.errors import UsageError

if TYPE_CHECKING:
    from hyenadna_cli.core.machine.runtime import Runtime
    from hyenadna_cli.core.model.classifier import SequenceClassifier
    from hyenadna_cli.core.model.hyenadna import HyenaDNA
    from hyenadna_cli.core.outputs.provenance import Provenance
    from hyenadna_cli.core.tasks.species.manifest import SpeciesGenomes
    from hyenadna_cli.core.tasks.species.settings import Settings
    from hyenadna_cli.core.tasks.species.windows import SamplingWeights
    from hyenadna_cli.core.training.loop import StepReport

log = logging.getLogger(__name__)


@with_option_groups
def train(
    *,
    manifest: ManifestOption,
    output: tr.RunDirectoryOption,
    species: Annotated[
        str, typer.Option("--species", help="Of the manifest, by commas; default: all.")
    ] = "",
    length: Annotated[
        int | None,
        typer.Option(
            "--length", parser=opt.parse_bases, metavar="BASES", help="Of the longest windows."
        ),
    ] = None,
    lengths: LengthsOption = None,
    test_windows: TestWindowsOption = 100,
    strand: TestStrandOption = "+",
    species_weights: Annotated[
        str,
        typer.Option(
            "--species-weights", metavar="uniform|bases|NAME=W,...", help="How often each is drawn."
        ),
    ] = "uniform",
    contig_weights: Annotated[
        str,
        typer.Option(
            "--contig-weights",
            metavar="bases|uniform|FILE",
            help="Within a species; a file has three columns: species contig weight.",
        ),
    ] = "bases",
    contig_map: opt.ContigMapOption = "exact",
    rename_chrs: RenameContigsOption = None,
    max_n_run: MaxNRunOption = 10,
    model: opt.ModelOption = "builtin",
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="Random weights instead of --model.")
    ] = False,
    d_model: Annotated[int | None, typer.Option("--d-model", help="From scratch: width.")] = None,
    n_layer: Annotated[int | None, typer.Option("--n-layer", help="From scratch: blocks.")] = None,
    pooling: Annotated[
        Literal["mean", "last"] | None, typer.Option("--pool", help="Of the hidden states.")
    ] = None,
    freeze: Annotated[
        Any,
        typer.Option(
            "--freeze",
            parser=tr.parse_freeze,
            metavar="all|none|N",
            help="Of the backbone: everything, nothing, or the first N blocks.",
        ),
    ] = None,
    probe_bases: Annotated[
        int | None,
        typer.Option(
            "--probe-bases",
            parser=opt.parse_bases,
            metavar="BASES",
            help="The head is fitted to so many before training; 0: it starts from nothing.",
        ),
    ] = None,
    match_gc: Annotated[
        bool | None,
        typer.Option("--match-gc/--no-match-gc", help="In that fit, GC content tells nothing."),
    ] = None,
    head_lr_ratio: Annotated[
        float | None, typer.Option("--head-lr-ratio", help="The head's learning rate over --lr.")
    ] = None,
    dropout: Annotated[
        float | None, typer.Option("--dropout", help="On the pooled vector, in training.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", help="Settings as TOML: tables [species], [train], [model]."),
    ] = None,
    preset: tr.PresetOption = None,
    steps: tr.StepOptions,
    weight_decay: Annotated[float | None, typer.Option("--weight-decay")] = None,
    valid_windows: Annotated[
        int | None, typer.Option("--valid-windows", help="At most so many a species.")
    ] = None,
    request: ModelRequest,
    compute: ComputeRequest,
    run_directory: tr.RunDirectory,
    dry_run: opt.DryRunOption = False,
    verbose: opt.VerboseOption = 0,
    quiet: opt.QuietOption = False,
) -> None:
    """Train a classifier of species on random windows of their genomes.

    Writes a run directory as pretrain does: metrics.csv, checkpoints/, and in the end a model that
    predict and every other command reads with -m. With --lengths also evaluation/, as evaluate
    writes it. Stops cleanly on SIGTERM, SIGUSR1 and --max-time; --resume goes on exactly. Under
    torchrun the processes share each step's batch.

      hyenadna classify-species train --manifest species.tsv --length 32k --length-schedule
      1k:1500,8k:300,32k:200 --max-steps 2000 --lengths 1k,4k,16k,32k -o run
    """
    from hyenadna_cli.core.tasks.species import settings as species_settings

    given_model = {"d_model": d_model, "n_layer": n_layer}
    if not from_scratch and any(value is not None for value in given_model.values()):
        raise UsageError("--d-model and --n-layer go with --from-scratch")
    settings = species_settings.settings(
        model=tr.given(given_model) if from_scratch else None,
        train=tr.given(dataclasses.asdict(steps) | {"weight_decay": weight_decay}),
        species=tr.given(
            {
                "length": length,
                "pooling": pooling,
                "freeze": freeze,
                "dropout": dropout,
                "probe_bases": probe_bases,
                "match_gc": match_gc,
                "head_lr_ratio": head_lr_ratio,
                "valid_windows": valid_windows,
            }
        ),
        config_file=config,
        preset=preset,
    )
    selected = tuple(filter(None, (name.strip() for name in species.split(","))))
    run_directory.check()
    with (
        exit_code_when_out_of_memory(compute.oom_exit_code),
        opened_genomes(
            manifest, selected, contig_map=contig_map, rename_chrs=rename_chrs, max_n_run=max_n_run
        ) as genomes,
    ):
        chosen = None if from_scratch else request.choose(compute, training=True)
        longest = max([settings.longest, *(lengths or ())])
        if chosen is not None:
            check_longest(chosen, longest)
        elif settings.model is not None and longest > settings.model.l_max:
            raise UsageError(
                f"windows of {longest:,} bases: the model from scratch reads at most "
                f"{settings.model.l_max:,} tokens; l_max in the table [model] of --config sets it"
            )
        job = _Job(
            genomes=genomes,
            settings=settings,
            weights=_weights(species_weights, contig_weights, genomes),
            chosen=chosen,
            runtime=chosen.run if chosen else compute.resolve(training=True),
            output=output,
            lengths=lengths or (),
            test_windows=test_windows,
            strand=strand,
            no_version=run_directory.no_version,
        )
        job.check()
        if dry_run:
            job.print_plan()
        else:
            job.run(run_directory)


class _Job:
    """A training run, its options checked; `check` looks at the genomes."""

    def __init__(
        self,
        *,
        genomes: SpeciesGenomes,
        settings: Settings,
        weights: SamplingWeights,
        chosen: ChosenModel | None,
        runtime: Runtime,
        output: Path,
        lengths: tuple[int, ...],
        test_windows: int,
        strand: Literal["+", "both"],
        no_version: bool,
    ) -> None:
        """`chosen` is None for a backbone that starts from random weights."""
        self.genomes, self.settings, self.weights = genomes, settings, weights
        self.chosen, self.runtime, self.output = chosen, runtime, output
        self.lengths, self.test_windows, self.strand = lengths, test_windows, strand
        self.no_version = no_version

    def check(self) -> None:
        """Raises InputFileError and UsageError for what could not be done to the end."""
        from hyenadna_cli.core.tasks.species import training as species_training

        species_training.check(self.genomes, self.settings, self.weights, measured=self.lengths)

    def print_plan(self) -> None:
        """`--dry-run`."""
        from hyenadna_cli.core.tasks.species import training as species_training

        backbone = self._backbone()
        plan = species_training.plan(
            self.genomes,
            self.settings,
            shape=backbone.config,
            n_parameters=sum(parameter.numel() for parameter in backbone.parameters()),
        )
        typer.echo(plan)

    def run(self, run_directory: tr.RunDirectory) -> None:
        """Train, then measure."""
        from hyenadna_cli.core.tasks.species import training as species_training
        from hyenadna_cli.core.training import distributed
        from hyenadna_cli.core.training.run_directory import read_progress

        settings = self.settings
        account = TrainingAccount(command="classify-species train")
        for split in ("train", "valid"):
            log.info("%s", self.genomes.describe(split))
        with (
            on_signals(run_directory.max_time) as stop,
            distributed.joined(self.runtime.device) as world,
            run_directory.claimed(is_main=world.is_main),
        ):
            world.wait()
            identity = self.chosen.identity() if self.chosen else {"name": "random weights"}
            made_by = collect_provenance(
                self.genomes,
                self.runtime,
                self.chosen.identity() if self.chosen else None,
                {},
                no_version=self.no_version,
            )
            classifier = species_training.new_classifier(
                self._backbone(), self.genomes.names, settings.species, seed=settings.train.seed
            )
            reports = species_training.run(
                classifier,
                self.genomes,
                settings,
                weights=self.weights,
                base=identity,
                run_dir=self.output,
                runtime=self.runtime,
                world=world,
                made_by=made_by,
                should_stop=stop,
            )
            last = 0
            shown = track(
                reports, total=settings.train.max_steps, label="training", describe=_describe
            )
            for report in shown:
                last = report.step
                account.add(report)
                if report.valid_loss is not None:
                    log.info("%s", _describe(report))
            # Of several processes, not all need have got the signal.
            if not read_progress(self.output).is_done:
                where = f"checkpoint at step {last:,}" if last else "before the first step"
                raise stop.error(f"{where}; --resume goes on from there")
            if self.lengths and world.is_main and not self._measure(classifier, made_by, stop):
                raise stop.error("trained, not yet measured; --resume goes on from there")
            if world.is_main:
                account.close(
                    run_directory,
                    made_by,
                    split_sizes=self.genomes.split_sizes,
                    device=self.runtime.device_name,
                    model=self.chosen.identity() if self.chosen else None,
                )

    def _measure(
        self, classifier: SequenceClassifier, made_by: Provenance, stop: StopRequest
    ) -> bool:
        return measure(
            classifier.eval(),
            self.genomes,
            self.lengths,
            self.output / "evaluation",
            split="test",
            test_windows=self.test_windows,
            strand=self.strand,
            overwrite=True,
            runtime=self.runtime,
            made_by=made_by,
            should_stop=stop,
        )

    def _backbone(self) -> HyenaDNA:
        if self.chosen is not None:
            return self.chosen.load()
        from hyenadna_cli.core.tasks.species.training import random_backbone

        assert self.settings.model is not None
        return random_backbone(self.settings.model, seed=self.settings.train.seed)


def _weights(species: str, contigs: str, genomes: SpeciesGenomes) -> SamplingWeights:
    from hyenadna_cli.core.tasks.species.windows import (
        SamplingWeights,
        parse_species_weights,
        read_contig_weights,
    )

    of_species = parse_species_weights(species, genomes.names)
    if contigs == "bases" or contigs == "uniform":
        return SamplingWeights(
            species=of_species, contigs="bases" if contigs == "bases" else "uniform"
        )
    return SamplingWeights(species=of_species, contigs=read_contig_weights(Path(contigs), genomes))


def _describe(report: StepReport) -> str:
    text = f"step {report.step:,}, length {report.length:,}: {report.loss:.4f} nats a window"
    if report.valid_loss is not None:
        text += f"; held out {report.valid_loss:.4f}"
    return text
