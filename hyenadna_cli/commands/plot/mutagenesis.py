"""`plot mutagenesis`: every SNV of a region as a heat map."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from hyenadna_cli.commands.options.groups import with_option_groups
from hyenadna_cli.commands.options.picture import Picture
from hyenadna_cli.commands.options.run import Verbosity
from hyenadna_cli.errors import UsageError


@with_option_groups
def mutagenesis(
    *,
    table: Annotated[
        str, typer.Argument(metavar="FILE|-", help="TSV of hyenadna mutagenize, plain or bgzip.")
    ],
    region: Annotated[
        str | None,
        typer.Option(
            "--region",
            metavar="CHR[:START-END]",
            help="1-based, closed; default: all that the table has of its first contig.",
        ),
    ] = None,
    score: Annotated[
        Literal["site", "llr", "gradient"] | None,
        typer.Option("--score", help="Column to draw; default: llr or gradient, else site."),
    ] = None,
    picture: Picture,
    verbosity: Verbosity,
) -> None:
    """Draw every SNV of a region: a heat map of changes under a track of means.

    Up to 150 bases the track spells the sequence, tall where a change is unlikely. Long regions are
    drawn in bins. Writes the picture and, under the same name with .tsv, what it shows.

      hyenadna plot mutagenesis ism.tsv --region chr1:4,001-4,100 -o map.png
    """
    from hyenadna_cli.core.variants import mutagenesis_map

    picture.check(table)
    try:
        drawn = mutagenesis_map.read_map(table, region=region, score=score)
    except ValueError as error:
        raise UsageError(f"--region: {error}") from error
    mutagenesis_map.draw(drawn, picture.output, overwrite=picture.force)
    mutagenesis_map.write_table(drawn, picture.table, overwrite=picture.force)
