"""Models, prompts, embeddings and settings to mutate."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
import tomllib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import plain_readers as plain
import torch
from bench import Bench
from kind import Kind, differing
from mutated_runs import program

from hyenadna_cli.core.config.settings import ModelConfig
from hyenadna_cli.core.io.embeddings_reading import read_embeddings, read_tokens
from hyenadna_cli.core.model.checkpoints import checkpoint
from hyenadna_cli.core.model.classifier import load_classifier
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.tasks.prompts import soft_prompt
from hyenadna_cli.core.training.settings import settings

_TOML = b"""# a comment
[model]
d_model = 16
n_layer = 2
l_max = 130

[train]
max_steps = 30
learning_rate = 1e-3
batch_bases = 512
length_schedule = [[32, 10], [64, 10]]
reverse_complement = true
keep = "bases"
"""


_NOT_IN_SHAPES = (
    *("activation_freq", "filter_shift", "embed_dropout", "resid_dropout", "layer_norm_epsilon"),
)


class Models:
    """The folder, the bench's models copied into it, and the kinds made of them."""

    def __init__(self, folder: Path, bench: Bench) -> None:
        self.folder, self.bench = folder, bench
        for name in ("model", "classes"):
            shutil.copytree(bench.folder / name, folder / name)
            shutil.copytree(bench.folder / name, folder / f"{name}-config")
        self.model, _ = checkpoint.load(folder / "model")

    def kinds(self) -> Iterator[Kind]:
        """All of them."""
        weights = (self.folder / "model" / "model.safetensors").read_bytes()
        config = (self.folder / "model" / "config.json").read_bytes()
        yield Kind("safetensors", weights, self._judge_safetensors, False)
        # Most changes to the file fall into weights, where any bytes are right.
        yield Kind("safetensors, header", _header(weights), partial(self._judge_header, weights))
        yield Kind("ckpt", self._checkpoint(config), self._judge_checkpoint, False)
        yield Kind("config.json", config, self._judge_config)
        head = (self.folder / "classes" / "config.json").read_bytes()
        yield Kind("config.json of a classifier", head, self._judge_head)
        yield self._prompt()
        yield from self._embeddings()
        yield Kind("TOML", _TOML, self._judge_toml)

    def _checkpoint(self, config: bytes) -> bytes:
        (self.folder / "lightning").mkdir()
        (self.folder / "lightning" / "config.json").write_bytes(config)
        state = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        data = io.BytesIO()
        torch.save({"epoch": 1, "state_dict": state}, data)
        return data.getvalue()

    def _prompt(self) -> Kind:
        """A soft prompt, tuned for one epoch."""
        bench, target = self.bench, self.folder / "prompt"
        arguments = ("--data", str(bench.folder / "labels.tsv"), "-m", str(bench.folder / "model"))
        program("prompt-tune", *arguments, "--epochs", "1", "--device", "cpu", "-o", str(target))
        data = (target / "prompt.safetensors").read_bytes()
        return Kind("prompt", data, self._judge_prompt, False)

    def _embeddings(self) -> Iterator[Kind]:
        for name, pool, judge in (
            ("embeddings (.h5ad)", "mean,last", self._judge_embeddings),
            ("embeddings per base (.h5)", "token", self._judge_tokens),
        ):
            output = self.folder / ("x.h5ad" if pool != "token" else "x.h5")
            arguments = self.bench.case("embed (.tsv)").arguments
            bed = str(self.bench.folder / "few.bed")
            regions = [bed if a.endswith("regions.bed") else a for a in arguments]
            program(*regions, "--pool", pool, "-o", str(output))
            yield Kind(name, output.read_bytes(), judge, False)

    def _judge_safetensors(self, data: bytes) -> str | None:
        (self.folder / "model" / "model.safetensors").write_bytes(data)
        model, _ = checkpoint.load(self.folder / "model")
        return _other_weights(model, plain.safetensors(data))

    def _judge_header(self, weights: bytes, header: bytes) -> str | None:
        rest = weights[8 + len(_header(weights)) :]
        return self._judge_safetensors(len(header).to_bytes(8, "little") + header + rest)

    def _judge_checkpoint(self, data: bytes) -> str | None:
        (self.folder / "lightning" / "weights.ckpt").write_bytes(data)
        model, _ = checkpoint.load(self.folder / "lightning")
        stored = torch.load(io.BytesIO(data), weights_only=True)["state_dict"]
        tensors = {name.removeprefix("model."): t.numpy().tobytes() for name, t in stored.items()}
        return _other_weights(model, tensors)

    def _judge_config(self, data: bytes) -> str | None:
        directory = self.folder / "model-config"
        (directory / "config.json").write_bytes(data)
        model, _ = checkpoint.load(directory)
        values = json.loads(data)
        if values.get("model_type") != "hyenadna-cli":
            return None  # of another layout, whose keys have other names
        # Of the rest the tensors know better; that they differ is warned about.
        return _other_settings(
            model.config, {n: v for n, v in values.items() if n in _NOT_IN_SHAPES}
        )

    def _judge_head(self, data: bytes) -> str | None:
        directory = self.folder / "classes-config"
        (directory / "config.json").write_bytes(data)
        classifier, _ = load_classifier(directory)
        names = list(classifier.config.label_names)
        return differing(names, json.loads(data)["head"]["label_names"])

    def _judge_prompt(self, data: bytes) -> str | None:
        (self.folder / "prompt" / "prompt.safetensors").write_bytes(data)
        stored = soft_prompt.read(self.folder / "prompt")
        if stored is None:
            return "a prompt that is there was not found"
        classifier = soft_prompt.attach(stored, self.model)
        got = classifier.backbone.prompt.detach().numpy().tobytes()
        return differing(got, plain.safetensors(data)["prompt"])

    def _judge_embeddings(self, data: bytes) -> str | None:
        path = self.folder / "y.h5ad"
        path.write_bytes(data)
        read = read_embeddings(path)
        with h5py.File(path) as file:
            return _other_numbers(read.X, file["X"][:])

    def _judge_tokens(self, data: bytes) -> str | None:
        path = self.folder / "y.h5"
        path.write_bytes(data)
        read = read_tokens(path)
        with h5py.File(path) as file:
            return _other_numbers(read.data, file["tokens/data"][:])

    def _judge_toml(self, data: bytes) -> str | None:
        path = self.folder / "x.toml"
        path.write_bytes(data)
        resolved = settings(model={}, train={}, config_file=path)
        tables = tomllib.loads(data.decode().replace("\r\n", "\n").replace("\r", "\n"))
        for values, table in zip(resolved, ("model", "train"), strict=True):
            if problem := _other_settings(values, tables.get(table, {})):
                return problem
        return None


def _header(weights: bytes) -> bytes:
    return weights[8 : 8 + int.from_bytes(weights[:8], "little")]


def _other_weights(model: HyenaDNA, stored: dict[str, bytes]) -> str | None:
    for name, tensor in model.state_dict().items():
        if name in stored and tensor.numpy().tobytes() != stored[name]:
            return f"{name} has other numbers than the file"
    return None


def _other_settings(settings: object, values: dict[str, object]) -> str | None:
    for field in dataclasses.fields(settings):  # type: ignore[arg-type]
        if field.name in values:
            got = json.loads(json.dumps(getattr(settings, field.name)))
            if got != values[field.name]:
                return f"{field.name} is {got!r}, not {values[field.name]!r}"
    if isinstance(settings, ModelConfig):
        known = {field.name for field in dataclasses.fields(settings)}
        if unknown := values.keys() - known - {"model_type", "head"}:
            return f"{sorted(unknown)} was passed over"
    return None


def _other_numbers(got: np.ndarray, expected: np.ndarray) -> str | None:
    return None if np.array_equal(got, expected, equal_nan=True) else "other numbers than HDF5 has"
