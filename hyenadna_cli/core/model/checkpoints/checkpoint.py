"""Weights on disk to a model and back: three layouts in, one out.

hyenadna    config.json + model.safetensors     what `save` writes
hf          config.json + model.safetensors     the official -hf releases
lightning   config.json + weights.ckpt          the official training checkpoints

file ──names and shapes──> our names (prefix strip, a few renames) ──> ModelConfig ──> HyenaDNA
     └──tensors, once the names and shapes are known to fit──────────────────────────────┘
"""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from hyenadna_cli.core.config.settings import ModelConfig
from hyenadna_cli.core.model.checkpoints import catalogue
from hyenadna_cli.core.model.checkpoints.config_json import (
    EMBEDDING,
    Shapes,
    StoredSettings,
    infer_config,
    read_head_description,
    read_settings,
)
from hyenadna_cli.core.model.checkpoints.fit import HEAD, POSITIONS, check_fit
from hyenadna_cli.core.model.checkpoints.hub_cache import check_as_downloaded
from hyenadna_cli.core.model.checkpoints.positions import unusual_positions, use_stored_positions
from hyenadna_cli.core.model.checkpoints.unpickle import TorchCheckpoint, explain_unreadable
from hyenadna_cli.core.model.cost import n_parameters
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.outputs import atomic, provenance
from hyenadna_cli.errors import CheckpointError

log = logging.getLogger(__name__)

PROMPT = "prompt.safetensors"
"""What a directory holds that is not a model but a prompt for one (core.prompts)."""

_PREFIXES = ("model.", "hyena.", "module.")
_NOT_THE_MODEL = re.compile(r"torchmetrics|optimizer|^(decoder|encoder|head|score)\.")
# Gradient checkpointing wraps the mixer and the MLP in the original training code.
_WRAPPED = re.compile(r"\.(mixer|mlp)\.layer\.")
# One sine module stands at every odd index of the original filter MLP, and so in its state dict.
_SINE = re.compile(r"(.*\.implicit_filter)\.\d*[13579]\.freq")

Layout = Literal["hyenadna", "lightning", "hf"]


@dataclass(frozen=True, slots=True)
class ModelSource:
    """Where a model came from, for the provenance of what is made with it."""

    name: str
    directory: Path
    layout: Layout
    revision: str | None
    sha256: str
    """Of the weights file."""
    config_sha256: str | None
    """Of config.json."""

    @property
    def files(self) -> list[Path]:
        """What may have been read of its directory."""
        return [self.directory / name for name in (*catalogue.WEIGHTS, "config.json")]

    def identity(self) -> dict[str, str | None]:
        """Name, revision and hashes, for provenance."""
        return {
            "name": self.name,
            "revision": self.revision,
            "sha256": self.sha256,
            "config_sha256": self.config_sha256,
        }


@dataclass(frozen=True, slots=True)
class StoredHead:
    """A head beside the backbone it was trained on."""

    description: Mapping[str, Any]
    """JSON, the entry `head` of config.json."""
    tensors: Mapping[str, Tensor]
    """Names begin with `head.`; a plain model is loaded without them."""


@dataclass(frozen=True, slots=True)
class _Safetensors:
    path: Path
    shapes: dict[str, tuple[int, ...]]

    @classmethod
    def open(cls, path: Path) -> _Safetensors:
        try:
            with safe_open(path, framework="pt") as file:
                names = list(file.keys())
                return cls(path, {name: tuple(file.get_slice(name).get_shape()) for name in names})
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{path}: {explain_unreadable(path)}") from error

    def read(self, names: Iterable[str]) -> dict[str, Tensor]:
        with safe_open(self.path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in names}


@dataclass(frozen=True, slots=True)
class _Stored:
    """A model on disk, before any tensor is read."""

    path: Path
    weights: _Safetensors | TorchCheckpoint
    settings: StoredSettings
    names: Mapping[str, tuple[str, ...]]
    """Our name of a tensor -> its names in the file, several for shared frequencies."""
    left_out: tuple[str, ...]
    """Names in the file of what is not the model's."""

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: self.weights.shapes[stored[0]] for name, stored in self.names.items()}

    @property
    def layout(self) -> Layout:
        if self.settings.layout == "hyenadna":
            return "hyenadna"
        return "lightning" if isinstance(self.weights, TorchCheckpoint) else "hf"

    @property
    def config(self) -> ModelConfig:
        return infer_config(self.settings, self.shapes)


