"""Which cases a benchmark measures, and how: from options to workloads and variants."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, ClassVar, TypeVar, get_args

from hyenadna_cli.core.config.choices import Dtype
from hyenadna_cli.core.config.flags import Flag
from hyenadna_cli.core.config.texts import parse_bases
from hyenadna_cli.core.machine.benchmark.cases import (
    PRESETS,
    Implementation,
    Variant,
    Workload,
)
from hyenadna_cli.ops.kernels import KernelsRequest

Word = TypeVar("Word", bound=str)

_DTYPES: tuple[Dtype, ...] = get_args(Dtype)
_KERNELS: tuple[KernelsRequest, ...] = get_args(KernelsRequest)
_RIVALS: tuple[Implementation, ...] = ("plain", "attention")


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """How to measure."""

    HEADING: ClassVar[str] = "Measuring"

    repeats: Annotated[int, Flag(name="--repeats", help="Turns of each case.", at_least=1)] = 5
    max_seconds: Annotated[
        float, Flag(name="--max-seconds", help="Patience for all passes of one case.", at_least=1)
    ] = 60.0
    """A case that would take longer is not begun, or stopped."""
    max_minutes: Annotated[
        float | None,
        Flag(
            name="--max-minutes",
            help="Start no further case after this many minutes.",
            at_least=0,
        ),
    ] = None
    seed: Annotated[
        int, Flag(name="--seed", help="Random seed of weights and tokens.", at_least=0)
    ] = 0
    device: str = "cpu"
    threads: int | None = None
    """CPU threads; None for those that the process may use."""
    with_operators: bool = False
    """Whether to time our operators by themselves too, at the shapes of forward passes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """What is measured, and who is measured on it. Raises ValueError for unknown words."""

    HEADING: ClassVar[str] = "Cases"

    case: Annotated[
        list[str] | None,
        Flag(name="--case", metavar="NAME", help=f"Named workloads: {', '.join(PRESETS)}."),
    ] = None
    lengths: Annotated[
        str, Flag(name="--lengths", help="Bases, with commas: 1k,32k. Without --case.")
    ] = "1k,4k,16k"
    d_model: Annotated[int, Flag(name="--d-model", help="Width.", at_least=2)] = 128
    n_layer: Annotated[int, Flag(name="--n-layer", help="Blocks.", at_least=1)] = 2
    batch: Annotated[int, Flag(name="--batch", help="Sequences per pass.", at_least=1)] = 1
    dtype: Annotated[
        str, Flag(name="--dtype", help="fp32, bf16 or both with a comma; plain runs in fp32.")
    ] = "fp32,bf16"
    kernels: Annotated[
        str, Flag(name="--kernels", help=f"{', '.join(_KERNELS)}; several with commas.")
    ] = "auto"
    against: Annotated[
        str | None, Flag(name="--against", help="plain, attention, both with a comma, or none.")
    ] = None
    backward: Annotated[
        bool, Flag(name="--backward", help="Also forward, loss and backward, as in training.")
    ] = False
    recompute: Annotated[
        bool, Flag(name="--recompute", help="Backward with gradient checkpointing, in all.")
    ] = False

    def __post_init__(self) -> None:
        if unknown := [name for name in self.case or () if name not in PRESETS]:
            raise ValueError(f"--case {unknown[0]}: use {', '.join(PRESETS)}")
        for work, implementations in self.workloads():
            self.variants(implementations)
            try:
                _ = work.shape
            except ValueError as error:
                raise ValueError(f"{work}: {error}") from error

    def workloads(self) -> list[tuple[Workload, tuple[Implementation, ...]]]:
        """Workloads in the order of their lengths, each with who is measured on it."""
        if self.case:
            rivals = None if self.against is None else _rivals(self.against)
            return [
                (work, PRESETS[name].implementations if rivals is None else (*rivals, "hyenadna"))
                for name in self.case
                for work in PRESETS[name].workloads
            ]
        rivals = _rivals("plain,attention" if self.against is None else self.against)
        return [
            (
                Workload(
                    d_model=self.d_model,
                    n_layer=self.n_layer,
                    length=length,
                    batch=self.batch,
                    training=training,
                    recompute=training and self.recompute,
                ),
                (*rivals, "hyenadna"),
            )
            for training in ((False, True) if self.backward else (False,))
            for length in sorted(parse_bases(text) for text in self.lengths.split(","))
        ]

    def variants(self, implementations: Iterable[Implementation]) -> list[Variant]:
        """Plain first, as its memory is free again when the others run; in one precision only."""
        dtypes = _listed("--dtype", self.dtype, _DTYPES)
        kernels = _listed("--kernels", self.kernels, _KERNELS)
        variants = []
        for name in ("plain", "hyenadna", "attention"):
            if name not in implementations:
                continue
            is_plain = name == "plain" and "fp32" in dtypes
            variants += [
                Variant(implementation=name, dtype=dtype, kernels=request)
                for dtype in (("fp32",) if is_plain else dtypes)
                for request in (kernels if name == "hyenadna" else ("auto",))
            ]
        return variants


def _rivals(text: str) -> tuple[Implementation, ...]:
    return () if text == "none" else _listed("--against", text, _RIVALS)


def _listed(option: str, text: str, allowed: tuple[Word, ...]) -> tuple[Word, ...]:
    """A comma-separated list of known words. Raises ValueError."""
    known = {str(word): word for word in allowed}
    words = [word.strip() for word in text.split(",")]
    if unknown := [word for word in words if word not in known]:
        raise ValueError(f"{option} {unknown[0]}: use {', '.join(known)}")
    return tuple(known[word] for word in dict.fromkeys(words))
