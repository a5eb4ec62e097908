"""`hyenadna models`: what there is, getting it, converting and averaging it, checking it."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hyenadna_cli.commands.options import shared as opt
from hyenadna_cli.commands.options.groups import GroupedCommand
from hyenadna_cli.commands.reporting.tables import Cell, print_table
from hyenadna_cli.errors import CheckpointError, UsageError

if TYPE_CHECKING:
    from hyenadna_cli.core.config import ModelConfig
    from hyenadna_cli.core.model.checkpoints.catalogue import Location, PublishedModel
    from hyenadna_cli.core.model.hyenadna import HyenaDNA

log = logging.getLogger(__name__)

app = typer.Typer(help="List, download, convert, average and check models.", no_args_is_help=True)

_TOLD_LENGTHS = (1_000, 32_000, 160_000, 450_000)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="NAME|DIR",
        help="builtin, a published name (hyenadna models list), a Hugging Face id, or a directory.",
    ),
]
OutputOption = Annotated[Path, typer.Option("-o", "--output", help="Model directory to write.")]
StoreOption = Annotated[
    Literal["fp32", "bf16"],
    typer.Option("--store", help="Precision of the matrices in the file; bf16 halves it."),
]


@app.command("list", cls=GroupedCommand)
def list_models(
    as_json: JsonOption = False,
    cache_dir: opt.CacheOption = None,
    verbose: opt.VerboseOption = 0,
    quiet: opt.QuietOption = False,
) -> None:
    """List the built-in and the published models, and which of them are on this machine.

    Prints one row a model: name, local (yes or no), d_model, n_layer, l_max (longest input, in
    tokens), parameters, megabytes (of the download), licence (of the weights) and repository.
    Never touches the network.

      hyenadna models list
    """
    from hyenadna_cli.core.model.checkpoints import catalogue, checkpoint

    columns = (
        "name",
        "local",
        "d_model",
        "n_layer",
        "l_max",
        "parameters",
        "megabytes",
        "licence",
        "repository",
    )
    rows: list[tuple[Cell, ...]] = []
    if (catalogue.BUILTIN_DIRECTORY / "config.json").is_file():
        config, _, n_parameters = checkpoint.inspect(catalogue.BUILTIN_DIRECTORY)
        megabytes = _megabytes((catalogue.BUILTIN_DIRECTORY / "model.safetensors").stat().st_size)
        rows.append(
            (
                catalogue.BUILTIN,
                "yes",
                config.d_model,
                config.n_layer,
                config.l_max,
                n_parameters,
                megabytes,
                catalogue.LICENCE,
                None,
            )
        )
    for model in catalogue.PUBLISHED.values():
        is_cached = catalogue.cached_weights(model, cache_dir=cache_dir) is not None
        rows.append(
            (
                model.name,
                "yes" if is_cached else "no",
                model.d_model,
                model.n_layer,
                model.l_max,
                model.n_parameters,
                _megabytes(model.n_bytes),
                catalogue.LICENCE,
                model.repo_id,
            )
        )
    print_table(columns, rows, as_json=as_json)


@app.command(cls=GroupedCommand)
def info(
    model: ModelArgument,
    as_json: JsonOption = False,
    revision: opt.RevisionOption = None,
    cache_dir: opt.CacheOption = None,
    verbose: opt.VerboseOption = 0,
    quiet: opt.QuietOption = False,
) -> None:
    """Tell what is known of a model, from the registry and from its files.

    Prints one row a fact: key, value. forward_mb_at_N is the memory of a forward pass over N bases,
    weights and libraries not included. Never touches the network: of a model that is not on this
    machine, only the registry's facts are told.

      hyenadna models info small-32k
    """
    from hyenadna_cli.core.model.checkpoints import catalogue

    registered = catalogue.find(model) if revision is None else None
    facts: dict[str, Cell] = {"name": model}
    if registered is not None:
        facts |= _registry_facts(registered)
        if catalogue.cached_weights(registered, cache_dir=cache_dir) is None:
            facts["local"] = "no"
            _print_facts(facts, as_json=as_json)
            return
    location = catalogue.locate(model, revision=revision, offline=True, cache_dir=cache_dir)
    _print_facts(facts | _file_facts(location), as_json=as_json)


@app.command(cls=GroupedCommand)
def download(
    model: ModelArgument,
    revision: opt.RevisionOption = None,
    offline: opt.OfflineOption = False,
    cache_dir: opt.CacheOption = None,
    verbose: opt.VerboseOption = 0,
    quiet: opt.QuietOption = False,
) -> None:
    """Download a model into the cache, so that it works without a network from then on.

    Checks that the files are a HyenaDNA model and, where a hash is published, that they have it.
    Prints the model's directory.

      hyenadna models download tiny-1k
    """
    from hyenadna_cli.core.model.checkpoints import catalogue, checkpoint

    location = catalogue.locate(model, revision=revision, offline=offline, cache_dir=cache_dir)
    checkpoint.inspect(location.directory, name=location.name, revision=location.revision)
    if catalogue.expected_sha256(location.name, location.revision) is None:
        log.info("%s: no hash is published for this revision, so none was checked", location.name)
    typer.echo(location.directory)


@app.command(cls=GroupedCommand)
def convert(
    source: Annotated[
        str,
        typer.Argument(
            metavar="NAME|DIR|FILE",
            help="A model in any layout, or a weights file (.ckpt, .safetensors) on its own.",
        ),
    ],
    output: OutputOption,
    filter_shift: opt.FilterShiftOption = None,
    store: StoreOption = "fp32",
    force: opt.ForceOption = False,
    revision: opt.RevisionOption = None,
    offline: opt.OfflineOption = False,
    cache_dir: opt.CacheOption = None,
    verbose: opt.VerboseOption = 0,
    quiet: opt.QuietOption = False,
) -> None:
    """Convert a model from either official layout to ours, which loads with -m everywhere.

    Writes a directory with config.json, model.safetensors and known_answer.json, whole or not at
    all. Pickles are read without running anything in them. A model stored with --store bf16 is
    computed in fp32 like any other, with the rounded numbers.

      hyenadna models convert weights.ckpt -o my-model
    """
    from hyenadna_cli.core.model.checkpoints import catalogue, checkpoint
    from hyenadna_cli.core.outputs import atomic

    atomic.check_output_dir(output, overwrite=force)
    if Path(source).is_file():
        model, _ = checkpoint.load(Path(source), filter_shift=filter_shift)
    else:
        location = catalogue.locate(source, revision=revision, offline=offline, cache_dir=cache_dir)
        model, _ = checkpoint.load(
            location.directory,
            name=location.name,
            revision=location.revision,
            filter_shift=filter_shift,
        )
    _write(model, output, store=store, overwrite=force)


@app.command(cls=GroupedCommand)
def average(
    sources: Annotated[
        list[Path],
        typer.Argument(metavar="DIR...", help="Models of one shape, at least two."),
    ],
    output: OutputOption,
    store: StoreOption = "fp32",
    force: opt.ForceOption = False,
    verbose: opt.VerboseOption = 0,
    quiet: opt.QuietOption = False,
) -> None:
    """Average the weights of several trainings into one model of the same size.

    For trainings that started from the same weights and stayed close: their mean can be better than
    each of them, which hyenadna perplexity tells. Of trainings from random weights it is worthless.
    Writes a directory as convert does.

      hyenadna models average seed-1 seed-2 -o both
    """
    from hyenadna_cli.core.model.checkpoints import averaging, checkpoint
    from hyenadna_cli.core.outputs import atomic

    atomic.check_output_dir(output, overwrite=force)
    if len(sources) < 2:
        raise UsageError("an average takes two models or more")
    models = {}
    for directory in sources:
        models[str(directory)], _ = checkpoint.load(directory)
        if checkpoint.read_head(directory) is not None:
            raise CheckpointError(f"{directory}: has a head; only plain models are averaged")
    _write(averaging.average(models), output, store=store, overwrite=force)


@app.command(cls=GroupedCommand)
def verify(
    model: ModelArgument,
    as_json: JsonOption = False,
    revision: opt.RevisionOption = None,
    offline: opt.OfflineOption = False,
    cache_dir: opt.CacheOption = None,
    verbose: opt.VerboseOption = 0,
    quiet: opt.QuietOption = False,
) -> None:
    """Check that a model is what it should be, and that this machine computes it right.

    Prints one row a check: check, result (ok, failed, not-checked), detail. The checks are the hash
    of the weights, names and shapes, finite logits, causality, and the answer to a fixed sequence
    in float64 and float32. Exit 4 if one fails.

      hyenadna models verify builtin
    """
    from hyenadna_cli.core.model.checkpoints import catalogue, verification

    location = catalogue.locate(model, revision=revision, offline=offline, cache_dir=cache_dir)
    checks = verification.verify(location.directory, name=location.name, revision=location.revision)
    print_table(
        ("check", "result", "detail"),
        [(check.name, check.result, check.detail) for check in checks],
        as_json=as_json,
    )
    if failed := [check.name for check in checks if check.result == "failed"]:
        raise CheckpointError(f"{location.directory}: failed: {', '.join(failed)}")


def _write(
    model: HyenaDNA, output: Path, *, store: Literal["fp32", "bf16"], overwrite: bool
) -> None:
    import torch

    from hyenadna_cli.core.model.checkpoints import checkpoint, known_answer
    from hyenadna_cli.core.outputs import atomic

    with atomic.replace_dir_on_success(output, overwrite=overwrite) as scratch:
        if store == "bf16":
            checkpoint.save(model, scratch, matrix_dtype=torch.bfloat16)
            model, _ = checkpoint.load(scratch)
        else:
            checkpoint.save(model, scratch)
        known_answer.record_known_answer(model, scratch)
    log.info(
        "%s: %d layers, width %d, reads up to %d tokens",
        output,
        model.config.n_layer,
        model.config.d_model,
        model.config.l_max,
    )


def _registry_facts(model: PublishedModel) -> dict[str, Cell]:
    from hyenadna_cli.core.model.checkpoints import catalogue

    return {
        "name": model.name,
        "repository": model.repo_id,
        "revision": model.revision,
        "published_sha256": model.sha256 or "not known",
        "licence": catalogue.LICENCE,
        "trained_on": catalogue.TRAINED_ON,
        "suggested_gpus": model.gpus or "not stated by the authors",
        "megabytes": _megabytes(model.n_bytes),
        "d_model": model.d_model,
        "n_layer": model.n_layer,
        "l_max": model.l_max,
        "parameters": model.n_parameters,
        **_memory_facts(model.config),
    }


def _file_facts(location: Location) -> dict[str, Cell]:
    import dataclasses

    from hyenadna_cli.core.model.checkpoints import checkpoint

    config, source, n_parameters = checkpoint.inspect(
        location.directory, name=location.name, revision=location.revision
    )
    facts: dict[str, Cell] = {
        "local": "yes",
        "directory": str(source.directory),
        "layout": source.layout,
        "sha256": source.sha256,
        "stored_parameters": n_parameters,
    }
    if source.revision is not None:
        facts["revision"] = source.revision
    return facts | dataclasses.asdict(config) | _memory_facts(config)


def _memory_facts(config: ModelConfig) -> dict[str, Cell]:
    """Megabytes over one sequence as --dry-run counts them: a forward pass, training in float32.

    In training, blocks are recomputed (--checkpoint-blocks).
    """
    from hyenadna_cli.core.model.cost import forward_bytes, training_bytes

    lengths = [length for length in _TOLD_LENGTHS if length < config.l_max]
    facts: dict[str, Cell] = {}
    for length in (*lengths, config.l_max):
        n_bytes = forward_bytes(config, n_windows=1, n_tokens=length, n_layers=1)
        facts[f"forward_mb_at_{length}"] = _megabytes(n_bytes)
    for length in (*lengths, config.l_max):
        n_bytes = training_bytes(config, n_windows=1, n_tokens=length, recompute_blocks=True)
        facts[f"training_mb_at_{length}"] = _megabytes(n_bytes)
    return facts


def _megabytes(n_bytes: int) -> float:
    return round(n_bytes / 1e6, 1)


def _print_facts(facts: dict[str, Cell], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
    else:
        print_table(("key", "value"), list(facts.items()), as_json=False)
