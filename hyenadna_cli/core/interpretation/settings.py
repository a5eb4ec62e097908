"""Maps, tracks and curves as they are asked for: options of `mutagenize` and `perplexity`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from hyenadna_cli.core.config.flags import SEED, Flag, in_bases
from hyenadna_cli.core.config.texts import parse_bases
from hyenadna_cli.errors import UsageError

if TYPE_CHECKING:
    # For types only: commands import this module at their top, which must stay quick.
    from hyenadna_cli.core.config.choices import StrandChoice
    from hyenadna_cli.core.dna.coordinates import Interval
    from hyenadna_cli.core.inference.batching import BatchLimits
    from hyenadna_cli.core.inference.chosen_model import ChosenModel
    from hyenadna_cli.core.interpretation.contexts import ContextSettings
    from hyenadna_cli.core.interpretation.dependencies import DependencySettings
    from hyenadna_cli.core.interpretation.tracks import TrackSettings
    from hyenadna_cli.core.io.fasta import Genome
    from hyenadna_cli.core.variants.chunks import ScoreSettings
    from hyenadna_cli.core.variants.regions import NamedRegion
    from hyenadna_cli.core.variants.settings import SnvSettings

_LONGEST_WINDOW = 32_768
"""Bases of a track's windows, unless asked otherwise."""
MAP_SUFFIXES = (".h5", ".hdf5")
ATTRIBUTION_SUFFIX = ".npz"


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackOptions:
    """A track of what the model says of every base."""

    HEADING: ClassVar[str] = "Track"

    track: Annotated[
        str | None,
        Flag(
            "--track",
            "Write a value for each base of the contigs, or of the regions, in place of "
            "the table: .bedGraph, .bedGraph.gz or .bw (needs pyBigWig).",
            metavar="FILE",
        ),
    ] = None
    value: Annotated[
        Literal["logp", "entropy", "surprise"],
        Flag("--track-value", "ln p of the genome's base, its negative, or entropy; in nats."),
    ] = "logp"
    min_context: Annotated[
        int | None,
        in_bases("--min-context", "Read before each base of a track; default: window / 8."),
    ] = None

    def checked(self, output: str, *, stride: int | None) -> str:
        """The file of the track. Raises UsageError for options that do not go with one."""
        from hyenadna_cli.core.io.tracks import is_bigwig

        assert self.track is not None
        if output != "-":
            raise UsageError(f"--track {self.track} is the output; leave out -o {output}")
        is_bigwig(self.track)
        if stride is not None:
            raise UsageError("--stride does not go with --track; see --min-context")
        return self.track

    def settings(
        self, model: ChosenModel, *, window: int | None, strand: StrandChoice | None
    ) -> TrackSettings:
        """How the track is made. Raises UsageError for what makes no sense."""
        from hyenadna_cli.core.interpretation.tracks import TrackSettings

        if strand == "bed":
            raise UsageError("--track: use --strand +, - or both, and not bed")
        limit = min(model.config.l_max, _LONGEST_WINDOW)
        length = model.tiling(window=window or limit, stride=None).window
        context = length // 8 if self.min_context is None else self.min_context
        try:
            return TrackSettings(
                value=self.value,
                window=length,
                min_context=context,
                strands=("+", "-") if strand is None or strand == "both" else (strand,),
            )
        except ValueError as error:
            raise UsageError(str(error)) from error


def parse_contexts(text: str) -> tuple[int, ...]:
    """`64,1k,32k` as lengths in bases. Raises ValueError."""
    lengths = tuple(parse_bases(part) for part in text.split(","))
    if min(lengths) < 1 or len(set(lengths)) < len(lengths):
        raise ValueError(f"{text!r}: contexts are different lengths of 1 base or more")
    return lengths


