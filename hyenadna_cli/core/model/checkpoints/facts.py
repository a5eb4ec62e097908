"""What is known of models: the catalogue as a table, and one model from its files."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from hyenadna_cli.core.config.settings import ModelConfig
from hyenadna_cli.core.model.checkpoints import catalogue, checkpoint
from hyenadna_cli.core.model.checkpoints.catalogue import Location, PublishedModel
from hyenadna_cli.core.model.cost import forward_bytes, training_bytes

Fact = str | int | float | None

COLUMNS = (
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
"""Of the rows of `listing`."""

_TOLD_LENGTHS = (1_000, 32_000, 160_000, 450_000)


def listing(cache_dir: Path | None) -> list[tuple[Fact, ...]]:
    """The built-in and the published models, and whether they are on this machine."""
    rows: list[tuple[Fact, ...]] = []
    if (catalogue.BUILTIN_DIRECTORY / "config.json").is_file():
        config, _, n_parameters = checkpoint.inspect(catalogue.BUILTIN_DIRECTORY)
        n_bytes = (catalogue.BUILTIN_DIRECTORY / "model.safetensors").stat().st_size
        shape = (config.d_model, config.n_layer, config.l_max, n_parameters)
        rows.append(
            (catalogue.BUILTIN, "yes", *shape, _megabytes(n_bytes), catalogue.LICENCE, None)
        )
    for model in catalogue.PUBLISHED.values():
        is_cached = catalogue.cached_weights(model, cache_dir=cache_dir) is not None
        shape = (model.d_model, model.n_layer, model.l_max, model.n_parameters)
        size = _megabytes(model.n_bytes)
        local = "yes" if is_cached else "no"
        rows.append((model.name, local, *shape, size, catalogue.LICENCE, model.repo_id))
    return rows


def of_registry(model: PublishedModel) -> dict[str, Fact]:
    """What the catalogue says of a published model."""
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


def of_files(location: Location) -> dict[str, Fact]:
    """What the files of a model say. Raises CheckpointError."""
    config, source, n_parameters = checkpoint.inspect(
        location.directory, name=location.name, revision=location.revision
    )
    facts: dict[str, Fact] = {
        "local": "yes",
        "directory": str(source.directory),
        "layout": source.layout,
        "sha256": source.sha256,
        "stored_parameters": n_parameters,
    }
    if source.revision is not None:
        facts["revision"] = source.revision
    return facts | dataclasses.asdict(config) | _memory_facts(config)


def _memory_facts(config: ModelConfig) -> dict[str, Fact]:
    """Megabytes over one sequence as --dry-run counts them: a forward pass, training in float32.

    In training, blocks are recomputed (--checkpoint-blocks).
    """
    lengths = [length for length in _TOLD_LENGTHS if length < config.l_max]
    facts: dict[str, Fact] = {}
    for length in (*lengths, config.l_max):
        n_bytes = forward_bytes(config, n_windows=1, n_tokens=length, n_layers=1)
        facts[f"forward_mb_at_{length}"] = _megabytes(n_bytes)
    for length in (*lengths, config.l_max):
        n_bytes = training_bytes(config, n_windows=1, n_tokens=length, recompute_blocks=True)
        facts[f"training_mb_at_{length}"] = _megabytes(n_bytes)
    return facts


def _megabytes(n_bytes: int) -> float:
    return round(n_bytes / 1e6, 1)
