"""How labelled alleles are learned from: the options of `finetune --probe --embeddings`."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, ClassVar, Literal, get_args

from hyenadna_cli.core.config.flags import Flag, flag_of
from hyenadna_cli.errors import UsageError

Feature = Literal["embedding", "llr", "site", "jsd", "l2", "cos", "context"]
FEATURES: tuple[Feature, ...] = get_args(Feature)


def parse_features(text: str) -> tuple[Feature, ...]:
    """Features by commas, each once. Raises ValueError."""
    by_name: dict[str, Feature] = {name: name for name in FEATURES}
    names = [name.strip() for name in text.split(",")]
    if unknown := [name for name in names if name not in by_name]:
        raise ValueError(f"{unknown[0]!r} is none of {', '.join(FEATURES)}")
    return tuple(dict.fromkeys(by_name[name] for name in names))


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelledAlleleSettings:
    """Which column of an embedding file labels its alleles, and what is learned from."""

    HEADING: ClassVar[str] = "Alleles (with --probe --embeddings --label-column)"

    groups: Annotated[
        str | None,
        Flag(
            "--groups",
            "Learn scores of alleles (`embed --vcf`) for score-variants: the column whose values "
            "never stand in two splits, chrom or that of a gene.",
            metavar="COLUMN",
        ),
    ] = None
    positive: Annotated[
        str, Flag("--positive", "Labels by commas that are one class.", metavar="LABEL,...")
    ] = ""
    negative: Annotated[
        str, Flag("--negative", "Labels by commas that are the other.", metavar="LABEL,...")
    ] = ""
    features: Annotated[
        tuple[Feature, ...],
        Flag(
            "--features",
            f"What is learned from: {', '.join(FEATURES)} (trinucleotide, GC, length).",
            metavar="NAME,...",
            parse=parse_features,
        ),
    ] = ("embedding",)
    cross_validate: Annotated[
        bool,
        Flag(
            "--cross-validate",
            "Judge every fifth of the groups once, by a classifier that has not seen it.",
        ),
    ] = False
    genes: Annotated[
        Path | None,
        Flag(
            "--genes",
            "Transcripts (GTF): results within region classes, and a baseline of position alone.",
            metavar="FILE",
        ),
    ] = None

    label_column: str | None = None
    """The column with the labels; an option of all probes of stored vectors."""

    def __post_init__(self) -> None:
        if bool(self.positive) != bool(self.negative):
            raise UsageError("--positive and --negative go together")
        if both := sorted(set(self.positives) & set(self.negatives)):
            raise UsageError(f"{both[0]} is both --positive and --negative")
        if self.groups is None:
            for of in fields(self):
                if getattr(self, of.name) != of.default:
                    raise UsageError(f"{flag_of(type(self), of.name)} goes with --groups")

    @property
    def positives(self) -> tuple[str, ...]:
        """The labels of one class; empty: every label is a class."""
        return tuple(label for label in self.positive.split(",") if label)

    @property
    def negatives(self) -> tuple[str, ...]:
        """The labels of the other."""
        return tuple(label for label in self.negative.split(",") if label)
