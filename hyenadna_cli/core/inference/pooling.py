"""What to keep of the hidden states of a record: vectors pooled over its bases, or its rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    # For types only: commands import this module at their top, which must stay quick.
    from hyenadna_cli.core.io.records import StrandChoice
    from hyenadna_cli.core.outputs.provenance import Setting

Pooling = Literal["mean", "max", "last", "first", "center"]
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)


@dataclass(frozen=True, kw_only=True, slots=True)
class Pooled:
    """One vector a record for every pooling and layer, as `embedding` explains them."""

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
    """One row a base, or a bin of bases, in the order of the plus strand."""

    layer: int = -1
    strand: StrandChoice = "+"
    bin_size: int = 1
    """Bases averaged into a row, counted from the record's first base on the plus strand."""
    dtype: Literal["float32", "float16"] = "float32"
    """Of the stored rows."""

    def n_rows(self, n_bases: int) -> int:
        """Rows of a record; the last may be the mean of fewer bases."""
        return -(-n_bases // self.bin_size)

    def settings(self) -> dict[str, Setting]:
        """For provenance."""
        return {
            "pooling": ["token"],
            "layer": [self.layer],
            "strand": self.strand,
            "bin": self.bin_size,
            "out_dtype": self.dtype,
        }