def load(
    path: Path | ModelSource,
    *,
    name: str | None = None,
    revision: str | None = None,
    filter_shift: float | None = None,
    dtype: torch.dtype = torch.float32,
) -> tuple[HyenaDNA, ModelSource]:
    """A model on the CPU, in eval mode, from a model directory or a single weights file.

    What `inspect` has found may stand for the path; its weights are not hashed a second time.
    `name` and `revision` are what `published.locate` found; where a hash is published for them, the
    weights must have it. `filter_shift` overrides the configuration's; it is 0.05 (official
    inference) where that says nothing, and 0.0 gives the official training code's numbers.

    Raises CheckpointError if the files are missing, damaged, or not a HyenaDNA model.
    """
    if isinstance(path, ModelSource):
        stored, source = _open(path.directory), path
    else:
        stored = _open(path)
        source = _source(stored, name, revision)
    config = stored.config
    if filter_shift is not None:
        config = dataclasses.replace(config, filter_shift=filter_shift)
    if n_parameters(config) > sum(math.prod(shape) for shape in stored.shapes.values()):
        # What the file does not hold is not made: without storage, a model of any size costs no
        # memory. It costs torch two seconds to load its compiler, so this is for the message only.
        with torch.device("meta"):
            check_fit(stored.path, stored.shapes, HyenaDNA(config))
    # Initial weights are drawn and overwritten; that must not move the caller's random numbers.
    with torch.random.fork_rng(devices=[]):
        model = HyenaDNA(config).to(dtype).eval()
    check_fit(stored.path, stored.shapes, model)
    is_ours = stored.layout == "hyenadna"
    left_out = [name for name in stored.left_out if not (is_ours and name.startswith("head."))]
    if left_out:
        log.info(
            "%s: left out %d tensors that are not the model's: %s",
            stored.path,
            len(left_out),
            ", ".join(left_out[:6]),
        )
    tensors = _read(stored)
    if HEAD in tensors and not torch.equal(tensors[HEAD], tensors[EMBEDDING]):
        log.info("%s: its LM head is not the embedding table; kept apart", stored.path)
        model.untie_lm_head()
    positions = {key: tensors.pop(key) for key in list(tensors) if POSITIONS.fullmatch(key)}
    model.load_state_dict({HEAD: tensors[EMBEDDING]} | tensors)
    use_stored_positions(model, positions, stored.path)
    return model, source


def inspect(
    path: Path, *, name: str | None = None, revision: str | None = None
) -> tuple[ModelConfig, ModelSource, int]:
    """Configuration, source and number of parameters of a stored model, without its tensors.

    A tied LM head is counted as stored: not at all, or, in the -hf layout, as a second table.
    Raises CheckpointError like `load`, but does not see tensors that do not fit.
    """
    stored = _open(path)
    n_parameters = sum(
        math.prod(shape) for key, shape in stored.shapes.items() if not POSITIONS.fullmatch(key)
    )
    return stored.config, _source(stored, name, revision), n_parameters


def save(
    model: HyenaDNA,
    directory: Path,
    *,
    head: StoredHead | None = None,
    matrix_dtype: torch.dtype | None = None,
) -> None:
    """Write config.json and model.safetensors into `directory`, each whole or not at all.

    Matrices are stored as `matrix_dtype`, by default as they are; vectors, taps and frequencies
    are never rounded. The LM head is stored only if it is not the embedding; positional features
    only if they are not those of the formula. Raises OutputError.
    """
    state = model.state_dict()
    if model.is_tied:
        del state[HEAD]
    state |= unusual_positions(model)
    config = model.config.to_json()
    if head is not None:
        state |= head.tensors
        config = json.dumps({**json.loads(config), "head": head.description}, indent=2) + "\n"
    with atomic.replace_on_success(directory / "model.safetensors", overwrite=True) as scratch:
        if matrix_dtype is not None:
            state = {
                name: tensor.to(matrix_dtype) if _is_matrix(tensor) else tensor
                for name, tensor in state.items()
            }
        # Not save_file: its files are readable by their owner only, whatever the umask.
        tensors = {name: tensor.contiguous() for name, tensor in state.items()}
        scratch.write_bytes(safetensors.torch.save(tensors, metadata={"format": "pt"}))
    atomic.write_text(directory / "config.json", config)


def _is_matrix(tensor: Tensor) -> bool:
    return tensor.ndim == 2 and min(tensor.shape) > 1


