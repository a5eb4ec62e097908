"""Options about scoring alleles, shared by score-variants and mutagenize."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, cast, get_args

import typer

from hyenadna_cli.core.config.choices import MAX_N_RUN, Score
from hyenadna_cli.core.config.flags import in_bases
from hyenadna_cli.errors import UsageError

if TYPE_CHECKING:
    from hyenadna_cli.commands.options.model import BatchedCompute
    from hyenadna_cli.core.inference.chosen_model import ChosenModel
    from hyenadna_cli.core.outputs.provenance import Setting
    from hyenadna_cli.core.variants.alleles import Layout
    from hyenadna_cli.core.variants.chunks import ScoreSettings

log = logging.getLogger(__name__)

_SCORES = get_args(Score)

LayoutOption = Annotated[
    Literal["centred", "grid"],
    typer.Option(
        "--layout",
        help="centred: a window for each site; grid: fixed windows shared by all sites.",
    ),
]


def parse_scores(text: str) -> tuple[Score, ...]:
    """`llr,site` as names, each once. Raises UsageError for others."""
    names = list(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in _SCORES:
            raise UsageError(f"--scores {text}: {name!r} is none of {', '.join(_SCORES)}")
    return tuple(cast("Score", name) for name in names)


@dataclass(frozen=True, kw_only=True, slots=True)
class AlleleOptions:
    """The windows that alleles are read in, and what is made of their probabilities."""

    HEADING: ClassVar[str] = "Scoring"

    window: Annotated[
        int | None,
        in_bases(
            "--window",
            "Read around each variant; default: 1,024 for builtin, tiny-1k, else 8,192.",
        ),
    ] = None
    layout: LayoutOption = "centred"
    min_context: Annotated[
        int | None,
        in_bases(
            "--min-context",
            "With --layout grid: on both sides of every variant; default: window / 8.",
        ),
    ] = None
    upstream: int | None = None
    """Bases in front of each variant in reading direction; an option of score-variants alone."""
    downstream: int | None = None
    """Bases from each variant's first one on."""
    strand: Annotated[
        Literal["both", "+", "-"], typer.Option("--strand", help="Strands read; both: their mean.")
    ] = "both"
    vocab: Annotated[
        Literal["acgt", "full"],
        typer.Option("--vocab", help="acgt: probabilities of the four bases only, renormalised."),
    ] = "acgt"
    max_n_fraction: Annotated[
        float,
        typer.Option(
            "--max-n-frac", min=0, max=1, help="Skip windows with a larger fraction of N: N_WINDOW."
        ),
    ] = 0.5

    max_n_run: Annotated[
        int,
        typer.Option(
            "--max-n-run",
            min=0,
            metavar="BASES",
            help="Windows end at contig ends and at longer runs of N: OK_EDGE.",
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

    def settings(self, model: ChosenModel, scores: tuple[Score, ...]) -> ScoreSettings:
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


def describe(
    settings: ScoreSettings, compute: BatchedCompute, **more: Setting
) -> dict[str, Setting]:
    """What shapes the scores, for provenance; `more` of a command's own goes before the batch."""
    from hyenadna_cli.core.variants.alleles import Grid

    layout = settings.layout
    placed: dict[str, Setting] = (
        {"layout": "grid", "min_context": layout.min_context, "step": layout.step}
        if isinstance(layout, Grid)
        else {"layout": "centred", "upstream": layout.upstream, "downstream": layout.downstream}
    )
    return {
        "scores": list[str](settings.scores),
        "window": layout.window,
        **placed,
        "strands": list[str](settings.strands),
        "vocab": "full" if settings.full_vocabulary else "acgt",
        "max_n_frac": settings.max_n_fraction,
        "max_n_run": settings.max_n_run,
        **more,
        "batch_size": compute.n_windows or "auto",
    }


def plan(settings: ScoreSettings, model: ChosenModel, compute: BatchedCompute) -> dict[str, int]:
    """Window and estimated memory of the device at its largest, for `--dry-run`."""
    from hyenadna_cli.core.variants.scoring import plan_passes

    limits = compute.limits(model.run.device)
    n_bytes = plan_passes(settings, model.config, limits).peak_bytes
    return {"window": settings.layout.window, "peak_memory_mb": -(-n_bytes // 1_000_000)}
