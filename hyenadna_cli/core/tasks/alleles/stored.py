"""From what an embedding file or a classifier says of its windows to the settings of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from hyenadna_cli.core.config.choices import AlleleVector, Score
from hyenadna_cli.core.config.flags import flag_of
from hyenadna_cli.core.dna.coordinates import Strand
from hyenadna_cli.core.inference.pooling import Pooled, Pooling
from hyenadna_cli.core.variants.alleles import Centred, Grid, Layout
from hyenadna_cli.core.variants.chunks import SCORES, ScoreSettings
from hyenadna_cli.core.variants.settings import VariantSettings
from hyenadna_cli.core.variants.vectors import VectorChoice
from hyenadna_cli.errors import UsageError

SETTINGS = (
    "window",
    "layout",
    "upstream",
    "downstream",
    "min_context",
    "strands",
    "vocab",
    "max_n_frac",
    "max_n_run",
    "allele",
    "pooling",
    "layer",
    "exclude",
    "dtype",
)
"""What of a run's settings shapes vectors and scores."""


def score_settings(
    stored: Mapping[str, Any], *, scores: Sequence[Score], features: Sequence[str]
) -> ScoreSettings:
    """The settings that give the features of a classifier, and `scores` besides."""
    wanted = [name for name in SCORES if name in (*scores, *features)]
    strands = cast("tuple[Strand, ...]", tuple(str(stored["strands"]).split(",")))
    vectors = None
    if "embedding" in features:
        pooled = Pooled(
            poolings=cast("tuple[Pooling, ...]", tuple(str(stored["pooling"]).split(","))),
            layers=tuple(int(layer) for layer in str(stored["layer"]).split(",")),
            exclude_n="n" in str(stored.get("exclude", "")).split(","),
        )
        vectors = VectorChoice(pooled, cast("AlleleVector", stored["allele"]))
    return ScoreSettings(
        layout=_layout(stored),
        scores=tuple(wanted),
        vectors=vectors,
        strands=strands,
        full_vocabulary=stored["vocab"] == "full",
        max_n_fraction=float(stored["max_n_frac"]),
        max_n_run=int(stored["max_n_run"]),
    )


def check_options(given: VariantSettings, stored: Mapping[str, Any], *, model: str) -> None:
    """Raise UsageError for an option that is not what the classifier was fitted with."""
    fitted = {
        "window": int(stored["window"]),
        "layout": stored["layout"],
        "min_context": _number(stored.get("min_context")),
        "upstream": _number(stored.get("upstream")),
        "downstream": _number(stored.get("downstream")),
        "strand": "both" if "," in str(stored["strands"]) else stored["strands"],
        "vocab": stored["vocab"],
        "max_n_fraction": float(stored["max_n_frac"]),
        "max_n_run": int(stored["max_n_run"]),
    }
    defaults = VariantSettings()
    for name, value in fitted.items():
        asked = getattr(given, name)
        if asked not in (getattr(defaults, name), value):
            option = flag_of(VariantSettings, name)
            raise UsageError(
                f"{option} {asked}: the classifier in {model} was fitted with {value}; leave the "
                "option away"
            )


def _number(text: Any) -> int | None:
    return None if text is None else int(text)


def _layout(stored: Mapping[str, Any]) -> Layout:
    if stored["layout"] == "grid":
        return Grid(window=int(stored["window"]), min_context=int(stored["min_context"]))
    return Centred(upstream=int(stored["upstream"]), downstream=int(stored["downstream"]))
