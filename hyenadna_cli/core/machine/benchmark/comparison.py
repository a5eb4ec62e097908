"""A guard against regressions: what is slower here than in a table that was kept.

Seconds do not carry from one machine to another. Two figures do better, as both sides of each are
measured in one run: how many times faster than the plain formulation, and the share of the floor.
Either moves alone where a machine's products, its copies and its pages slow down unequally, such as
a virtual one with busy neighbours; a slower program lowers both.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hyenadna_cli.core.machine.benchmark.report import COLUMNS, Cell
from hyenadna_cli.errors import InputFileError

_CASE = ("dtype", "pass", "n_layer", "d_model", "length", "batch")
_JUDGED = ("times_faster_than_plain", "share_of_floor")

Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """One figure of one case, before and now."""

    case: Key
    """The values of dtype, pass, n_layer, d_model, length and batch."""
    figure: str
    before: float
    now: float

    @property
    def loss(self) -> float:
        """The share of the earlier figure that is gone; negative for a gain."""
        return 1 - self.now / self.before

    def describe(self) -> str:
        """In words."""
        dtype, kind, n_layer, d_model, length, batch = self.case
        what = self.figure.replace("_", " ")
        return (
            f"{n_layer}x{d_model}, {int(length):,} x {batch}, {kind}, {dtype}: {what} "
            f"{self.now:.3g}, was {self.before:.3g} ({-self.loss:+.0%})"
        )


class KeptTable:
    """A table that an earlier `hyenadna benchmark` wrote."""

    def __init__(self, path: Path) -> None:
        """Raises InputFileError if it is no such table."""
        try:
            with path.open(newline="", encoding="utf-8") as file:
                reader = csv.DictReader(file, delimiter="\t")
                missing = [c for c in COLUMNS if c not in (reader.fieldnames or ())]
                if missing:
                    raise InputFileError(
                        path, f"no table of `hyenadna benchmark`: it has no column {missing[0]}"
                    )
                self._figures = {
                    (case, figure): value
                    for row in reader
                    if _is_ours(row)
                    for case in [tuple(row[name] for name in _CASE)]
                    for figure in _JUDGED
                    if (value := _number(row[figure])) is not None
                }
        except FileNotFoundError:
            raise InputFileError(path, "no such file") from None
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise InputFileError(path, f"cannot be read ({error})") from error
        self._path = path

    def changes(self, cells: Iterable[Sequence[Cell]]) -> list[Change]:
        """What became of each figure that is in both tables; `cells` as `report.table` gives them.

        Of several kernels in one table the last counts. Raises InputFileError if no case is common.
        """
        found = {}
        for values in cells:
            row = {
                name: "" if value is None else str(value)
                for name, value in zip(COLUMNS, values, strict=True)
            }
            case = tuple(row[name] for name in _CASE)
            for figure in _JUDGED if _is_ours(row) else ():
                before, now = self._figures.get((case, figure)), _number(row[figure])
                if before is not None and now is not None:
                    found[case, figure] = Change(case, figure, before, now)
        if not found:
            raise InputFileError(self._path, "has none of the cases that were measured now")
        return list(found.values())


def fallen(changes: Iterable[Change], max_loss: float) -> list[Key]:
    """The cases of which every figure has lost more than this share."""
    losses: dict[Key, list[float]] = {}
    for change in changes:
        losses.setdefault(change.case, []).append(change.loss)
    return [case for case, of_case in losses.items() if min(of_case) > max_loss]


def _is_ours(row: Mapping[str, str]) -> bool:
    return row["implementation"] == "hyenadna" and row["status"] == "OK"


def _number(text: str) -> float | None:
    """A figure that can be compared: finite and above zero."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None
