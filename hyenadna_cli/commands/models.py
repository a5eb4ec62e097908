"""`hyenadna models`: what there is, getting it, converting and averaging it, checking it."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import typer

from hyenadna_cli.commands.options.groups import with_option_groups
from hyenadna_cli.commands.options.help_text import GroupedCommand, HelpfulGroup
from hyenadna_cli.commands.options.model import (
    CacheOption,
    FilterShiftOption,
    OfflineOption,
    RevisionOption,
)
from hyenadna_cli.commands.options.output import ForceOption
from hyenadna_cli.commands.options.run import Verbosity
from hyenadna_cli.commands.reporting.tables import print_table
from hyenadna_cli.core.config.choices import Dtype
from hyenadna_cli.errors import CheckpointError, UsageError

if TYPE_CHECKING:
    from hyenadna_cli.core.model.checkpoints.catalogue import Location
    from hyenadna_cli.core.model.checkpoints.facts import Fact
    from hyenadna_cli.core.model.hyenadna import HyenaDNA

log = logging.getLogger(__name__)

app = typer.Typer(
    help="List, download, convert, export, average and check models.", cls=HelpfulGroup
)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredModel:
    """A model, by its name or where it is."""

    HEADING: ClassVar[str] = "Model"

    model: Annotated[
        str,
        typer.Argument(
            metavar="NAME|DIR",
            help="builtin, a published name (hyenadna models list), a Hugging Face id, or a "
            "directory.",
        ),
    ]
    revision: RevisionOption = None
    cache_dir: CacheOption = None
    offline: bool = True
    """Whether it has to be on this machine."""

    def locate(self) -> Location:
        """Where it is, downloaded if need be. Raises CheckpointError."""
        from hyenadna_cli.core.model.checkpoints import catalogue

        return catalogue.locate(
            self.model, revision=self.revision, offline=self.offline, cache_dir=self.cache_dir
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class DownloadedModel(StoredModel):
    """A model that may come from the network."""

    offline: OfflineOption = False


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelOutput:
    """The model directory that is written."""

    HEADING: ClassVar[str] = "Output"

    output: Annotated[Path, typer.Option("-o", "--output", help="Model directory to write.")]
    store: Annotated[
        Dtype,
        typer.Option("--store", help="Precision of the matrices in the file; bf16 halves it."),
    ] = "fp32"
    force: ForceOption = False

    def check(self) -> None:
        """Refuse a directory that exists. Raises OutputError."""
        from hyenadna_cli.core.outputs import atomic

        atomic.check_output_dir(self.output, overwrite=self.force)

    def write(self, model: HyenaDNA) -> None:
        """Write the model with its known answer."""
        from hyenadna_cli.core.model.checkpoints import known_answer

        known_answer.save_model(model, self.output, matrix_dtype=self.store, overwrite=self.force)
        config = model.config
        log.info(
            "%s: %d layers, width %d, reads up to %d tokens",
            self.output,
            config.n_layer,
            config.d_model,
            config.l_max,
        )


@app.command("list", cls=GroupedCommand)
@with_option_groups
def list_models(
    *, as_json: JsonOption = False, cache_dir: CacheOption = None, verbosity: Verbosity
) -> None:
    """List the built-in and the published models, and which of them are on this machine.

    Prints one row per model: name, local (yes or no), d_model, n_layer, l_max (longest input, in
    tokens), parameters, megabytes (of the download), licence (of the weights) and repository.
    Never touches the network.

      hyenadna models list
    """
    from hyenadna_cli.core.model.checkpoints import facts

    print_table(facts.COLUMNS, facts.listing(cache_dir), as_json=as_json, drops_columns=True)


@app.command(cls=GroupedCommand)
@with_option_groups
def info(*, model: StoredModel, as_json: JsonOption = False, verbosity: Verbosity) -> None:
    """Show what is known about a model, from the registry and from its files.

    Prints one row per fact: key, value. forward_mb_at_N is the memory of a forward pass over N
    bases, weights and libraries not included. filter_context_50 and _95 are bases that a path
    through all long filters goes back, median and 95 %: what the model can use, not what it does.
    Never touches the network: of a model that is not on this machine, only the registry's facts are
    told.

      hyenadna models info small-32k
    """
    from hyenadna_cli.core.model.checkpoints import catalogue, facts

    registered = catalogue.find(model.model) if model.revision is None else None
    known: dict[str, facts.Fact] = {"name": model.model}
    is_local = True
    if registered is not None:
        known |= facts.of_registry(registered)
        is_local = catalogue.cached_weights(registered, cache_dir=model.cache_dir) is not None
    known |= _of_files(model.locate()) if is_local else {"local": "no"}
    if as_json:
        typer.echo(json.dumps(known, indent=2))
    else:
        print_table(("key", "value"), list(known.items()), as_json=False)


def _of_files(location: Location) -> dict[str, Fact]:
    from hyenadna_cli.core.interpretation import filters
    from hyenadna_cli.core.model.checkpoints import checkpoint, facts

    known = facts.of_files(location)
    model, _ = checkpoint.load(location.directory, name=location.name, revision=location.revision)
    half, most = filters.effective_context(filters.layer_filters(model))
    return known | {"filter_context_50": half, "filter_context_95": most}


@app.command(cls=GroupedCommand)
@with_option_groups
def download(*, model: DownloadedModel, verbosity: Verbosity) -> None:
    """Download a model into the cache, so that it works without a network from then on.

    Checks that the files are a HyenaDNA model and, where a hash is published, that they have it.
    Prints the model's directory.

      hyenadna models download tiny-1k
    """
    from hyenadna_cli.core.model.checkpoints import catalogue, checkpoint

    location = model.locate()
    checkpoint.inspect(location.directory, name=location.name, revision=location.revision)
    if catalogue.expected_sha256(location.name, location.revision) is None:
        log.info("%s: no hash is published for this revision, so none was checked", location.name)
    typer.echo(location.directory)


@dataclass(frozen=True, kw_only=True, slots=True)
class ConvertedModel(DownloadedModel):
    """A model in any layout, or its weights alone."""

    model: Annotated[
        str,
        typer.Argument(
            metavar="NAME|DIR|FILE",
            help="A model in any layout, or a weights file (.ckpt, .safetensors) on its own.",
        ),
    ]


@app.command(cls=GroupedCommand)
@with_option_groups
def convert(
    *,
    source: ConvertedModel,
    filter_shift: FilterShiftOption = None,
    to: ModelOutput,
    verbosity: Verbosity,
) -> None:
    """Convert a model from either official layout to ours, which loads with -m everywhere.

    Writes a directory with config.json, model.safetensors and known_answer.json, whole or not at
    all. Pickles are read without running anything in them. A model stored with --store bf16 is
    computed in fp32 like any other, with the rounded numbers.

      hyenadna models convert weights.ckpt -o my-model
    """
    from hyenadna_cli.core.model.checkpoints import checkpoint

    to.check()
    if Path(source.model).is_file():
        model, _ = checkpoint.load(Path(source.model), filter_shift=filter_shift)
    else:
        location = source.locate()
        model, _ = checkpoint.load(
            location.directory,
            name=location.name,
            revision=location.revision,
            filter_shift=filter_shift,
        )
    to.write(model)


@app.command("export", cls=GroupedCommand)
@with_option_groups
def export_model(
    *,
    source: DownloadedModel,
    filter_shift: FilterShiftOption = None,
    layout: Annotated[
        Literal["hf", "lightning"],
        typer.Option("--layout", help="Of the official releases that the model shall be like."),
    ] = "hf",
    output: Annotated[Path, typer.Option("-o", "--output", help="Directory to write.")],
    force: ForceOption = False,
    verbosity: Verbosity,
) -> None:
    """Export a model to an official layout, for transformers or the original code.

    Writes config.json, the weights under their official names (model.safetensors, or weights.ckpt)
    and a model card, README.md. Models whose filters the official code would compute otherwise are
    refused. The head of a fine-tuned model is left out: the official code has none like it.

      hyenadna models export run -o run-hf
    """
    from hyenadna_cli.core.model.checkpoints import checkpoint, export
    from hyenadna_cli.core.outputs import atomic

    atomic.check_output_dir(output, overwrite=force)
    location = source.locate()
    model, _ = checkpoint.load(
        location.directory,
        name=location.name,
        revision=location.revision,
        filter_shift=filter_shift,
    )
    if checkpoint.read_head(location.directory) is not None:
        log.warning("%s: its head is left out", location.directory)
    export.export(model, output, layout=layout, overwrite=force)


@app.command(cls=GroupedCommand)
@with_option_groups
def average(
    *,
    sources: Annotated[
        list[Path], typer.Argument(metavar="DIR...", help="Models of one shape, at least two.")
    ],
    to: ModelOutput,
    verbosity: Verbosity,
) -> None:
    """Average the weights of several trainings into one model of the same size.

    For trainings that started from the same weights and stayed close: their mean can be better than
    each of them, which hyenadna perplexity tells. Of trainings from random weights it is worthless.
    Writes a directory as convert does.

      hyenadna models average seed-1 seed-2 -o both
    """
    from hyenadna_cli.core.model.checkpoints import averaging

    to.check()
    if len(sources) < 2:
        raise UsageError("an average takes two models or more")
    to.write(averaging.average(averaging.load_models(sources)))


@app.command(cls=GroupedCommand)
@with_option_groups
def verify(*, model: DownloadedModel, as_json: JsonOption = False, verbosity: Verbosity) -> None:
    """Check that a model is intact, and that this machine computes it correctly.

    Prints one row per check: check, result (ok, failed, not-checked), detail. The checks are the
    hash of the weights, names and shapes, finite logits, causality, and the answer to a fixed
    sequence in float64 and float32. Exit 4 if one fails.

      hyenadna models verify builtin
    """
    from hyenadna_cli.core.model.checkpoints import verification

    location = model.locate()
    checks = verification.verify(location.directory, name=location.name, revision=location.revision)
    print_table(
        ("check", "result", "detail"),
        [(check.name, check.result, check.detail) for check in checks],
        as_json=as_json,
    )
    if failed := [check.name for check in checks if check.result == "failed"]:
        raise CheckpointError(f"{location.directory}: failed: {', '.join(failed)}")
