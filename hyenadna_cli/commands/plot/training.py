"""`plot training`: the curve of a training run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hyenadna_cli.commands.options.groups import with_option_groups
from hyenadna_cli.commands.options.picture import Picture
from hyenadna_cli.commands.options.run import Verbosity


@with_option_groups
def training(
    *,
    run: Annotated[Path, typer.Argument(help="Run directory of a training command.")],
    picture: Picture,
    verbosity: Verbosity,
) -> None:
    """Draw loss against bases seen, with held-out loss and stages of sequence length.

    Writes the picture and, under the same name with .tsv, the points that it shows.

      hyenadna plot training run -o curve.png
    """
    from hyenadna_cli.core.training import curves

    picture.check()
    curve = curves.read_curve(run)
    curves.draw(curve, picture.output, overwrite=picture.force)
    curves.write_table(curve, picture.table, overwrite=picture.force)
