"""How the passes over windows of variants fit into memory."""

from __future__ import annotations

from dataclasses import dataclass

from hyenadna_cli.core.config.settings import ModelConfig
from hyenadna_cli.core.inference.batching import BatchLimits
from hyenadna_cli.core.model.cost import forward_bytes
from hyenadna_cli.core.variants.chunks import ScoreSettings
from hyenadna_cli.core.variants.shared_prefix import kept_bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class PassPlan:
    """How REF and ALT passes are run, and what they need."""

    shares_prefix: bool
    """Whether ALT passes build on the REF pass; else, if there are any, they run whole windows."""
    ref_limits: BatchLimits
    alt_limits: BatchLimits
    kept_bytes: int
    """What a full batch of REF windows keeps for its ALT passes."""
    peak_bytes: int
    """Of the device at its largest, estimated; libraries and weights not included."""


def plan_passes(settings: ScoreSettings, config: ModelConfig, limits: BatchLimits) -> PassPlan:
    """Fit the states that REF passes keep into `settings.state_bytes`."""
    layout = settings.layout
    bytes_of_window = kept_bytes(config, n_positions=layout.window - layout.anchor, n_bytes=4)

    def forward(n_windows: int) -> int:
        n_layers = 1 if settings.vectors is None else 1 + len(settings.vectors.layers)
        return forward_bytes(
            config, n_windows=max(1, n_windows), n_tokens=layout.window, n_layers=n_layers
        )

    if not settings.needs_alt_pass or bytes_of_window > settings.state_bytes:
        n_windows = limits.max_windows or limits.max_tokens // layout.window
        return PassPlan(
            shares_prefix=False,
            ref_limits=limits,
            alt_limits=limits,
            kept_bytes=0,
            peak_bytes=forward(n_windows),
        )
    n_windows = settings.state_bytes // bytes_of_window
    by_tokens = max(1, min(limits.max_tokens // layout.window, n_windows))
    max_windows = None if limits.max_windows is None else min(limits.max_windows, n_windows)
    return PassPlan(
        shares_prefix=True,
        ref_limits=BatchLimits(max_tokens=by_tokens * layout.window, max_windows=max_windows),
        alt_limits=limits,
        kept_bytes=(max_windows or by_tokens) * bytes_of_window,
        peak_bytes=(max_windows or by_tokens) * bytes_of_window + forward(max_windows or by_tokens),
    )
