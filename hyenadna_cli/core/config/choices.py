"""The names of choices, once. Commands import them: nothing here loads a library."""

from __future__ import annotations

from typing import Literal, get_args

Split = Literal["train", "valid", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
ContigMap = Literal["exact", "auto"]

StrandChoice = Literal["bed", "+", "-", "both"]
"""Along which strand a record is read; `bed`: along that of its region."""

Specials = Literal["none", "sep", "cls-sep"]
"""Special tokens around a sequence."""

Dtype = Literal["fp32", "bf16"]
DtypeRequest = Literal["auto", Dtype]
"""Of the matrix products."""

Task = Literal["binary", "multiclass", "multilabel", "regression", "token"]
"""What is predicted of a sequence: one of two classes, of several, any of several labels, numbers,
or a class for each base."""

Score = Literal["llr", "site", "jsd", "l2", "cos"]
"""What is said of an allele; HD_LLR and so on in a VCF."""

AlleleVector = Literal["diff", "alt", "ref", "diff-at-variant"]
"""What an allele's vector is, as `core.variants.vectors` explains."""

MAX_N_RUN = 10
"""Bases; where windows of variants end unless asked otherwise: at longer runs of N."""

HeadPooling = Literal["mean", "last", "first", "max"]
HEAD_POOLINGS: tuple[HeadPooling, ...] = get_args(HeadPooling)
