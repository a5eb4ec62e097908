"""Options about scoring alleles, shared by score-variants and mutagenize."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from hyenadna_cli.errors import UsageError

if TYPE_CHECKING:
    from hyenadna_cli.commands.options.model import ChosenModel
    from hyenadna_cli.core.outputs.provenance import Setting
    from hyenadna_cli.core.variants.alleles import Layout
    from hyenadna_cli.core.variants.chunks import Score, ScoreSettings

log = logging.getLogger(__name__)

AlleleStrand = Literal["both", "+", "-"]
LayoutName = Literal["centred", "grid"]
Vocabulary = Literal["acgt", "full"]

_SCORES = ("llr", "site", "jsd", "l2", "cos")
_LONGEST_DEFAULT = 32_768

ScoreOption = Annotated[
    str,
    typer.Option("--scores", metavar="LIST", help=f"By commas: {', '.join(_SCORES)}."),
]
VocabOption = Annotated[
    Vocabulary,
    typer.Option("--vocab", help="acgt: probabilities of the four bases only, renormalised."),
]


def parse_scores(text: str) -> tuple[Score, ...]:
    """`llr,site` as names, each once. Raises UsageError for others."""
    names = list(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in _SCORES:
            raise UsageError(f"--scores {text}: {name!r} is none of {', '.join(_SCORES)}")
    return tuple(cast("Score", name) for name in names)


@dataclass(frozen=True, slots=True)
class LayoutRequest:
    """The options about windows, as given; lengths in bases."""

    layout: LayoutName
    window: int | None
    upstream: int | None
    downstream: int | None
    min_context: int | None

    def __post_init__(self) -> None:
        is_shifted = self.upstream is not None or self.downstream is not None
        if self.layout == "grid" and is_shifted:
            raise UsageError("--upstream and --downstream are about --layout centred")
        if self.layout == "centred" and self.min_context is not None:
            raise UsageError("--min-context is about --layout grid")
        if self.upstream is not None and self.downstream is not None and self.window is not None:
            raise UsageError("give two of --window, --upstream and --downstream at most")

    def resolve(self, model: ChosenModel) -> Layout:
        """Windows that the model can read. Raises UsageError, or CheckpointError if too long."""
        from hyenadna_cli.core.variants.alleles import Centred, Grid

        window = self.window or min(model.config.l_max, _LONGEST_DEFAULT)
        if self.upstream is not None and self.downstream is not None:
            window = self.upstream + self.downstream
        model.tiling(window=window, stride=None)
        try:
            if self.layout == "grid":
                given = self.min_context
                return Grid(window=window, min_context=window // 8 if given is None else given)
            upstream = window // 2 if self.upstream is None else self.upstream
            if self.upstream is None and self.downstream is not None:
                upstream = window - self.downstream
            return Centred(upstream=upstream, downstream=window - upstream)
        except ValueError as error:
            raise UsageError(f"{error}; see --window, --upstream, --min-context") from error


def warn_of_rounding(model: ChosenModel) -> None:
    """Say what bfloat16 does to scores, which are small differences of large sums."""
    import torch

    if model.run.dtype == torch.bfloat16:
        log.warning(
            "--dtype bf16: scores are small differences of large sums, and it rounds HD_LLR by "
            "hundredths of a nat; fp32 is the default"
        )


def settings_of(settings: ScoreSettings) -> dict[str, Setting]:
    """What of this shapes the scores, for provenance."""
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
    }
