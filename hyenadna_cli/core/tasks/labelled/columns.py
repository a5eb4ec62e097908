"""Label texts to targets: which task a file means, the names of its labels, one number for each.

| label columns of the training rows | task |
|---|---|
| one, of class names or of at most 50 different whole numbers | binary or multiclass |
| one, with a `;` in it, or lists such as `['a', 'b']` | multilabel; `-` and `[]` name no label |
| one, in most rows a letter for each base, or `exon:30,intron:120` | token; `.` is unlabelled |
| one, of other numbers, some of them fractions | regression; a text among them is an error |
| several, all 0 and 1 (or true and false) | multilabel |
| several, of other numbers | regression |

An empty label, NA, NaN or null is an error, never a class; so are as many names as rows, lists of
numbers, and numbers with a decimal comma.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from hyenadna_cli.core.io.labelled_cells import listed
from hyenadna_cli.core.io.labelled_tables import CONTROL, LabelRow
from hyenadna_cli.core.tasks.labelled.rows import Task
from hyenadna_cli.errors import InputFileError

log = logging.getLogger(__name__)

_MISSING = {"", "na", "nan", "null", "n/a"}
_NO_LABEL = "-"
_UNLABELLED = "."
_N_WHOLE_NUMBERS_AS_CLASSES = 50
_FEWEST_BASES_OF_LETTERS = 12
"""A class name as long as its sequence is not an accident from here on."""
_MANY_ROWS = 10
"""From this number of rows on, a class for each is a name that was taken for a class."""
_MOST_CLASSES_OF_BASES = 127
_WHOLE_AS_DECIMAL = re.compile(r"-?\d+\.0+", re.ASCII)
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+", re.ASCII)
_RUNS = re.compile(r"[^:,;]+:\d{1,12}(,[^:,;]+:\d{1,12})*", re.ASCII)
_QUOTED = r"""'[^'\\]*'|"[^"\\]*\""""
_LIST_OF_TEXTS = re.compile(rf"\[\s*(?:(?:{_QUOTED})\s*(?:,\s*(?:{_QUOTED})\s*)*,?\s*)?\]")
_LIST = re.compile(r"""\[[\s\d]*\]|\[.*[,'"].*\]|\{.*[,'":].*\}|\(\s*['"].*\)""", re.DOTALL)
_FLAGS = {"0": 0.0, "1": 1.0, "0.0": 0.0, "1.0": 1.0, "false": 0.0, "true": 1.0}


@dataclass(slots=True)
class LabelTexts:
    """The labels of the rows of one split as they come in, kept small.

    Where the label columns are several, a row is an array of numbers at once; else it is a text.
    """

    texts: list[str] = field(default_factory=list)
    numbers: list[NDArray[np.float32] | NDArray[np.uint8]] = field(default_factory=list)
    _known: dict[str, str] = field(default_factory=dict)

    def add(self, row: LabelRow, *, n_columns: int) -> None:
        """Take the labels of a row. Raises InputFileError for a label that is missing."""
        if isinstance(row.labels, np.ndarray):
            self.numbers.append(row.labels)
        elif not row.labels:
            raise row.error("has no label")
        elif n_columns == 1:
            self.texts.append(self._checked(row, row.labels[0]))
        else:
            self.numbers.append(_numbers_of(row.labels, (row.path, row.line)))

    def _checked(self, row: LabelRow, text: str) -> str:
        # Few different texts for many rows: each is looked at and kept once.
        if (known := self._known.get(text)) is not None:
            return known
        if text.lower() in _MISSING:
            raise row.error(f"the label is missing ({text!r})")
        if CONTROL.search(text):
            raise row.error(f"the label {text!r} has a tab or a line break in it")
        checked: str | None = text
        if _LIST.fullmatch(text):
            quoted = [name[1:-1].strip() for name in re.findall(_QUOTED, text)]
            checked = listed(quoted) if _LIST_OF_TEXTS.fullmatch(text) else None
        if checked is None:
            raise row.error(
                f"the label {text[:40]!r} is a list; write several labels as a;b (none: -), and "
                "numbers in a column y_... each"
            )
        return self._known.setdefault(text, checked) if len(text) < 100 else checked


@dataclass(frozen=True, kw_only=True, slots=True)
class Labelling:
    """How label texts become targets."""

    task: Task
    label_names: tuple[str, ...]


