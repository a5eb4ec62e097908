"""`classify-species evaluate`: accuracy against length."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hyenadna_cli.commands.options.groups import OptionsOf, Overrides, with_option_groups
from hyenadna_cli.commands.options.model import ComputeRequest, ModelRequest
from hyenadna_cli.commands.options.output import ForceOption, NoVersionOption
from hyenadna_cli.commands.options.run import Verbosity
from hyenadna_cli.commands.reporting.provenance import made_by
from hyenadna_cli.core.outputs import atomic
from hyenadna_cli.core.tasks.species.settings import Measurement, SpeciesFiles

_NOT_HERE = ("species", "species_weights", "contig_weights")


@with_option_groups
def evaluate(
    *,
    model: Annotated[str, typer.Option("-m", "--model", metavar="DIR", help="What train wrote.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Directory of the tables.")],
    named: Annotated[Overrides, OptionsOf(SpeciesFiles, required=["manifest"], without=_NOT_HERE)],
    asked: Annotated[Overrides, OptionsOf(Measurement, required=["lengths"])],
    compute: ComputeRequest,
    force: ForceOption = False,
    no_version: NoVersionOption = False,
    verbosity: Verbosity,
) -> None:
    """Measure a species classifier on held-out contigs, with windows of several lengths.

    Writes a directory: accuracy.tsv (with 95 % bootstrap intervals over windows), species.tsv
    (precision and recall), confusion.tsv, metrics.json with everything, and, where matplotlib is
    installed, accuracy.png. Windows lie side by side; a species without a stretch of a length has
    none of it.

      hyenadna classify-species evaluate -m run --manifest species.tsv --lengths 1k,4k -o report
    """
    from hyenadna_cli.core.tasks.species import accuracy, trained_model
    from hyenadna_cli.core.tasks.species.manifest import open_genomes

    measurement = Measurement(**asked)
    atomic.check_output_dir(output, overwrite=force, marker=accuracy.REPORT)
    chosen = ModelRequest(model=model, offline=True).choose(compute)
    trained_model.check_longest(chosen, max(measurement.lengths))
    with compute.memory_errors():
        classifier = trained_model.load_classifier(chosen)
        files = SpeciesFiles(**named, species=classifier.config.label_names)
        with open_genomes(files) as genomes:
            settings = measurement.described() | {"max_n_run": files.max_n_run}
            accuracy.measure(
                classifier,
                genomes,
                measurement,
                output,
                overwrite=force,
                made_by=made_by(
                    inputs=genomes.inputs,
                    settings={**settings, **chosen.run.describe()},
                    model=chosen.identity(),
                    device=chosen.run.device_name,
                    no_version=no_version,
                ),
            )