def read_head(path: Path) -> StoredHead | None:
    """The head stored with a model of our own layout, if any. Raises CheckpointError."""
    stored = _open(path)
    description = read_head_description(stored.settings.path)
    if description is None:
        return None
    names = [name for name in stored.left_out if name.startswith("head.")]
    return StoredHead(description, stored.weights.read(names))


def _open(path: Path) -> _Stored:
    file = _weights_file(path)
    is_safetensors = file.suffix == ".safetensors"
    weights = _Safetensors.open(file) if is_safetensors else TorchCheckpoint.open(file)
    names, left_out = _our_names(file, weights.shapes)
    return _Stored(file, weights, read_settings(file.with_name("config.json")), names, left_out)


def _weights_file(path: Path) -> Path:
    if path.is_file():
        return path
    if not path.is_dir():
        raise CheckpointError(f"{path}: no such model directory")
    for name in catalogue.WEIGHTS:
        if (path / name).is_file():
            return path / name
    raise CheckpointError(f"{path}: holds neither {' nor '.join(catalogue.WEIGHTS)}{_hint(path)}")


def _hint(path: Path) -> str:
    """What to do with a directory that holds no model."""
    if (path / PROMPT).exists():
        return "; its prompt is for `hyenadna predict`"
    if (path / "last").exists() and not (path / "training.json").exists():
        return "; its training is not finished: the same command with --resume goes on"
    if (path / "adapter_config.json").exists():
        return "; it is an adapter (LoRA): merge it into its base model and save that"
    snapshots = sorted((path / "snapshots").glob("*/config.json"))
    if snapshots:
        return f"; it is a folder of the hub's cache: use {snapshots[-1].parent}"
    others = sorted(file.name for file in path.iterdir() if file.suffix in (".ckpt", ".pt", ".bin"))
    return f"; to use {others[0]}, convert it: `hyenadna models convert`" if others else ""


def _source(stored: _Stored, name: str | None, revision: str | None) -> ModelSource:
    sha256 = provenance.sha256_of(stored.path)
    directory = stored.path.parent
    config = directory / "config.json"
    source = ModelSource(
        name or directory.resolve().name,
        directory,
        stored.layout,
        revision,
        sha256,
        provenance.sha256_of(config) if config.is_file() else None,
    )
    check_as_downloaded(stored.path, sha256=sha256)
    if config.is_file():
        check_as_downloaded(config)
    expected = catalogue.expected_sha256(source.name, revision)
    if stored.path.suffix == ".safetensors" and expected not in (None, sha256):
        raise CheckpointError(
            f"{stored.path}: not the published weights of {source.name} at revision {revision}: "
            f"SHA-256 is {sha256}, should be {expected}; remove the file and download it again"
        )
    return source


def _our_names(path: Path, shapes: Shapes) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
    names: dict[str, tuple[str, ...]] = {}
    left_out = []
    for stored in shapes:
        name = stored
        while name.startswith(_PREFIXES):
            name = name.partition(".")[2]
        if _NOT_THE_MODEL.search(name):
            left_out.append(stored)
            continue
        name = _WRAPPED.sub(r".\1.", name)
        is_shared = (sine := _SINE.fullmatch(name)) is not None
        if sine is not None:
            name = f"{sine[1]}.1.freq"
        if name in names and not is_shared:
            raise CheckpointError(f"{path}: {stored} and {names[name][0]} are the same tensor")
        names[name] = (*names.get(name, ()), stored)
    if not any(name.startswith("backbone.") for name in names):
        first = next(iter(shapes), "none at all")
        raise CheckpointError(f"{path}: not a HyenaDNA model: its tensors are {first}, ...")
    return names, tuple(left_out)


def _read(stored: _Stored) -> dict[str, Tensor]:
    every = [name for names in stored.names.values() for name in names]
    in_file = stored.weights.read(every)
    tensors: dict[str, Tensor] = {}
    for name, (first, *others) in stored.names.items():
        tensor = in_file[first]
        if not tensor.is_floating_point():
            raise CheckpointError(f"{stored.path}: {first} holds {tensor.dtype}, not real numbers")
        for other in others:
            if not torch.equal(in_file[other], tensor):
                raise CheckpointError(
                    f"{stored.path}: {first} and {other} differ, but HyenaDNA's sine activations "
                    "share one frequency"
                )
        tensors[name] = tensor
    return tensors
