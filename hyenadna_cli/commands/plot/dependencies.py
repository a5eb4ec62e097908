"""`plot dependencies`: the map of `mutagenize --dependencies`."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from hyenadna_cli.commands.options.groups import with_option_groups
from hyenadna_cli.commands.options.picture import PAGE, Page
from hyenadna_cli.commands.options.run import Verbosity
from hyenadna_cli.core.io.region_files import RegionFile

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Annotations(RegionFile):
    """What is drawn beside the map."""

    HEADING: ClassVar[str] = "Beside the map"


@with_option_groups
def dependencies(
    *,
    file: Annotated[Path, typer.Argument(help="HDF5 of hyenadna mutagenize --dependencies.")],
    beside: Annotations,
    picture: Page,
    verbosity: Verbosity,
) -> None:
    """Draw which bases of a region depend on which.

    Rows are the bases that were changed, columns those whose prediction moved. Up to 80 bases the
    axes spell the sequence; of long regions a point is the largest value of a square of bases.
    Regions of --bed or --gtf are drawn above it. A .html is one file that works offline, on which a
    point tells its bases and its value. Writes the picture and, under the same name with
    .tsv, the 1,000 strongest pairs; says how far back substitutions move predictions.

      hyenadna plot dependencies map.h5 -o map.png
    """
    from hyenadna_cli.core.interpretation import dependency_page, dependency_picture
    from hyenadna_cli.core.interpretation.annotations import regions_beside
    from hyenadna_cli.core.interpretation.dependency_file import read_map

    picture.check(file)
    shown = read_map(file)
    features = regions_beside(beside, shown.region)
    is_page = picture.output.suffix.lower() == PAGE
    draw = dependency_page.write_page if is_page else dependency_picture.draw
    draw(shown, picture.output, features=features, overwrite=picture.force)
    dependency_picture.write_table(shown, picture.table, overwrite=picture.force)
    if (found := dependency_picture.reach(shown)) is not None:
        (half, most), longest = found
        log.info(
            "%s: half of what substitutions move lies within %s bases, 95 %% within %s "
            "(of distances up to %s)",
            shown.region,
            f"{half:,}",
            f"{most:,}",
            f"{longest:,}",
        )
