"""How alleles are read and scored: the options of commands, and the ScoreSettings they come to."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, cast, get_args

from hyenadna_cli.core.config.choices import MAX_N_RUN, AlleleVector, Score
from hyenadna_cli.core.config.flags import SEED, Flag, in_bases
from hyenadna_cli.errors import UsageError

if TYPE_CHECKING:
    # For types only: commands import this module at their top, which must stay quick.
    from hyenadna_cli.core.inference.batching import BatchLimits
    from hyenadna_cli.core.inference.chosen_model import ChosenModel
    from hyenadna_cli.core.variants.alleles import Layout
    from hyenadna_cli.core.variants.chunks import ScoreSettings
    from hyenadna_cli.core.variants.vectors import VectorChoice

log = logging.getLogger(__name__)

_SCORES = get_args(Score)

_UPSTREAM = in_bases("--upstream", "Bases to read before the variant; default: half the window.")
_DOWNSTREAM = in_bases("--downstream", "Bases to read from the variant on; the fewer, the faster.")
_LayoutOption = Annotated[
    Literal["centred", "grid"],
    Flag(
        "--layout",
        "centred: a window for each site; grid: fixed windows shared by all sites.",
    ),
]


@dataclass(frozen=True, kw_only=True, slots=True)
class AlleleSettings:
    """The windows that alleles are read in, and what is made of their probabilities."""

    HEADING: ClassVar[str] = "Scoring"

    window: Annotated[
        int | None,
        in_bases(
            "--window",
            "Bases to read around a variant; default: 1,024 for builtin and tiny-1k, else 8,192.",
        ),
    ] = None
    layout: _LayoutOption = "centred"
    min_context: Annotated[
        int | None,
        in_bases(
            "--min-context",
            "With --layout grid: least bases on both sides of a variant; default: window / 8.",
        ),
    ] = None
    upstream: int | None = None
    """Bases in front of each variant in reading direction; an option of score-variants alone."""
    downstream: int | None = None
    """Bases from each variant's first one on."""
    strand: Annotated[
        Literal["both", "+", "-"], Flag("--strand", "Strands read; both: their mean.")
    ] = "both"
    vocab: Annotated[
        Literal["acgt", "full"],
        Flag("--vocab", "acgt: probabilities of the four bases only, renormalised."),
    ] = "acgt"
    max_n_fraction: Annotated[
        float,
        Flag(
            "--max-n-frac",
            "Skip windows with a larger fraction of N (status N_WINDOW).",
            at_least=0,
            at_most=1,
        ),
    ] = 0.5
    max_n_run: Annotated[
        int,
        Flag(
            "--max-n-run",
            "Let windows end at longer runs of N, as at contig ends (status OK_EDGE).",
            metavar="BASES",
            at_least=0,
        ),
    ] = MAX_N_RUN

    def __post_init__(self) -> None:
        is_shifted = self.upstream is not None or self.downstream is not None
        if self.layout == "grid" and is_shifted:
            raise UsageError("--upstream and --downstream are about --layout centred")
        if self.layout == "centred" and self.min_context is not None:
            raise UsageError("--min-context is about --layout grid")
        if self.upstream is not None and self.downstream is not None and self.window is not None:
            raise UsageError("give two of --window, --upstream and --downstream at most")

    def settings(
        self, model: ChosenModel, scores: tuple[Score, ...], vectors: VectorChoice | None = None
    ) -> ScoreSettings:
        """What to score and how. Raises UsageError, or CheckpointError for too long a window."""
        import torch

        from hyenadna_cli.core.variants.chunks import ScoreSettings

        if model.run.dtype == torch.bfloat16:
            log.warning(
                "--dtype bf16: scores are small differences of large sums, and it rounds HD_LLR by "
                "hundredths of a nat; fp32 is the default"
            )
        return ScoreSettings(
            layout=self._layout(model),
            scores=scores,
            vectors=vectors,
            strands=("+", "-") if self.strand == "both" else (self.strand,),
            full_vocabulary=self.vocab == "full",
            max_n_fraction=self.max_n_fraction,
            max_n_run=self.max_n_run,
        )

    def _layout(self, model: ChosenModel) -> Layout:
        from hyenadna_cli.core.model.checkpoints.catalogue import scoring_window
        from hyenadna_cli.core.variants.alleles import Centred, Grid

        window = self.window or scoring_window(model.source.name, l_max=model.config.l_max)
        if self.upstream is not None and self.downstream is not None:
            window = self.upstream + self.downstream
        model.tiling(window=window, stride=None)
        try:
            if self.layout == "grid":
                context = window // 8 if self.min_context is None else self.min_context
                return Grid(window=window, min_context=context)
            upstream = window // 2 if self.upstream is None else self.upstream
            if self.upstream is None and self.downstream is not None:
                upstream = window - self.downstream
            return Centred(upstream=upstream, downstream=window - upstream)
        except ValueError as error:
            raise UsageError(f"{error}; see --window, --upstream, --min-context") from error


