"""`hyenadna plot`: pictures of what other commands wrote, each with its table beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from hyenadna_cli.commands.options import shared as opt
from hyenadna_cli.commands.options.groups import GroupedCommand
from hyenadna_cli.errors import UsageError

app = typer.Typer(help="Draw what other commands wrote.", no_args_is_help=True)


@app.callback()
def _plot() -> None:
    """Draw what other commands wrote; every picture has its table beside it."""


@app.command(cls=GroupedCommand)
def training(
    run: Annotated[Path, typer.Argument(help="Run directory of a training command.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Picture: .png, .svg or .pdf; a .tsv beside it.")
    ],
    force: opt.ForceOption = False,
    verbose: opt.VerboseOption = 0,
    quiet: opt.QuietOption = False,
) -> None:
    """Draw loss against bases seen, with held-out loss and stages of sequence length.

    Writes the picture and, under the same name with .tsv, the points that it shows.

      hyenadna plot training run -o curve.png
    """
    from hyenadna_cli.core.outputs import atomic
    from hyenadna_cli.core.training import curves

    table = output.with_suffix(".tsv")
    if output.suffix not in curves.PICTURES:
        raise UsageError(f"-o {output}: use {', '.join(curves.PICTURES)}")
    for path in (output, table):
        atomic.check_output(path, overwrite=force)
    curve = curves.read_curve(run)
    curves.draw(curve, output, overwrite=force)
    curves.write_table(curve, table, overwrite=force)


@app.command(cls=GroupedCommand)
def species(
    tables: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME=TABLE...", help="accuracy.tsv of classify-species; a name may repeat."
        ),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Picture: .png, .svg or .pdf; a .tsv beside it.")
    ],
    force: opt.ForceOption = False,
    verbose: opt.VerboseOption = 0,
    quiet: opt.QuietOption = False,
) -> None:
    """Draw accuracy against window length of one or several species classifiers.

    Writes the picture and, under the same name with .tsv, the points that it shows.

      hyenadna plot species model=run/evaluation/accuracy.tsv k-mers=report/accuracy.tsv -o by.png
    """
    from hyenadna_cli.core.outputs import atomic
    from hyenadna_cli.core.tasks.species import curve as species_curve
    from hyenadna_cli.core.training import curves

    table = output.with_suffix(".tsv")
    if output.suffix not in curves.PICTURES:
        raise UsageError(f"-o {output}: use {', '.join(curves.PICTURES)}")
    named = []
    for item in tables:
        name, _, path_text = item.rpartition("=")
        if not name:
            raise UsageError(f"{item}: use NAME=TABLE, such as k-mers=report/accuracy.tsv")
        _check_spares(path_text, output)
        named.append((name, Path(path_text)))
    for path in (output, table):
        atomic.check_output(path, overwrite=force)
    points = [point for name, path in named for point in species_curve.read_curve(name, path)]
    species_curve.draw(points, output, overwrite=force)
    species_curve.write_table(points, table, overwrite=force)


def _check_spares(table: str, output: Path) -> None:
    """Raises UsageError if the table beside the picture would replace the table it shows."""
    if output.with_suffix(".tsv").resolve() == Path(table).resolve():
        raise UsageError(
            f"-o {output}: the table beside it would replace {table}; use another name"
        )


@app.command(cls=GroupedCommand)
def mutagenesis(
    table: Annotated[
        str, typer.Argument(metavar="FILE|-", help="TSV of hyenadna mutagenize, plain or bgzip.")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Picture: .png, .svg or .pdf; a .tsv beside it.")
    ],
    region: Annotated[
        str | None,
        typer.Option(
            "--region",
            metavar="CHR:START-END",
            help="1-based, closed; default: all that the table has of its first contig.",
        ),
    ] = None,
    score: Annotated[
        Literal["site", "llr"] | None,
        typer.Option("--score", help="Column to draw; default: llr where there is one."),
    ] = None,
    force: opt.ForceOption = False,
    verbose: opt.VerboseOption = 0,
    quiet: opt.QuietOption = False,
) -> None:
    """Draw every SNV of a region: a heat map of changes under a track of means.

    Up to 150 bases the track spells the sequence, tall where a change is unlikely. Long regions are
    drawn in bins. Writes the picture and, under the same name with .tsv, what it shows.

      hyenadna plot mutagenesis ism.tsv --region chr1:4,001-4,100 -o ism.png
    """
    from hyenadna_cli.core.dna.coordinates import parse_region
    from hyenadna_cli.core.outputs import atomic
    from hyenadna_cli.core.training.curves import PICTURES
    from hyenadna_cli.core.variants import mutagenesis_map

    beside = output.with_suffix(".tsv")
    if output.suffix not in PICTURES:
        raise UsageError(f"-o {output}: use {', '.join(PICTURES)}")
    _check_spares(table, output)
    for path in (output, beside):
        atomic.check_output(path, overwrite=force)
    try:
        asked = None if region is None else parse_region(region)
    except ValueError as error:
        raise UsageError(f"--region: {error}") from error
    picture = mutagenesis_map.read_map(table, region=asked, score=score)
    mutagenesis_map.draw(picture, output, overwrite=force)
    mutagenesis_map.write_table(picture, beside, overwrite=force)
