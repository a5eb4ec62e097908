"""`classify-species manifest`: what a manifest of genomes looks like."""

from __future__ import annotations

from typing import Annotated

import typer

from hyenadna_cli.commands.options.groups import with_option_groups
from hyenadna_cli.commands.options.run import Verbosity


@with_option_groups
def manifest(
    *,
    paper: Annotated[
        bool, typer.Option("--paper", help="The published task: human, lemur, mouse, pig, hippo.")
    ] = False,
    verbosity: Verbosity,
) -> None:
    """Print the columns of a species manifest, or the published five-species task.

    The genomes are yours: save the text beside FASTA files of the names in its second column, or
    change these. Contigs are separated by commas; --contig-map auto matches chr1 with 1.

      hyenadna classify-species manifest --paper
    """
    from hyenadna_cli.core.tasks.species import manifest as species

    typer.echo(species.paper_manifest() if paper else "\t".join(species.COLUMNS) + "\n", nl=False)
