"""`hyenadna finetune --probe --embeddings`: a linear model on vectors that are stored already."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from hyenadna_cli.commands.options import training as tr
from hyenadna_cli.commands.options.labelled import Task
from hyenadna_cli.commands.reporting.training_counts import TrainingAccount

if TYPE_CHECKING:
    from hyenadna_cli.core.tasks.finetuning.settings import FinetuneConfig

log = logging.getLogger(__name__)


def probe_embeddings(
    embeddings: Path,
    labels: Path,
    task: Task | None,
    settings: FinetuneConfig,
    *,
    run_directory: tr.RunDirectory,
    dry_run: bool,
) -> None:
    """Fit, judge and write a probe, or print what would be done."""
    from hyenadna_cli.core.outputs import provenance
    from hyenadna_cli.core.tasks.finetuning import embedded_probe

    account = TrainingAccount(command="finetune")
    data = embedded_probe.read_embedded(embeddings, labels, task=task)
    log.info("%s", data.describe())
    if dry_run:
        typer.echo(f"{data.describe()}\nrun: probe -> {run_directory.output}")
        return
    made_by = provenance.collect(
        command=None if run_directory.no_version else ["hyenadna", *sys.argv[1:]],
        settings={},
        inputs=[embeddings, labels],
        model=None,
        device=None,
        reproducible=run_directory.no_version,
    )
    with run_directory.claimed():
        embedded_probe.report_shared_names(data, run_directory.output)
        metrics = embedded_probe.probe_embeddings(
            data, select=settings.select, output=run_directory.output, made_by=made_by
        )
        account.close(
            run_directory,
            made_by,
            split_sizes={split: len(part.rows) for split, part in data.splits.items()},
            device=None,
            model=None,
        )
    main = metrics.values[metrics.main]
    log.info("probe on %s test rows: %s %s", f"{metrics.n:,}", metrics.main, main)
