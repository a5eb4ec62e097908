"""What this machine has, what would be used here and why, and whether it computes right."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import huggingface_hub.constants
import torch

from hyenadna_cli._version import __version__
from hyenadna_cli.core.config.choices import DtypeRequest
from hyenadna_cli.core.machine import hardware, runtime
from hyenadna_cli.core.machine.runtime import Runtime
from hyenadna_cli.core.model.checkpoints import catalogue, checkpoint, known_answer, verification
from hyenadna_cli.errors import CheckpointError, UsageError
from hyenadna_cli.ops.kernels import KernelsRequest

Result = Literal["ok", "missing", "failed"]

_NEEDED = (
    "torch",
    "numpy",
    "numba",
    "matplotlib",
    "h5py",
    "pysam",
    "cyvcf2",
    "pyfaidx",
    "biopython",
    "safetensors",
    "huggingface_hub",
    "scikit-learn",
    "scipy",
)
_OPTIONAL = {
    "triton": "fused kernels on a GPU",
    "pyBigWig": "bigWig tracks",
    "anndata": "reading .h5ad outputs into a notebook",
    "tensorboard": "event files of training runs",
}
_BF16_TOLERANCE = 5e-2
"""Of the largest entry of the known answer, when matrix products are in bfloat16."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact, and whether it is as it should be."""

    topic: str
    name: str
    result: Result
    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Requests:
    """The options that every computing command has, as given."""

    device: str = "auto"
    dtype: DtypeRequest = "auto"
    kernels: KernelsRequest = "auto"
    threads: int | None = None
    cache_dir: Path | None = None


def examine(requests: Requests) -> Iterator[Finding]:
    """All findings, the quick ones first."""
    yield from _versions()
    yield from _hardware()
    run, findings = _choices(requests)
    yield from findings
    yield from _places(requests.cache_dir)
    yield from _known_answers(run)


def _versions() -> Iterator[Finding]:
    yield Finding("version", "hyenadna", "ok", __version__)
    yield Finding("version", "python", "ok", f"{platform.python_version()}, {sys.executable}")
    yield Finding("version", "system", "ok", platform.platform())
    for library in _NEEDED:
        version = _version(library)
        result: Result = "failed" if version is None else "ok"
        yield Finding("version", library, result, version or "not installed")
    for library, purpose in _OPTIONAL.items():
        version = _version(library)
        detail = version or f"not installed; only needed for {purpose}"
        yield Finding("optional", library, "missing" if version is None else "ok", detail)


def _version(library: str) -> str | None:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None


def _hardware() -> Iterator[Finding]:
    cpu, memory = hardware.processor(), hardware.memory()
    yield Finding("hardware", "cpu", "ok", f"{cpu.name}, {cpu.architecture}")
    yield Finding(
        "hardware", "cpus", "ok", f"{cpu.n_usable} of {cpu.n_cpus} may be used by this process"
    )
    if cpu.features is not None:
        present = [name for name, is_there in cpu.features.items() if is_there]
        absent = [name for name, is_there in cpu.features.items() if not is_there]
        without = f"; not {', '.join(absent)}" if absent else ""
        yield Finding("hardware", "cpu features", "ok", f"{', '.join(present) or '-'}{without}")
    yield Finding(
        "hardware",
        "memory",
        "ok",
        f"{_gigabytes(memory.available)} free of {_gigabytes(memory.total)}",
    )
    libraries = {
        "MKL": torch.backends.mkl.is_available(),
        "oneDNN": torch.backends.mkldnn.is_available(),
        "OpenMP": torch.backends.openmp.is_available(),
    }
    built_with = ", ".join(name for name, is_there in libraries.items() if is_there)
    yield Finding(
        "hardware",
        "torch built with",
        "ok",
        f"{built_with or '-'}; CUDA {torch.version.cuda or 'no'}",
    )
    if not torch.cuda.is_available():
        yield Finding("hardware", "gpu", "missing", "no CUDA device is visible")
        return
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        yield Finding(
            "hardware",
            f"cuda:{index}",
            "ok",
            f"{properties.name}, compute capability {properties.major}.{properties.minor}, "
            f"{_gigabytes(properties.total_memory)}",
        )


