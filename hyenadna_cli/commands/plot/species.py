"""`plot species`: accuracy of species classifiers against length."""

from __future__ import annotations

from typing import Annotated

import typer

from hyenadna_cli.commands.options.groups import with_option_groups
from hyenadna_cli.commands.options.picture import Picture, named_tables
from hyenadna_cli.commands.options.run import Verbosity


@with_option_groups
def species(
    *,
    tables: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]TABLE...",
            help="accuracy.tsv of classify-species; a name may repeat.",
        ),
    ],
    picture: Picture,
    verbosity: Verbosity,
) -> None:
    """Draw accuracy against window length of one or several species classifiers.

    Writes the picture and, under the same name with .tsv, the points that it shows.

      hyenadna plot species model=run/evaluation/accuracy.tsv k-mers=report/accuracy.tsv -o by.png
    """
    from hyenadna_cli.core.tasks.species import curve

    named = named_tables(tables)
    picture.check(*(path for _, path in named))
    points = [point for name, path in named for point in curve.read_curve(name, path)]
    curve.draw(points, picture.output, overwrite=picture.force)
    curve.write_table(points, picture.table, overwrite=picture.force)
