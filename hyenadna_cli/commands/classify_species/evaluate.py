"""`classify-species evaluate`: accuracy against length, and what reads a finished classifier."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hyenadna_cli.commands.options import shared as opt
from hyenadna_cli.commands.options.groups import with_option_groups
from hyenadna_cli.commands.options.model import ChosenModel, ComputeRequest, ModelRequest
from hyenadna_cli.commands.reporting.record_run import exit_code_when_out_of_memory
from hyenadna_cli.core.outputs import atomic
from hyenadna_cli.errors import CheckpointError, UsageError

if TYPE_CHECKING:
    from hyenadna_cli.core.machine.runtime import Runtime
    from hyenadna_cli.core.model.classifier import SequenceClassifier
    from hyenadna_cli.core.outputs.provenance import Provenance
    from hyenadna_cli.core.tasks.species.manifest import SpeciesGenomes

log = logging.getLogger(__name__)


_SHORTEST = 2


def parse_lengths(text: str) -> tuple[int, ...]:
    """`1k,4k,16k` as bases."""
    lengths = tuple(opt.parse_bases(part) for part in text.split(","))
    if min(lengths) < _SHORTEST:
        raise typer.BadParameter(
            f"{text!r}: windows have {_SHORTEST} bases or more; commas separate lengths"
        )
    return lengths


ManifestOption = Annotated[
    Path,
    typer.Option(
        "--manifest",
        help="Tab-separated: species fasta train_contigs valid_contigs test_contigs.",
    ),
]
LengthsOption = Annotated[
    Any,
    typer.Option(
        "--lengths",
        parser=parse_lengths,
        metavar="BASES,...",
        help="Measure accuracy with windows of each length, on held-out contigs.",
    ),
]
RenameContigsOption = Annotated[
    Path | None,
    typer.Option(
        "--rename-chrs", help="Two columns: contig name in the manifest, name in the FASTA."
    ),
]
MaxNRunOption = Annotated[
    int, typer.Option("--max-n-run", min=0, help="No window holds a longer run of N (bases).")
]
TestWindowsOption = Annotated[
    int, typer.Option("--test-windows", min=1, help="At most so many a species and length.")
]
TestStrandOption = Annotated[
    Literal["+", "both"],
    typer.Option("--strand", help="In measuring: both averages the two strands."),
]


_REPORT = "metrics.json"


@with_option_groups
def evaluate(
    *,
    manifest: ManifestOption,
    lengths: LengthsOption,
    model: Annotated[str, typer.Option("-m", "--model", metavar="DIR", help="What train wrote.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Directory of the tables.")],
    split: Annotated[
        Literal["train", "valid", "test"], typer.Option("--split", help="Contigs to measure on.")
    ] = "test",
    test_windows: TestWindowsOption = 100,
    strand: TestStrandOption = "+",
    contig_map: opt.ContigMapOption = "exact",
    rename_chrs: RenameContigsOption = None,
    max_n_run: MaxNRunOption = 10,
    compute: ComputeRequest,
    force: opt.ForceOption = False,
    no_version: opt.NoVersionOption = False,
    verbose: opt.VerboseOption = 0,
    quiet: opt.QuietOption = False,
) -> None:
    """Measure a species classifier on held-out contigs, with windows of several lengths.

    Writes a directory: accuracy.tsv (with 95 % bootstrap intervals over windows), species.tsv
    (precision and recall), confusion.tsv, metrics.json with everything, and, where matplotlib is
    installed, accuracy.png. Windows lie side by side; a species without a stretch of a length has
    none of it.

      hyenadna classify-species evaluate -m run --manifest species.tsv --lengths 1k,4k -o report
    """
    atomic.check_output_dir(output, overwrite=force, marker=_REPORT)
    chosen = ModelRequest(model=model, offline=True).choose(compute)
    check_longest(chosen, max(lengths))
    with exit_code_when_out_of_memory(compute.oom_exit_code):
        classifier = load_classifier(chosen)
        with opened_genomes(
            manifest,
            classifier.config.label_names,
            contig_map=contig_map,
            rename_chrs=rename_chrs,
            max_n_run=max_n_run,
        ) as genomes:
            measure(
                classifier,
                genomes,
                lengths,
                output,
                split=split,
                test_windows=test_windows,
                strand=strand,
                overwrite=force,
                runtime=chosen.run,
                made_by=collect_provenance(
                    genomes,
                    chosen.run,
                    chosen.identity(),
                    {
                        "split": split,
                        "test_windows": test_windows,
                        "strand": strand,
                        "lengths": list(lengths),
                        "max_n_run": max_n_run,
                    },
                    no_version=no_version,
                ),
            )


def load_classifier(chosen: ChosenModel) -> SequenceClassifier:
    """The classifier on its device. Raises CheckpointError if it does not tell classes apart."""
    from hyenadna_cli.core.model import classifier as heads

    directory = chosen.source.directory
    classifier, _ = heads.load(chosen.source)
    if classifier.config.task not in ("multiclass", "binary"):
        raise CheckpointError(
            f"{directory}: its head answers {classifier.config.task}, not which species"
        )
    backbone = classifier.backbone
    backbone.execution = chosen.run.execution()  # type: ignore[assignment]
    return classifier.to(chosen.run.device)


def prediction_window(chosen: ChosenModel) -> int:
    """Bases: the longest window of training, or what the model reads if it does not say."""
    from hyenadna_cli.core.tasks.species.training import trained_length

    return min(trained_length(chosen.source.directory) or chosen.config.l_max, chosen.config.l_max)


def measure(
    classifier: SequenceClassifier,
    genomes: SpeciesGenomes,
    lengths: Sequence[int],
    output: Path,
    *,
    split: Literal["train", "valid", "test"],
    test_windows: int,
    strand: Literal["+", "both"],
    overwrite: bool,
    runtime: Runtime,
    made_by: Provenance,
    should_stop: Callable[[], bool] = lambda: False,
) -> bool:
    """Write accuracy by length into `output`; False, and nothing, if `should_stop` says so."""
    import json

    from hyenadna_cli.core.tasks.species import accuracy as species_accuracy
    from hyenadna_cli.core.tasks.species import curve as species_curve

    results, asked = [], sorted(set(lengths))
    for result in species_accuracy.accuracy_by_length(
        classifier,
        genomes,
        lengths=asked,
        max_windows=test_windows,
        device=runtime.device,
        split=split,
        strand=strand,
        should_stop=should_stop,
    ):
        log.info("%s", result)
        results.append(result)
    if len(results) < len(asked):
        return False
    with atomic.replace_dir_on_success(output, overwrite=overwrite, marker=_REPORT) as scratch:
        species_accuracy.write_report(results, scratch)
        text = json.dumps(made_by.as_json(), indent=2)
        (scratch / "manifest.json").write_text(f"{text}\n")
        try:
            points = species_curve.read_curve("this model", scratch / "accuracy.tsv")
            species_curve.draw(points, scratch / "accuracy.png", overwrite=False)
        except UsageError as error:
            log.warning("no accuracy.png: %s", error)
    return True


@contextmanager
def opened_genomes(
    manifest: Path,
    species: tuple[str, ...],
    *,
    contig_map: Literal["exact", "auto"],
    rename_chrs: Path | None,
    max_n_run: int,
) -> Iterator[SpeciesGenomes]:
    """The genomes of a manifest; `max_n_run` in bases."""
    from hyenadna_cli.core.tasks.species.manifest import open_genomes, read_manifest

    found = read_manifest(manifest, selected=species)
    with open_genomes(
        manifest, found, contig_map=contig_map, rename_chrs=rename_chrs, max_n_run=max_n_run
    ) as genomes:
        yield genomes


def check_longest(chosen: ChosenModel, longest: int) -> None:
    """Raise CheckpointError if the model cannot read windows of `longest` bases."""
    if longest > chosen.config.l_max:
        raise CheckpointError(
            f"windows of {longest:,} bases: {chosen.source.name} reads at most "
            f"{chosen.config.l_max:,} tokens; use shorter ones, or a model with a longer context"
        )


def collect_provenance(
    genomes: SpeciesGenomes,
    runtime: Runtime,
    model: dict[str, str | None] | None,
    settings: dict[str, Any],
    *,
    no_version: bool,
) -> Provenance:
    """What made the output of a species command."""
    from hyenadna_cli.core.outputs import provenance

    return provenance.collect(
        command=["hyenadna", *sys.argv[1:]],
        settings={**settings, **runtime.describe()},
        inputs=genomes.inputs,
        model=model,
        device=runtime.device_name,
        reproducible=no_version,
    )