@dataclass(frozen=True, kw_only=True, slots=True)
class BackgroundSettings(AlleleSettings):
    """How many random SNVs are drawn, and what is stored of them."""

    scores: Annotated[
        str,
        Flag("--scores", "Scores to write, by commas: llr, site, jsd, l2, cos.", metavar="LIST"),
    ] = "llr,site"
    upstream: Annotated[int | None, _UPSTREAM] = None
    downstream: Annotated[int | None, _DOWNSTREAM] = None
    per_change: Annotated[
        int, Flag("--per-change", "SNVs of each of 96 trinucleotide changes.", at_least=1)
    ] = 200
    seed: Annotated[int, SEED] = 0

    def score_names(self) -> tuple[Score, ...]:
        """`--scores`, each once. Raises UsageError for others."""
        return _parse_scores(self.scores)


@dataclass(frozen=True, kw_only=True, slots=True)
class VariantSettings(AlleleSettings):
    """What is written of each allele of a VCF, and which alleles have scores."""

    scores: Annotated[
        str,
        Flag("--scores", "Scores to write, by commas: llr, site, jsd, l2, cos.", metavar="LIST"),
    ] = "llr,site"
    upstream: Annotated[int | None, _UPSTREAM] = None
    downstream: Annotated[int | None, _DOWNSTREAM] = None
    per_strand: Annotated[bool, Flag("--per-strand", "Also write HD_LLR of each strand.")] = False
    check_ref: Annotated[
        Literal["e", "w", "x"],
        Flag(
            "-c, --check-ref",
            "If REF differs from the FASTA: e exit, w mark and keep, x leave out.",
        ),
    ] = "w"
    max_allele_length: Annotated[
        int, in_bases("--max-allele-len", "Longer REF or ALT get the status TOO_LONG.")
    ] = 1_000

    def score_names(self) -> tuple[Score, ...]:
        """`--scores`, each once. Raises UsageError for others, and for --per-strand without llr."""
        names = _parse_scores(self.scores)
        if self.per_strand and "llr" not in names:
            raise UsageError("--per-strand is about llr; add it to --scores")
        return names


@dataclass(frozen=True, kw_only=True, slots=True)
class AlleleVectorSettings(VariantSettings):
    """Which alleles of a VCF get a vector, which one, and what stands beside it."""

    HEADING: ClassVar[str] = "Alleles (with --vcf)"

    scores: Annotated[
        str,
        Flag(
            "--scores",
            "Scores to add as columns, by commas: llr, site, jsd, l2, cos.",
            metavar="LIST",
        ),
    ] = ""
    allele: Annotated[
        AlleleVector,
        Flag(
            "--allele",
            "diff: ALT - REF; diff-at-variant: of both from where they first differ; alt; ref.",
        ),
    ] = "diff"
    info: Annotated[
        str, Flag("--info", "INFO keys that become columns, such as labels.", metavar="KEY,...")
    ] = ""

    def score_names(self) -> tuple[Score, ...]:
        """`--scores`, each once; here there may be none. Raises UsageError for others."""
        return _parse_scores(self.scores) if self.scores else ()

    @property
    def info_keys(self) -> list[str]:
        """`--info`, each once."""
        return list(dict.fromkeys(key for key in self.info.split(",") if key))


@dataclass(frozen=True, kw_only=True, slots=True)
class SnvSettings(AlleleSettings):
    """Every SNV, on the grid unless each base is to have a window of its own."""

    layout: _LayoutOption = "grid"
    full: Annotated[
        bool, Flag("--full", "Also write the likelihood ratio llr, with one pass per SNV.")
    ] = False


def plan_of(settings: ScoreSettings, model: ChosenModel, limits: BatchLimits) -> dict[str, int]:
    """Window and estimated memory of the device at its largest, for `--dry-run`."""
    from hyenadna_cli.core.variants.pass_plan import plan_passes

    n_bytes = plan_passes(settings, model.config, limits).peak_bytes
    return {"window": settings.layout.window, "peak_memory_mb": -(-n_bytes // 1_000_000)}


def _parse_scores(text: str) -> tuple[Score, ...]:
    names = list(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in _SCORES:
            raise UsageError(f"--scores {text}: {name!r} is none of {', '.join(_SCORES)}")
    return tuple(cast("Score", name) for name in names)
