"""`hyenadna merge`: the outputs of all shards of a run, put together."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hyenadna_cli.commands.options.groups import with_option_groups
from hyenadna_cli.commands.options.output import (
    ForceOption,
    NoVersionOption,
    OutputOption,
    StatsOption,
)
from hyenadna_cli.commands.options.run import Verbosity
from hyenadna_cli.commands.reporting.progress import track
from hyenadna_cli.commands.reporting.stops import on_signals
from hyenadna_cli.core.outputs import atomic
from hyenadna_cli.core.outputs.stats import write_stats

if TYPE_CHECKING:
    from hyenadna_cli.core.io.merging import Shards
    from hyenadna_cli.core.outputs.provenance import Provenance

log = logging.getLogger(__name__)


@with_option_groups
def merge(
    *,
    shards: Annotated[
        list[Path],
        typer.Argument(metavar="SHARD...", help="Outputs of --shard 1/N to N/N, in any order."),
    ],
    output: OutputOption = "-",
    write_index: Annotated[
        bool, typer.Option("-W", "--write-index", help="Also write a CSI index.")
    ] = False,
    virtual: Annotated[
        bool,
        typer.Option(
            "--virtual", help="HDF5: refer to the vectors in the shards instead of copying them."
        ),
    ] = False,
    force: ForceOption = False,
    stats: StatsOption = None,
    no_version: NoVersionOption = False,
    verbosity: Verbosity,
) -> None:
    """Merge the outputs of the shards of a run: VCF, BCF, TSV, bedGraph, bigWig or HDF5.

    Each shard needs its X.manifest.json beside it. All of 1/N to N/N must be there, whole, and made
    with the same model, settings and inputs. With --no-version the result does not depend on N.

      hyenadna merge shards/*.vcf.gz -o scored.vcf.gz -W
    """
    from hyenadna_cli.core.io import merging
    from hyenadna_cli.core.outputs import journal, provenance

    started = time.monotonic()
    path = Path(output)
    _check_outputs(output, stats, shards, force=force)
    checked = merging.check_shards(shards)
    made_by = checked.made_by(command=["hyenadna", *sys.argv[1:]], reproducible=no_version)
    pieces = merging.merge(
        checked, output, made_by, overwrite=force, is_indexed=write_index, is_virtual=virtual
    )
    with contextlib.ExitStack() as stack:
        # Before there is a file: a signal while the journal is made would leave it there.
        stop = stack.enter_context(on_signals())
        if not atomic.is_stream(output):
            # Nothing is kept in it: it locks the output, and removes what killed runs left of it.
            identity = {"command": "merge", "shards": len(checked.files)}
            stack.enter_context(journal.open_journal(path, identity, resume=False, overwrite=force))
        for _ in track(pieces, total=checked.n_bytes, label="merging", size_of=float):
            if stop():
                pieces.close()
                raise stop.error("no output was written")
        seconds = time.monotonic() - started
        if not atomic.is_stream(output):
            provenance.write_manifest(path, made_by, rows=checked.rows, shard=None, seconds=seconds)
    if stats is not None:
        _write_stats(stats, output, checked, made_by, seconds)
    target = "" if output == "-" else f" -> {output}"
    log.info("merge: %s shards in %.1f s%s", f"{len(checked.files):,}", seconds, target)


def _check_outputs(output: str, stats: Path | None, shards: list[Path], *, force: bool) -> None:
    """Raises OutputError and UsageError for what must not be written."""
    from hyenadna_cli.core.outputs import provenance, restarts

    if not atomic.is_stream(output):
        atomic.check_output(Path(output), overwrite=force)
        provenance.check_manifest(Path(output), overwrite=force)
    restarts.check_apart(
        [("-o", output), ("--stats", stats)], [*shards, *map(provenance.manifest_path, shards)]
    )
    if stats is not None:
        atomic.check_output(stats, overwrite=True)


def _write_stats(
    path: Path, output: str, shards: Shards, made_by: Provenance, seconds: float
) -> None:
    entries = {
        "command": "merge",
        "output": output,
        "shards": len(shards.files),
        "records": sum(shards.rows.values()),
        "status": shards.rows,
        "seconds": round(seconds, 3),
        "settings": made_by.settings,
    }
    write_stats(path, entries)
