"""What to keep of the hidden states of a record: vectors pooled over its bases, or its rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, get_args

from hyenadna_cli.core.config.choices import Specials, StrandChoice
from hyenadna_cli.core.config.flags import Flag
from hyenadna_cli.errors import UsageError

if TYPE_CHECKING:
    # For types only: commands import this module at their top, which must stay quick.
    from hyenadna_cli.core.config.settings import ModelConfig
    from hyenadna_cli.core.outputs.provenance import Setting

Pooling = Literal["mean", "max", "last", "first", "center"]
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)

StoredDtype = Literal["fp32", "fp16"]
"""What rows of bases are stored in, as the command line calls it."""
_DTYPES: dict[StoredDtype, Literal["float32", "float16"]] = {"fp32": "float32", "fp16": "float16"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Pooled:
    """One vector per record for every pooling and layer, as `embedding` explains them."""

    poolings: tuple[Pooling, ...] = ("mean",)
    layers: tuple[int, ...] = (-1,)
    """0: token embeddings, i: after block i, -1: after the final norm."""
    strand: StrandChoice = "+"
    exclude_n: bool = False
    """Leave N out of `mean` and `max`."""
    exclude_softmasked: bool = False
    """Leave lower-case bases out of `mean` and `max`."""

    def __post_init__(self) -> None:
        if not self.poolings or not self.layers:
            raise ValueError("no pooling or no layer")
        if (self.exclude_n or self.exclude_softmasked) and not self.counts_bases:
            raise ValueError("excluding bases is about mean and max")

    @property
    def keys(self) -> tuple[str, ...]:
        """`{pooling}_layer{i}`, the first pooling of the last layer first."""
        keys = [f"{pooling}_layer{layer}" for pooling in self.poolings for layer in self.layers]
        main = f"{self.poolings[0]}_layer{self.layers[-1]}"
        return (main, *(key for key in keys if key != main))

    @property
    def counts_bases(self) -> bool:
        """Whether it matters which bases are excluded."""
        return "mean" in self.poolings or "max" in self.poolings

    def settings(self) -> dict[str, Setting]:
        """For provenance."""
        excluded = {"n": self.exclude_n, "softmasked": self.exclude_softmasked}
        return {
            "pooling": list[str](self.poolings),
            "layer": [*self.layers],
            "strand": self.strand,
            "exclude": [name for name, is_excluded in excluded.items() if is_excluded],
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Tokens:
    """One row per base, or a bin of bases, in the order of the plus strand."""

    layer: int = -1
    strand: StrandChoice = "+"
    bin_size: int = 1
    """Bases averaged into a row, counted from the record's first base on the plus strand."""
    dtype: Literal["float32", "float16"] = "float32"
    """Of the stored rows."""

    @property
    def layers(self) -> tuple[int, ...]:
        """The one layer."""
        return (self.layer,)

    def n_rows(self, n_bases: int) -> int:
        """Rows of a record; the last may be the mean of fewer bases."""
        return -(-n_bases // self.bin_size)

    def stored_size(self, lengths: Iterable[int], *, d_model: int) -> tuple[int, int]:
        """Rows of records of these lengths together, and the bytes that they take on disk."""
        n_rows = sum(self.n_rows(length) for length in lengths)
        return n_rows, n_rows * d_model * (4 if self.dtype == "float32" else 2)

    def settings(self) -> dict[str, Setting]:
        """For provenance."""
        return {
            "pooling": ["token"],
            "layer": [self.layer],
            "strand": self.strand,
            "bin": self.bin_size,
            "out_dtype": self.dtype,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class VectorSettings:
    """What is kept of the hidden states, as it is asked for."""

    HEADING: ClassVar[str] = "Vectors"

    pool: Annotated[
        str,
        Flag(
            "--pool",
            "mean, max, last, first, center; or token: hidden states of every base.",
            metavar="NAME,...|token",
        ),
    ] = "mean"
    layers: Annotated[
        str,
        Flag(
            "--layers",
            "-1: after the final norm; 0: token embeddings; i: after block i.",
            metavar="I,...",
        ),
    ] = "-1"
    exclude_n: Annotated[bool, Flag("--exclude-n", "Leave N out of mean and max.")] = False
    exclude_softmasked: Annotated[
        bool, Flag("--exclude-softmasked", "Leave lower case out of mean and max.")
    ] = False
    specials: Annotated[
        Specials,
        Flag("--specials", "Framing tokens; cls-sep is what the official script feeds."),
    ] = "none"
    bin_size: Annotated[
        int | None,
        Flag(
            "--bin",
            "With --pool token: average every N bases, from the start.",
            metavar="N",
            at_least=1,
        ),
    ] = None
    out_dtype: Annotated[
        StoredDtype | None,
        Flag("--out-dtype", "With --pool token: precision on disk; default: fp32."),
    ] = None

    def parse(self, strand: StrandChoice) -> Pooled | Tokens:
        """The vectors asked for. Raises UsageError for options that do not go together."""
        names = [name.strip() for name in self.pool.split(",")]
        numbers = _parse_layers(self.layers)
        excludes = self.exclude_n or self.exclude_softmasked
        if excludes and not {"mean", "max"} & set(names):
            raise UsageError("--exclude-n and --exclude-softmasked are about --pool mean and max")
        if "token" in names:
            if len(names) > 1 or len(numbers) > 1:
                raise UsageError("--pool token goes alone, and with one of --layers")
            dtype = _DTYPES[self.out_dtype or "fp32"]
            bin_size = self.bin_size or 1
            return Tokens(layer=numbers[0], strand=strand, bin_size=bin_size, dtype=dtype)
        if self.bin_size is not None or self.out_dtype is not None:
            raise UsageError("--bin and --out-dtype are for --pool token")
        return Pooled(
            poolings=_parse_poolings(names),
            layers=numbers,
            strand=strand,
            exclude_n=self.exclude_n,
            exclude_softmasked=self.exclude_softmasked,
        )


def check_layers(layers: Iterable[int], config: ModelConfig, *, model_name: str) -> None:
    """Raises UsageError for a layer that the model does not have."""
    for layer in layers:
        if not -1 <= layer <= config.n_layer:
            raise UsageError(f"--layers {layer}: {model_name} has 0 to {config.n_layer}, and -1")


def _parse_poolings(names: list[str]) -> tuple[Pooling, ...]:
    by_name: dict[str, Pooling] = {pooling: pooling for pooling in POOLINGS}
    if unknown := [name for name in names if name not in by_name]:
        raise UsageError(f"--pool {unknown[0]!r}: use token, or some of {', '.join(POOLINGS)}")
    return tuple(dict.fromkeys(by_name[name] for name in names))


def _parse_layers(text: str) -> tuple[int, ...]:
    try:
        return tuple(dict.fromkeys(int(number) for number in text.split(",")))
    except ValueError:
        raise UsageError(f"--layers {text!r}: use numbers such as -1 or 0,1,2") from None