@dataclass(frozen=True, kw_only=True, slots=True)
class ContextOptions:
    """Perplexity against the number of bases before a base."""

    HEADING: ClassVar[str] = "Context"

    contexts: Annotated[
        tuple[int, ...] | None,
        Flag(
            "--contexts",
            "Write one row per context instead of one per record: the same bases, read with this "
            "number of bases before them; as in 64,1k,32k.",
            metavar="BASES,...",
            parse=parse_contexts,
        ),
    ] = None
    targets: Annotated[
        int, in_bases("--targets", "Bases of the regions that --contexts predicts.")
    ] = 20_000
    seed: Annotated[int, SEED] = 0

    def settings(
        self, *, window: int | None, stride: int | None, strand: StrandChoice | None, vocab: str
    ) -> ContextSettings:
        """How the curve is made. Raises UsageError for options that do not go with one."""
        from hyenadna_cli.core.interpretation.contexts import ContextSettings

        assert self.contexts is not None
        if window is not None or stride is not None:
            raise UsageError("--window and --stride do not go with --contexts")
        if strand == "bed":
            raise UsageError("--contexts: use --strand +, - or both, and not bed")
        if self.targets < 1:
            raise UsageError("--targets is at least 1 base")
        return ContextSettings(
            contexts=self.contexts,
            n_targets=self.targets,
            strands=("+", "-") if strand == "both" else (strand or "+",),
            seed=self.seed,
            full_vocabulary=vocab == "full",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class DependencyOptions:
    """A map of which bases depend on which."""

    HEADING: ClassVar[str] = "Dependencies"

    dependencies: Annotated[
        str | None,
        Flag(
            "--dependencies",
            "Write a map of one region, bases by bases (HDF5), in place of scores; "
            "half a window is read before the region, or what the model still takes.",
            metavar="FILE",
        ),
    ] = None
    max_distance: Annotated[
        int | None,
        in_bases("--max-distance", "Between two bases of a map; default: the whole region."),
    ] = None

    def checked(self, output: str, shard: str | None) -> str:
        """The file of the map. Raises UsageError for options that do not go with one."""
        assert self.dependencies is not None
        if output != "-":
            raise UsageError(
                f"--dependencies {self.dependencies} is the output; leave out -o {output}"
            )
        if shard is not None:
            raise UsageError("--shard cuts regions into pieces; a map is of one region")
        if not self.dependencies.lower().endswith(MAP_SUFFIXES):
            raise UsageError(f"--dependencies {self.dependencies}: use {' or '.join(MAP_SUFFIXES)}")
        return self.dependencies

    def one_region(self, regions: Sequence[NamedRegion], genome: Genome) -> Interval:
        """The region of the map. Raises UsageError for several, or for one base, or none but N."""
        if len(regions) != 1:
            raise UsageError(f"--dependencies maps one region, not {len(regions):,}")
        if regions[0].interval.length < 2:
            raise UsageError("--dependencies maps a region of two bases or more")
        region = regions[0].interval
        if not set("ACGT") & set(genome.fetch(region).upper()):
            raise UsageError(f"--dependencies: {region} is all N; there is nothing to map")
        return region

    def settings(
        self, scoring: SnvSettings, model: ChosenModel, region: Interval
    ) -> DependencySettings:
        """How the map is made. Raises UsageError for options about scores."""
        from hyenadna_cli.core.interpretation.dependencies import DependencySettings
        from hyenadna_cli.core.model.checkpoints.catalogue import scoring_window

        if scoring.full or scoring.layout != "grid" or scoring.min_context is not None:
            raise UsageError("--full, --layout and --min-context do not go with --dependencies")
        if scoring.vocab != "acgt":
            raise UsageError("--vocab full does not go with --dependencies")
        l_max = model.config.l_max
        default = scoring_window(model.source.name, l_max=l_max)
        settings = DependencySettings(
            context=(scoring.window or default) // 2,
            max_distance=self.max_distance,
            strands=("+", "-") if scoring.strand == "both" else (scoring.strand,),
            max_n_run=scoring.max_n_run,
        )
        too_many = settings.window(region, l_max) - l_max
        if scoring.window is None and 0 < too_many <= settings.context:
            return replace(settings, context=settings.context - too_many)
        return settings


@dataclass(frozen=True, kw_only=True, slots=True)
class AttributionOptions:
    """How much each base matters."""

    HEADING: ClassVar[str] = "Attributions"

    gradients: Annotated[
        bool,
        Flag(
            "--gradients",
            "Also write the input gradient of each SNV: llr to first order, by backpropagation.",
        ),
    ] = False
    attributions: Annotated[
        str | None,
        Flag(
            "--attributions",
            "Write one-hot letters and attributions (.npz) of regions of one length, in place of "
            "the table; of the gradients, else llr (--full), else site.",
            metavar="FILE",
        ),
    ] = None

    def check(self, scoring: SnvSettings, mapping: DependencyOptions) -> None:
        """Raises UsageError for options that do not go with these."""
        if self.gradients and (scoring.full or scoring.layout != "grid"):
            raise UsageError("--gradients goes with neither --full nor --layout centred")
        if mapping.dependencies is not None and (self.gradients or self.attributions is not None):
            raise UsageError("--dependencies goes with neither --gradients nor --attributions")

    def plan(
        self, settings: ScoreSettings, model: ChosenModel, limits: BatchLimits
    ) -> dict[str, int]:
        """Window and estimated memory at its largest, for `--dry-run`."""
        from hyenadna_cli.core.interpretation.gradients import megabytes
        from hyenadna_cli.core.variants.settings import plan_of

        plan = plan_of(settings, model, limits)
        if self.gradients:
            plan["peak_memory_mb"] = megabytes(model.config, settings, limits)
        return plan

    def column(self, scoring: SnvSettings) -> str:
        """The last column of the table."""
        return "gradient" if self.gradients else "llr" if scoring.full else "site"

    def checked(self, output: str, shard: str | None) -> str:
        """The file of the attributions. Raises UsageError for options that do not go with it."""
        assert self.attributions is not None
        if output != "-":
            raise UsageError(
                f"--attributions {self.attributions} is the output; leave out -o {output}"
            )
        if shard is not None:
            raise UsageError("--shard goes with tables; arrays of all regions are one file")
        if not self.attributions.lower().endswith(ATTRIBUTION_SUFFIX):
            raise UsageError(f"--attributions {self.attributions}: use {ATTRIBUTION_SUFFIX}")
        return self.attributions

    def check_lengths(self, regions: Sequence[NamedRegion]) -> None:
        """Raises UsageError for regions that do not fit one array."""
        for _, region in regions:
            first = regions[0].interval
            if region.length != first.length:
                raise UsageError(
                    f"--attributions: {region} has {region.length:,} bases, and {first} has "
                    f"{first.length:,}; one array takes regions of one length"
                )
