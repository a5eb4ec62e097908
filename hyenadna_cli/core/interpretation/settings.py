"""What of a region is mapped, and how far: options of `mutagenize`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from hyenadna_cli.core.config.flags import Flag, in_bases
from hyenadna_cli.errors import UsageError

if TYPE_CHECKING:
    # For types only: commands import this module at their top, which must stay quick.
    from hyenadna_cli.core.dna.coordinates import Interval
    from hyenadna_cli.core.inference.chosen_model import ChosenModel
    from hyenadna_cli.core.interpretation.dependencies import DependencySettings
    from hyenadna_cli.core.variants.regions import NamedRegion
    from hyenadna_cli.core.variants.settings import SnvSettings

MAP_SUFFIXES = (".h5", ".hdf5")


@dataclass(frozen=True, kw_only=True, slots=True)
class DependencyOptions:
    """A map of which bases depend on which."""

    HEADING: ClassVar[str] = "Dependencies"

    dependencies: Annotated[
        str | None,
        Flag(
            "--dependencies",
            "Write a map of one region, bases by bases (HDF5), in place of scores; "
            "half a window is read before the region.",
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

    def one_region(self, regions: Sequence[NamedRegion]) -> Interval:
        """The region of the map. Raises UsageError for several, or for one base."""
        if len(regions) != 1:
            raise UsageError(f"--dependencies maps one region, not {len(regions):,}")
        if regions[0].interval.length < 2:
            raise UsageError("--dependencies maps a region of two bases or more")
        return regions[0].interval

    def settings(self, scoring: SnvSettings, model: ChosenModel) -> DependencySettings:
        """How the map is made. Raises UsageError for options about scores."""
        from hyenadna_cli.core.interpretation.dependencies import DependencySettings
        from hyenadna_cli.core.model.checkpoints.catalogue import scoring_window

        if scoring.full or scoring.layout != "grid" or scoring.min_context is not None:
            raise UsageError("--full, --layout and --min-context do not go with --dependencies")
        if scoring.vocab != "acgt":
            raise UsageError("--vocab full does not go with --dependencies")
        default = scoring_window(model.source.name, l_max=model.config.l_max)
        return DependencySettings(
            context=(scoring.window or default) // 2,
            max_distance=self.max_distance,
            strands=("+", "-") if scoring.strand == "both" else (scoring.strand,),
            max_n_run=scoring.max_n_run,
        )