def _gigabytes(n_bytes: int | None) -> str:
    return "not known" if n_bytes is None else f"{n_bytes / 1e9:.1f} GB"


def _choices(requests: Requests) -> tuple[Runtime, list[Finding]]:
    """What the options come to. Raises UsageError for a request that cannot run."""
    resolve = functools.partial(
        runtime.resolve, device=requests.device, dtype=requests.dtype, threads=requests.threads
    )
    run = resolve(kernels=requests.kernels)
    training = resolve(kernels=requests.kernels, training=True)
    findings = []
    for reason in run.reasons:
        choice, _, why = reason.partition(": ")
        option, _, value = choice.partition(" ")
        if option in ("device", "dtype", "kernels", "threads"):
            detail = f"{value}: {why}" if why else value
            findings.append(Finding("choice", f"--{option}", "ok", detail))
        else:
            findings.append(Finding("choice", choice, "ok", why))
    why = next(reason for reason in training.reasons if reason.startswith("dtype"))
    findings.append(Finding("choice", "--dtype in training", "ok", why.removeprefix("dtype ")))
    others: tuple[tuple[KernelsRequest, DtypeRequest], ...] = (
        ("numba", requests.dtype),
        ("triton", requests.dtype),
        ("triton-fp16", "bf16"),
    )
    for kernels, dtype in others:
        try:
            resolve(kernels=kernels, dtype=dtype)
        except UsageError as error:
            findings.append(Finding("choice", f"--kernels {kernels}", "missing", str(error)))
        else:
            findings.append(Finding("choice", f"--kernels {kernels}", "ok", "can run here"))
    return run, findings


def _places(cache_dir: Path | None) -> Iterator[Finding]:
    cache = cache_dir or Path(huggingface_hub.constants.HF_HUB_CACHE)
    cached = [
        model.name
        for model in catalogue.PUBLISHED.values()
        if catalogue.cached_weights(model, cache_dir=cache_dir) is not None
    ]
    holds = f"; holds {', '.join(cached)}" if cached else "; holds no published model"
    can_write = _can_write(cache)
    yield Finding(
        "place",
        "model cache",
        "ok" if can_write else "missing",
        f"{cache}{'' if can_write else ' cannot be written'}{holds}",
    )
    scratch = Path(tempfile.gettempdir())
    can_write = _can_write(scratch)
    yield Finding(
        "place",
        "temporary files",
        "ok" if can_write else "failed",
        f"{scratch}{'' if can_write else ' cannot be written'}",
    )


def _can_write(path: Path) -> bool:
    """Whether files can be made in `path`, or in the nearest folder above it that exists."""
    existing = next((p for p in (path, *path.parents) if p.exists()), path)
    return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)


def _known_answers(run: Runtime) -> Iterator[Finding]:
    """The built-in model's files and answers: in plain torch, then as commands would run it."""
    try:
        location = catalogue.locate(catalogue.BUILTIN)
        for check in verification.verify(location.directory, name=location.name):
            result: Result = "missing" if check.result == "not-checked" else check.result
            yield Finding("built-in model", check.name, result, check.detail)
        expected = known_answer.read_known_answer(location.directory)
    except CheckpointError as error:
        yield Finding("built-in model", "load", "failed", str(error))
        return
    if expected is None:
        return
    model, _ = checkpoint.load(location.directory, name=location.name)
    model.execution = run.execution()
    difference = known_answer.largest_difference(model.to(run.device), expected)
    is_exact = run.dtype == torch.float32
    tolerance = known_answer.TOLERANCE[torch.float32] if is_exact else _BF16_TOLERANCE
    described = run.describe()
    yield Finding(
        "built-in model",
        "known answer as commands compute it",
        "ok" if difference <= tolerance else "failed",
        f"{run.device}, {described['dtype']}, {described['kernels']} kernels: differs by "
        f"{difference:.1g} of the largest entry; tolerance {tolerance:.0e}",
    )