def infer(
    train: LabelTexts,
    *,
    lengths: Sequence[int],
    label_columns: Sequence[str],
    task: Task | None,
    path: str,
) -> Labelling:
    """The task and label names of training rows; `task` overrules what they look like.

    `lengths` are bases of each row, `path` is the file to name. Raises InputFileError if the labels
    do not fit the task, could be of two tasks, or are the same in all rows.
    """
    if train.numbers:
        is_flags = all(row.dtype == np.uint8 for row in train.numbers)
        kind: Task = task or ("multilabel" if is_flags else "regression")
        if kind not in ("multilabel", "regression"):
            raise InputFileError(path, f"has {len(label_columns)} label columns; {kind} needs one")
        if kind == "multilabel" and not is_flags:
            raise InputFileError(path, "multilabel targets must be 0 or 1")
        return Labelling(task=kind, label_names=tuple(label_columns))
    try:
        kind = task or _task_of(train.texts, lengths)
    except ValueError as error:
        raise InputFileError(path, str(error)) from None
    if task is None and kind == "regression" and _are_whole(train.texts):
        log.warning(
            "%s: the labels are %s different whole numbers, taken for amounts (regression); if "
            "they are classes, give --task multiclass",
            path,
            f"{len(set(train.texts)):,}",
        )
    if kind == "regression":
        return Labelling(task=kind, label_names=tuple(label_columns))
    names = _label_names(kind, train.texts)
    if task is None and kind == "multiclass" and len(names) == len(train.texts) >= _MANY_ROWS:
        raise InputFileError(
            path, f"every row has a label of its own ({_some(names)}): is that its class?"
        )
    if kind == "token" and len(names) > _MOST_CLASSES_OF_BASES:
        raise InputFileError(path, f"has {len(names)} classes of bases; token takes 127")
    if len(names) < (1 if kind == "multilabel" else 2):
        raise InputFileError(
            path, f"every training row has the label {next(iter(names), '-')!r}; needs two or more"
        )
    if kind == "binary" and len(names) > 2:
        raise InputFileError(path, f"has {len(names)} classes; binary needs two")
    if kind == "multiclass" and len(names) == 2 and task is None:
        kind = "binary"
    return Labelling(task=kind, label_names=names)


def _task_of(texts: Sequence[str], lengths: Sequence[int]) -> Task:
    """Raises ValueError for texts that could be of two tasks, naming what decides."""
    # Most rows, not all: a label string that is a letter short must be named, not become a class.
    n_tokens = sum(
        len(text) == n >= _FEWEST_BASES_OF_LETTERS or _n_labelled(text) == n
        for text, n in zip(texts, lengths, strict=True)
    )
    if 2 * n_tokens > len(texts):
        return "token"
    runs = [text for text in texts if "," in text and _RUNS.fullmatch(text)]
    if 2 * len(runs) > len(texts):
        raise ValueError(
            f"labels such as {runs[0][:40]!r} are runs of bases that do not add up to their "
            "sequences (--task token says where), or class names (--task multiclass), or several "
            "labels, which are written a;b"
        )
    distinct = set(texts)
    if any(";" in text for text in distinct):
        return "multilabel"
    numbers = [_number(text) for text in distinct]
    known = [number for number in numbers if number is not None]
    commas = [text for text in distinct if _DECIMAL_COMMA.fullmatch(text)]
    if commas and len(commas) + len(known) == len(distinct):
        raise ValueError(
            f"labels such as {min(commas)!r} are numbers with a comma; write them with a decimal "
            "point, or give --task multiclass if they are names of classes"
        )
    if any(number != int(number) for number in known):
        return "regression"
    if len(known) < len(numbers):
        return "multiclass"
    return "multiclass" if len(known) <= _N_WHOLE_NUMBERS_AS_CLASSES else "regression"


def _are_whole(texts: Iterable[str]) -> bool:
    numbers = map(_number, set(texts))
    return all(number is not None and number == int(number) for number in numbers)


def _label_names(task: Task, texts: Sequence[str]) -> tuple[str, ...]:
    distinct = set(texts)
    if task == "token":
        names = {name for text in distinct for name, _ in _runs(text)} - {_UNLABELLED}
    elif task == "multilabel":
        names = {name for text in distinct for name in _listed(text)}
    else:
        names = {_class_name(text) for text in distinct}
    if all(name.removeprefix("-").isdigit() and name.isascii() for name in names):
        return tuple(sorted(names, key=int))
    return tuple(sorted(names))


