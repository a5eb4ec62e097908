"""What the calls give: rows in input order, and the same rows as a table.

`to_pandas` makes the table that the command of that name writes as TSV, number for number. pandas
and anndata are imported when they are asked for, and only then.
"""

from __future__ import annotations

import importlib
import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from hyenadna_cli.core.config.choices import Score
from hyenadna_cli.core.config.settings import HeadConfig
from hyenadna_cli.core.dna.coordinates import to_one_based
from hyenadna_cli.core.inference import perplexity as _perplexity
from hyenadna_cli.core.inference.generation import Generated
from hyenadna_cli.core.inference.perplexity import PerplexityRow
from hyenadna_cli.core.io.embeddings_h5 import OBS_COLUMNS, EmbeddingRow, obs_names, pooled_facts
from hyenadna_cli.core.io.embeddings_output import PLACE_COLUMNS
from hyenadna_cli.core.io.tsv import Cell
from hyenadna_cli.core.io.unique_names import UniqueNames
from hyenadna_cli.core.tasks import prediction_table
from hyenadna_cli.core.tasks.classification import Prediction
from hyenadna_cli.core.variants.alleles import Variant
from hyenadna_cli.core.variants.chunks import AlleleScore
from hyenadna_cli.core.variants.mutagenesis import SnvScores
from hyenadna_cli.core.variants.mutagenesis_output import SNV_COLUMNS, snv_rows

if TYPE_CHECKING:
    import anndata
    import pandas

Row = TypeVar("Row")


@dataclass(frozen=True, repr=False)
class Result(Sequence[Row]):
    """Rows in input order: a sequence, whose table is `to_pandas()`."""

    rows: list[Row]

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | Sequence[Row]:
        return self.rows[index]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self):,}; .to_pandas() makes a table>"

    def to_pandas(self) -> pandas.DataFrame:
        """The rows as a DataFrame. Raises ImportError, saying what to install, without pandas."""
        frame = _library("pandas", "to_pandas", "pandas").DataFrame
        return frame(list(self._cells()), columns=list(self._columns()))

    @abstractmethod
    def _columns(self) -> Sequence[str]: ...

    @abstractmethod
    def _cells(self) -> Iterator[Sequence[Cell]]: ...


@dataclass(frozen=True, repr=False)
class Embeddings(Result[EmbeddingRow]):
    """One row per sequence or region; `numpy.asarray` of it is `vectors`."""

    key: str
    """What `vectors` are, such as `mean_layer-1`."""
    d_model: int
    further: tuple[str, ...] = ()
    """Names of the columns of the BED after the 6th."""

    @property
    def vectors(self) -> NDArray[np.float32]:
        """All vectors: (n, d_model)."""
        found = [row.vectors[self.key] for row in self.rows]
        return np.stack(found) if found else np.empty((0, self.d_model), np.float32)

    def __array__(
        self, dtype: np.dtype[Any] | None = None, copy: bool | None = None
    ) -> NDArray[Any]:
        return self.vectors if dtype is None else self.vectors.astype(dtype)

    def to_anndata(self) -> anndata.AnnData:
        """An AnnData (n, d_model) as the command's .h5ad file holds it, without provenance.

        obs has the place of each row (0-based half-open), its length in bases and its status.
        Raises ImportError, saying what to install, without anndata.
        """
        module = _library("anndata", "to_anndata", "'hyenadna[anndata]'")
        names, given = UniqueNames(), [row.name for row in self.rows]
        unique = [names.unique(name) for name in given]
        columns = (*OBS_COLUMNS, *obs_names(self.further))
        cells = [(*(getattr(row, name) for name in OBS_COLUMNS), *row.columns) for row in self.rows]
        frame = _library("pandas", "to_anndata", "pandas").DataFrame
        facts = pooled_facts(self.key)
        repeated = [n for n, (a, b) in enumerate(zip(unique, given, strict=True)) if a != b]
        return module.AnnData(
            self.vectors,
            obs=frame(cells, columns=list(columns), index=unique),
            var=frame(index=[f"dim_{i}" for i in range(self.d_model)]),
            uns={"hyenadna": {**facts, "repeated": np.array(repeated, dtype=np.int64)}},
        )

    def _columns(self) -> Sequence[str]:
        numbers = [f"e{i}" for i in range(self.d_model)]
        taken = (*OBS_COLUMNS, *PLACE_COLUMNS, *numbers)
        return [*PLACE_COLUMNS, *obs_names(self.further, taken=taken), *numbers]

    def _cells(self) -> Iterator[Sequence[Cell]]:
        for row in self.rows:
            place = (getattr(row, name) for name in PLACE_COLUMNS)
            yield (*place, *row.columns, *row.vectors[self.key])


@dataclass(frozen=True, repr=False)
class VariantScores(Result[list[AlleleScore]]):
    """For each variant a list with the scores of its alleles; the table has one row per allele."""

    variants: list[Variant]
    ids: list[str]
    """Of the file; "." for variants that were given without one."""
    scores: tuple[Score, ...]

    def _columns(self) -> Sequence[str]:
        return ("chrom", "pos", "id", "ref", "alt", "status", *self.scores)

    def _cells(self) -> Iterator[Sequence[Cell]]:
        for variant, name, row in zip(self.variants, self.ids, self.rows, strict=True):
            place = (variant.contig or ".", to_one_based(variant.start), name, variant.ref)
            if not row:
                yield (*place, ".", "NO_ALT", *(math.nan for _ in self.scores))
            for alt, allele in zip(variant.alts, row, strict=True):
                values = (allele.values[score] for score in self.scores)
                yield (*place, alt, allele.status, *values)


@dataclass(frozen=True, repr=False)
class Mutagenesis(Result[SnvScores]):
    """For each piece of the region a table of its SNVs; `to_pandas` has one row per SNV."""

    scores: tuple[Score, ...]

    def _columns(self) -> Sequence[str]:
        return (*SNV_COLUMNS, *self.scores)

    def _cells(self) -> Iterator[Sequence[Cell]]:
        for piece in self.rows:
            yield from snv_rows(piece.interval.contig, piece)


@dataclass(frozen=True, repr=False)
class Perplexities(Result[PerplexityRow]):
    """One row per sequence or region."""

    def _columns(self) -> Sequence[str]:
        return _perplexity.COLUMNS

    def _cells(self) -> Iterator[Sequence[Cell]]:
        return (row.cells() for row in self.rows)


@dataclass(frozen=True, repr=False)
class Predictions(Result[Prediction]):
    """One row per sequence or region; of a token model the table has one per run of bases."""

    head: HeadConfig
    further: tuple[str, ...] = ()
    """Names of the columns of the BED after the 6th."""

    def _columns(self) -> Sequence[str]:
        return prediction_table.columns(self.head, self.further)

    def _cells(self) -> Iterator[Sequence[Cell]]:
        for row in self.rows:
            yield from prediction_table.rows(row, self.head)


@dataclass(frozen=True, repr=False)
class Samples(Result[Generated]):
    """One row per sampled sequence, those of a prompt one after the other."""

    prompts: list[str]

    @property
    def sequences(self) -> list[str]:
        """What was sampled, without the prompts."""
        return [row.sequence for row in self.rows]

    def _columns(self) -> Sequence[str]:
        return ("prompt", "number", "sequence")

    def _cells(self) -> Iterator[Sequence[Cell]]:
        return ((self.prompts[row.prompt], row.number, row.sequence) for row in self.rows)


def _library(name: str, call: str, install: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f"{call} needs {name}: pip install {install}") from error
