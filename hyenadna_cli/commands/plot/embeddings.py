"""`plot embeddings`: vectors as points on a plane."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from hyenadna_cli.commands.options.groups import with_option_groups
from hyenadna_cli.commands.options.picture import PAGE, Page
from hyenadna_cli.commands.options.run import Verbosity


@with_option_groups
def embeddings(
    *,
    file: Annotated[Path, typer.Argument(help="HDF5 of hyenadna embed, one vector a record.")],
    color: Annotated[
        str | None,
        typer.Option("--color", metavar="COLUMN", help="Column of /obs, such as gene_type."),
    ] = None,
    method: Annotated[
        Literal["pca", "tsne", "umap"], typer.Option("--method", help="How vectors become points.")
    ] = "pca",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Random seed of tsne and umap.")] = 0,
    page: Page,
    verbosity: Verbosity,
) -> None:
    """Draw the vectors of records as points on a plane, coloured by a column.

    A .html is one file that works offline; hovering over a point shows its name, region and
    columns. Under the same name with .tsv stand the coordinates, with name, region and columns.

      hyenadna plot embeddings genes.h5ad --color gene_type --method tsne -o map.html
    """
    from hyenadna_cli.core.interpretation import embedding_map

    page.check(file)
    points = embedding_map.make_map(file, method=method, color=color, seed=seed)
    if page.output.suffix.lower() == PAGE:
        embedding_map.write_page(points, page.output, overwrite=page.force)
    else:
        embedding_map.draw(points, page.output, overwrite=page.force)
    embedding_map.write_table(points, page.table, overwrite=page.force)
