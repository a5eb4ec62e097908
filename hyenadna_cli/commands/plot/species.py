"""`plot species`: accuracy of species classifiers against length."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hyenadna_cli.commands.options.groups import with_option_groups
from hyenadna_cli.commands.options.picture import Picture
from hyenadna_cli.commands.options.run import Verbosity
from hyenadna_cli.errors import UsageError


@with_option_groups
def species(
    *,
    tables: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME=TABLE...", help="accuracy.tsv of classify-species; a name may repeat."
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

    named = []
    for item in tables:
        name, _, path = item.rpartition("=")
        if not name:
            raise UsageError(f"{item}: use NAME=TABLE, such as k-mers=report/accuracy.tsv")
        named.append((name, Path(path)))
    picture.check(*(path for _, path in named))
    points = [point for name, path in named for point in curve.read_curve(name, path)]
    curve.draw(points, picture.output, overwrite=picture.force)
    curve.write_table(points, picture.table, overwrite=picture.force)
