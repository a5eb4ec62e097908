"""`plot dependencies`: the map of `mutagenize --dependencies`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hyenadna_cli.commands.options.groups import with_option_groups
from hyenadna_cli.commands.options.picture import Picture
from hyenadna_cli.commands.options.run import Verbosity


@with_option_groups
def dependencies(
    *,
    file: Annotated[Path, typer.Argument(help="HDF5 of hyenadna mutagenize --dependencies.")],
    picture: Picture,
    verbosity: Verbosity,
) -> None:
    """Draw which bases of a region depend on which.

    Rows are the bases that were changed, columns those whose prediction moved. Up to 80 bases the
    axes spell the sequence; of long regions a point is the largest value of a square of bases.
    Writes the picture and, under the same name with .tsv, the 1,000 strongest pairs.

      hyenadna plot dependencies map.h5 -o map.png
    """
    from hyenadna_cli.core.interpretation import dependency_picture
    from hyenadna_cli.core.interpretation.dependency_file import read_map

    picture.check(file)
    shown = read_map(file)
    dependency_picture.draw(shown, picture.output, overwrite=picture.force)
    dependency_picture.write_table(shown, picture.table, overwrite=picture.force)
