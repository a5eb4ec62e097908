"""What to sample: how each base is drawn, and the prompts that come before."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Self

from hyenadna_cli.core.config.checks import check_types
from hyenadna_cli.core.config.flags import Flag, in_bases
from hyenadna_cli.errors import UsageError

if TYPE_CHECKING:
    # For types only: commands import this module at their top, which must stay quick.
    from hyenadna_cli.core.dna.sequence import LetterCounts


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """How the next base is drawn from the model's probabilities."""

    HEADING: ClassVar[str] = "Sampling"

    temperature: Annotated[
        float, Flag(name="--temperature", help="Divides the logits; 0: the most likely base.")
    ] = 1.0
    top_k: Annotated[
        int | None, Flag(name="--top-k", help="Draw from the k most likely bases only.")
    ] = None
    top_p: Annotated[
        float,
        Flag(
            name="--top-p",
            help="Draw from the most likely bases that reach this probability together.",
        ),
    ] = 1.0
    seed: Annotated[int, Flag(name="--seed", help="Random seed.", at_least=0)] = 0
    """Below 2**64."""
    allow_n: Annotated[
        bool, Flag(name="--allow-n", help="Let N be drawn; without it only A, C, G and T.")
    ] = False

    def __post_init__(self) -> None:
        check_types(self)
        if not (self.temperature >= 0 and math.isfinite(self.temperature)):
            raise ValueError(f"temperature must be 0 or more, got {self.temperature}")
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top-k must be at least 1, got {self.top_k}")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top-p must be above 0 and at most 1, got {self.top_p}")
        if not 0 <= self.seed < 2**64:
            raise ValueError(f"the seed must be at least 0 and below 2**64, got {self.seed}")

    @property
    def token_ids(self) -> tuple[int, ...]:
        """What may be sampled; special tokens and padding never are."""
        from hyenadna_cli.core.dna import tokenizer

        return (*tokenizer.BASES, tokenizer.N) if self.allow_n else tokenizer.BASES


@dataclass(frozen=True, slots=True)
class Prompts:
    """What sequences start with, upper case, under the names that theirs begin with."""

    names: list[str]
    sequences: list[str]
    letters: LetterCounts
    """Letters replaced in them."""

    @classmethod
    def read(cls, fasta: str) -> Self:
        """One prompt per record. Raises InputFileError."""
        from hyenadna_cli.core.io.records import RecordSource

        with RecordSource(fasta) as source:
            records = list(source.read())
            return cls([r.name for r in records], [r.sequence[:] for r in records], source.letters)

    @classmethod
    def of(cls, text: str) -> Self:
        """The one prompt that was spelt out, or none at all. Raises UsageError."""
        from hyenadna_cli.core.dna.sequence import LetterCounts, LetterError, clean

        try:
            cleaned = clean(text)
        except LetterError as error:
            raise UsageError(f"--prompt: {error}") from error
        letters = LetterCounts()
        letters.add(cleaned)
        return cls(["generated"], [cleaned.sequence.upper()], letters)


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptSettings:
    """What is sampled, and what stands before it."""

    HEADING: ClassVar[str] = "Input"

    length: Annotated[
        int, in_bases("--length", "Bases to sample for each sequence, its prompt not counted.")
    ]
    sequences: Annotated[
        int, Flag("--sequences", "Sequences to sample from each prompt.", at_least=1)
    ] = 1
    prompt: Annotated[
        str | None, Flag("--prompt", "What the sequences start with.", metavar="ACGT")
    ] = None
    fasta: Annotated[
        str | None, Flag("--fasta", "Prompts, one per record (FASTA, FASTQ).", metavar="FILE|-")
    ] = None
    include_prompt: Annotated[
        bool, Flag("--include-prompt", "Write each prompt before what follows it.")
    ] = False

    def __post_init__(self) -> None:
        if self.prompt is not None and self.fasta is not None:
            raise UsageError("--prompt and --fasta exclude each other")

    def read(self) -> Prompts:
        """The prompts. Raises UsageError and InputFileError."""
        return Prompts.read(self.fasta) if self.fasta is not None else Prompts.of(self.prompt or "")
