"""The shape of a stored model: what its tensors show, and what only its config.json can say.

Tensors are what gets computed with, so they win; a released config.json has been wrong before.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import logging
import re
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_type_hints

from hyenadna_cli.core.config.settings import MODEL_TYPE, ModelConfig
from hyenadna_cli.core.config.small_files import read_small
from hyenadna_cli.errors import CheckpointError

log = logging.getLogger(__name__)

EMBEDDING = "backbone.embeddings.word_embeddings.weight"

Shapes = Mapping[str, tuple[int, ...]]

_LAYER = re.compile(r"backbone\.layers\.(\d{1,9})\.(.+)", re.ASCII)
_FILTER_LINEAR = re.compile(r"mixer\.filter_fn\.implicit_filter\.(\d{1,9})\.weight", re.ASCII)
_HINTS = get_type_hints(ModelConfig)
_FIELDS = {field.name: _HINTS[field.name] for field in dataclasses.fields(ModelConfig)}
_ANY_NUMBER = 1e300
_REQUIRED = ("d_model", "n_layer", "d_inner", "l_max")

# Where the official layouts keep what ModelConfig needs. All their other keys are about training,
# or have no effect: they are read past.
_HF_KEYS = {name: name for name in _FIELDS} | {"max_seq_len": "l_max", "hyena_order": "order"}
_LIGHTNING_KEYS = {name: name for name in _FIELDS}
_LIGHTNING_LAYER_KEYS = {
    "l_max": "l_max",
    "order": "order",
    "emb_dim": "emb_dim",
    "filter_order": "filter_order",
    "short_filter_order": "short_filter_order",
    "num_inner_mlps": "num_inner_mlps",
    "w": "activation_freq",
    "shift": "filter_shift",
}

# Settings of the original training code that change the computation but not the tensors, and the
# only value this implementation computes.
_ONLY: dict[str, object] = {
    "modulate": True,
    "bidirectional": False,
    "normalized": False,
    "num_heads": 1,
    "num_blocks": 1,
    "outer_mixing": False,
    "activation": "id",
}


@dataclass(frozen=True, slots=True)
class StoredSettings:
    """The part of a config.json that describes the model, under the names of `ModelConfig`."""

    layout: Literal["hyenadna", "lightning", "hf"] | None
    """None: there is no config.json."""
    values: Mapping[str, Any]
    path: Path


def read_settings(path: Path) -> StoredSettings:
    """Read a config.json of any of the three layouts; a missing one says nothing.

    Raises CheckpointError if it is not readable, asks for a variant of the model that is not
    implemented, or is of our own layout and has unknown keys.
    """
    content = _read_json(path)
    if content is None:
        return StoredSettings(None, {}, path)
    if content.get("model_type") == MODEL_TYPE:
        settings = {key: content[key] for key in content if key not in ("model_type", "head")}
        if unknown := sorted(settings.keys() - _FIELDS.keys()):
            raise CheckpointError(f"{path}: unknown model settings: {', '.join(unknown)}")
        return StoredSettings("hyenadna", _typed(path, settings), path)
    layer = content.get("layer")
    if isinstance(layer, dict):
        values = _select(path, content, _LIGHTNING_KEYS) | _select(
            path, layer, _LIGHTNING_LAYER_KEYS
        )
        return StoredSettings("lightning", _typed(path, values), path)
    return StoredSettings("hf", _typed(path, _select(path, content, _HF_KEYS)), path)


def read_head_description(path: Path) -> dict[str, Any] | None:
    """The entry `head` of a config.json of our own layout, if there is one.

    Raises CheckpointError if it is not readable.
    """
    content = _read_json(path) or {}
    head = content.get("head") if content.get("model_type") == MODEL_TYPE else None
    if head is not None and not isinstance(head, dict):
        raise CheckpointError(f"{path}: its head is not a JSON object")
    return head


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(read_small(path))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: is not a JSON object")
    return content


def _select(path: Path, content: Mapping[str, Any], keys: Mapping[str, str]) -> dict[str, Any]:
    for key, only in _ONLY.items():
        if content.get(key, only) not in (only, None):
            raise CheckpointError(
                f"{path}: {key} {content[key]!r} is a variant of the model that is not supported"
            )
    read_past = sorted(content.keys() - keys.keys() - _ONLY.keys() - {"layer"})
    log.debug("%s: read past %s", path, ", ".join(read_past))
    # null means "the default" in Hugging Face configurations.
    return {keys[key]: value for key, value in content.items() if key in keys and value is not None}


def _typed(path: Path, values: Mapping[str, Any]) -> dict[str, Any]:
    typed: dict[str, Any] = {}
    for name, value in values.items():
        is_whole = _FIELDS[name] is int
        # NaN and Infinity are JSON to Python, and 1e400 is Infinity.
        is_number = type(value) in (int, float) and abs(value) < _ANY_NUMBER
        if not is_number or (is_whole and value != int(value)):
            kind = "an integer" if is_whole else "a number"
            raise CheckpointError(f"{path}: {name} must be {kind}, got {reprlib.repr(value)}")
        typed[name] = int(value) if is_whole else float(value)
    return typed


def infer_config(settings: StoredSettings, shapes: Shapes) -> ModelConfig:
    """The configuration of the model whose tensors have these shapes, by their names in our model.

    A setting that contradicts the tensors is warned about and dropped. Raises CheckpointError if
    neither says how large the model is, or the result is not a possible model.
    """
    measured = measure(shapes)
    values = dict(settings.values)
    for name, size in measured.items():
        if values.get(name, size) != size:
            _warn_once(
                f"{settings.path}: says {name} {values[name]}, but the tensors have {size}; "
                "the tensors are right"
            )
    values |= measured
    if (embedding := shapes.get(EMBEDDING)) is not None:
        values |= _vocabulary(settings, values, n_rows=embedding[0])
    if missing := [name for name in _REQUIRED if name not in values]:
        raise CheckpointError(
            f"{settings.path}: neither it nor the tensors tell {', '.join(missing)}; "
            "a config.json with these is needed beside the weights"
        )
    try:
        return ModelConfig(**values)
    except ValueError as error:
        raise CheckpointError(f"{settings.path}: not a possible model: {error}") from error


@functools.cache
def _warn_once(text: str) -> None:
    """A model is looked at before it is loaded, and its faults are not news the second time."""
    log.warning(text)


def measure(shapes: Shapes) -> dict[str, int]:
    """Every setting that the shapes show.

    A tensor that is missing in one layer is looked for in the others; that it is missing is for the
    loader to say.
    """
    in_layer: dict[str, tuple[int, ...]] = {}
    n_layer = 0
    for name, shape in shapes.items():
        if (match := _LAYER.fullmatch(name)) is not None:
            n_layer = max(n_layer, int(match[1]) + 1)
            in_layer.setdefault(match[2], shape)

    def size(suffix: str, axis: int, n_axes: int) -> int | None:
        shape = shapes.get(suffix) or in_layer.get(suffix)
        return shape[axis] if shape is not None and len(shape) == n_axes else None

    d_model = size(EMBEDDING, 1, 2) or size("norm1.weight", 0, 1)
    projected = size("mixer.in_proj.weight", 0, 2)
    linears = [int(m[1]) for suffix in in_layer if (m := _FILTER_LINEAR.fullmatch(suffix))]
    sizes = {
        "d_model": d_model,
        "n_layer": n_layer or None,
        "d_inner": size("mlp.fc1.weight", 0, 2),
        "l_max": size("mixer.filter_fn.pos_emb.z", 1, 3),
        "order": projected // d_model - 1 if projected and d_model else None,
        "short_filter_order": size("mixer.short_filter.weight", 2, 3),
        "emb_dim": size("mixer.filter_fn.implicit_filter.0.weight", 1, 2),
        "filter_order": size("mixer.filter_fn.implicit_filter.0.weight", 0, 2),
        "num_inner_mlps": max(linears) // 2 - 1 if linears else None,
    }
    return {name: value for name, value in sizes.items() if value is not None}


def _vocabulary(
    settings: StoredSettings, values: Mapping[str, Any], *, n_rows: int
) -> dict[str, int]:
    """Real tokens, and a multiple that pads them to the rows of the embedding.

    Without a config.json, 16 rows are the DNA alphabet's 12 tokens; other numbers are taken as is.
    """
    usual = ModelConfig(d_model=1, n_layer=1, d_inner=1, l_max=1)
    is_usual = n_rows == usual.padded_vocab_size
    vocab_size = values.get("vocab_size", usual.vocab_size if is_usual else n_rows)
    if vocab_size > n_rows:
        _warn_once(
            f"{settings.path}: says vocab_size {vocab_size}, but the embedding has {n_rows} rows; "
            "the tensors are right"
        )
        vocab_size = n_rows
    stated = values.get("pad_vocab_size_multiple", usual.pad_vocab_size_multiple)
    for multiple in (stated, usual.pad_vocab_size_multiple):
        if multiple > 0 and -(-vocab_size // multiple) * multiple == n_rows:
            return {"vocab_size": vocab_size, "pad_vocab_size_multiple": multiple}
    return {"vocab_size": vocab_size, "pad_vocab_size_multiple": n_rows}
