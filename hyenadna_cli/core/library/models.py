"""Models of a notebook, on their device and ready for inference."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from hyenadna_cli.core.config.checks import check_types
from hyenadna_cli.core.config.choices import DtypeRequest
from hyenadna_cli.core.config.settings import HeadConfig
from hyenadna_cli.core.inference.chosen_model import ChosenModel
from hyenadna_cli.core.machine import runtime
from hyenadna_cli.core.machine.runtime import Runtime
from hyenadna_cli.core.model.checkpoints import catalogue
from hyenadna_cli.core.model.classifier import Answers
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.tasks.prompts import soft_prompt
from hyenadna_cli.ops.kernels import KernelsRequest


@dataclass(frozen=True, slots=True)
class Classifier:
    """A model with a head, or with a prompt: what `load_classifier` gives and `predict` takes."""

    answers: Answers
    device: torch.device
    longest: int
    """Bases that it reads at once."""

    @property
    def head(self) -> HeadConfig:
        """Its task and the names of its labels."""
        return self.answers.config


def load_model(
    name: str | Path = "builtin",
    *,
    revision: str | None = None,
    offline: bool = False,
    filter_shift: float | None = None,
    device: str = "auto",
    dtype: DtypeRequest = "auto",
    kernels: KernelsRequest = "auto",
    threads: int | None = None,
) -> HyenaDNA:
    """A model by name, Hugging Face id or directory, on its device and ready for inference.

    The arguments are the options of the commands. Raises CheckpointError and UsageError as the
    commands do, TypeError or ValueError for an argument that makes no sense.

    >>> import hyenadna_cli as hd
    >>> model = hd.load_model("builtin")
    >>> model.config.d_model, model.config.l_max
    (160, 32770)
    """
    run = _runtime(name, device=device, dtype=dtype, kernels=kernels, threads=threads)
    chosen = ChosenModel.find(
        str(name), run, revision=revision, offline=offline, filter_shift=filter_shift
    )
    model = chosen.load()
    model.scoring_window = catalogue.scoring_window(chosen.source.name, l_max=model.config.l_max)
    return model


def load_classifier(
    directory: str | Path,
    *,
    base: str | Path | None = None,
    device: str = "auto",
    dtype: DtypeRequest = "auto",
    kernels: KernelsRequest = "auto",
    threads: int | None = None,
) -> Classifier:
    """What `hyenadna finetune` or `hyenadna prompt-tune` wrote, ready for `predict`.

    `base`: where the model of a prompt is, if not where it was when the prompt was tuned. Raises
    CheckpointError for a directory without a head, ValueError for a base without a prompt.

        classifier = hd.load_classifier("classifier")
        classifier.head.label_names  # ("bulk", "island")
    """
    run = _runtime(directory, device=device, dtype=dtype, kernels=kernels, threads=threads)
    prompt = soft_prompt.read(Path(directory))
    if prompt is None:
        if base is not None:
            raise ValueError(f"base {str(base)!r}: {directory} holds no prompt that needs a model")
        chosen = ChosenModel.find(str(directory), run, offline=True)
        answers: Answers = chosen.load_classifier()
        return Classifier(answers, run.device, chosen.config.l_max)
    chosen = ChosenModel.find(
        str(base or prompt.base_name),
        run,
        revision=None if base else prompt.base.revision,
        offline=True,
    )
    answers = soft_prompt.attach(prompt, chosen.load())
    return Classifier(answers, run.device, chosen.config.l_max - prompt.n_reserved)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Compute:
    """Arguments about where and how to compute, checked."""

    device: str
    dtype: DtypeRequest
    kernels: KernelsRequest
    threads: int | None

    def __post_init__(self) -> None:
        check_types(self)
        if self.threads is not None and self.threads < 1:
            raise ValueError(f"threads must be 1 or more, got {self.threads}")


def _runtime(
    name: str | Path,
    *,
    device: str,
    dtype: DtypeRequest,
    kernels: KernelsRequest,
    threads: int | None,
) -> Runtime:
    if not isinstance(name, str | Path):
        raise TypeError(f"a model is named by a text or a path, got {type(name).__name__}")
    _Compute(device=device, dtype=dtype, kernels=kernels, threads=threads)
    return runtime.resolve(device=device, dtype=dtype, kernels=kernels, threads=threads)