def targets_of(
    labels: LabelTexts,
    labelling: Labelling,
    *,
    lengths: Sequence[int],
    places: Sequence[tuple[str, int]],
) -> NDArray[np.generic] | list[NDArray[np.int8]]:
    """Targets as `LabelledRows` holds them; `places` are path and line of each row, for errors.

    Raises InputFileError naming the row: a label that training has not, a number that is none, a
    label string of another length than its sequence.
    """
    if labels.numbers:
        dtype = np.uint8 if labelling.task == "multilabel" else np.float32
        if labelling.task == "multilabel":
            for row, place in zip(labels.numbers, places, strict=True):
                if row.dtype != np.uint8:
                    raise _error(place, "multilabel targets must be 0 or 1")
        return np.stack(labels.numbers).astype(dtype)
    index_of = {name: index for index, name in enumerate(labelling.label_names)}
    if labelling.task == "regression":
        return np.array(
            [_finite(text, place) for text, place in zip(labels.texts, places, strict=True)],
            dtype=np.float32,
        )
    if labelling.task == "multilabel":
        flags = np.zeros((len(labels.texts), len(index_of)), dtype=np.uint8)
        for row_flags, text, place in zip(flags, labels.texts, places, strict=True):
            for name in _listed(text):
                row_flags[_index(index_of, name, place)] = 1
        return flags
    if labelling.task == "token":
        return [
            _token_target(text, index_of, n, place)
            for text, n, place in zip(labels.texts, lengths, places, strict=True)
        ]
    return np.array(
        [
            _index(index_of, _class_name(text), place)
            for text, place in zip(labels.texts, places, strict=True)
        ],
        dtype=np.int64,
    )


def _numbers_of(
    texts: Sequence[str], place: tuple[str, int]
) -> NDArray[np.float32] | NDArray[np.uint8]:
    flags = [_FLAGS.get(text.lower()) for text in texts]
    if None not in flags:
        return np.array(flags, dtype=np.uint8)
    values = [_finite(text, place) for text in texts]
    return np.array(values, dtype=np.float32)


def _finite(text: str, place: tuple[str, int]) -> float:
    value = _number(text)
    if value is None:
        problem = "missing" if text.lower() in _MISSING else "not a number"
        if _DECIMAL_COMMA.fullmatch(text):
            problem += "; write it with a decimal point"
        raise _error(place, f"the target {text!r} is {problem}")
    return value


def _number(text: str) -> float | None:
    """None for anything but a finite number; "1_000" is none."""
    if "_" in text:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _class_name(text: str) -> str:
    """`1` for `1.0`: tables that once had gaps write their classes so."""
    return text.split(".")[0] if _WHOLE_AS_DECIMAL.fullmatch(text) else text


def _listed(text: str) -> list[str]:
    return [] if text == _NO_LABEL else [name.strip() for name in text.split(";") if name.strip()]


def _runs(text: str) -> Iterable[tuple[str, int]]:
    if _RUNS.fullmatch(text):
        pairs = (part.rsplit(":", 1) for part in text.split(","))
        return [(name, int(count)) for name, count in pairs]
    return zip(text, repeat(1))


def _n_labelled(text: str) -> int | None:
    """Bases that runs name together; None for a text that is none of runs."""
    return sum(count for _, count in _runs(text)) if _RUNS.fullmatch(text) else None


def _token_target(
    text: str, index_of: dict[str, int], n_bases: int, place: tuple[str, int]
) -> NDArray[np.int8]:
    runs = list(_runs(text))
    n_labelled = sum(count for _, count in runs)
    if n_labelled != n_bases:
        raise _error(place, f"has labels for {n_labelled:,} bases; its sequence has {n_bases:,}")
    indices = [-1 if n == _UNLABELLED else _index(index_of, n, place) for n, _ in runs]
    return np.repeat(np.array(indices, dtype=np.int8), [count for _, count in runs])


def _index(index_of: dict[str, int], name: str, place: tuple[str, int]) -> int:
    index = index_of.get(name)
    if index is None:
        raise _error(place, f"the label {name!r} is not one of training ({_some(index_of)})")
    return index


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:6]) + (f" and {len(listed) - 6:,} more" if len(listed) > 6 else "")


def _error(place: tuple[str, int], problem: str) -> InputFileError:
    return InputFileError(place[0], problem, line=place[1])
