"""`plot perplexity`: perplexity of models against context."""

from __future__ import annotations

from typing import Annotated

import typer

from hyenadna_cli.commands.options.groups import with_option_groups
from hyenadna_cli.commands.options.picture import Picture, named_tables
from hyenadna_cli.commands.options.run import Verbosity


@with_option_groups
def perplexity(
    *,
    tables: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]TABLE...",
            help="What perplexity --contexts wrote; a name may repeat.",
        ),
    ],
    picture: Picture,
    verbosity: Verbosity,
) -> None:
    """Draw perplexity against the number of bases before a base, of one or several models.

    Writes the picture and, under the same name with .tsv, the points that it shows.

      hyenadna plot perplexity builtin=builtin.tsv small-32k=small.tsv -o contexts.png
    """
    from hyenadna_cli.core.interpretation import context_picture

    named = named_tables(tables)
    picture.check(*(path for _, path in named))
    points = [point for name, path in named for point in context_picture.read_curve(name, path)]
    context_picture.draw(points, picture.output, overwrite=picture.force)
    context_picture.write_table(points, picture.table, overwrite=picture.force)
