"""Windows of species: random ones to train on, each a function of (seed, step, row); fixed to test.

species (by weight) -> contig (by weight) -> stretch free of long N runs -> window -> strand
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hyenadna_cli.core.config.choices import Split
from hyenadna_cli.core.dna.coordinates import Interval
from hyenadna_cli.core.dna.sequence import reverse_complement
from hyenadna_cli.core.io.streams import open_text
from hyenadna_cli.core.tasks.species.manifest import ContigRuns, SpeciesGenomes
from hyenadna_cli.core.tasks.species.settings import SpeciesFiles
from hyenadna_cli.core.training.genome_windows import GenomeWindows, Span
from hyenadna_cli.errors import InputFileError, UsageError

Rule = Literal["uniform", "bases"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SamplingWeights:
    """How often species, and contigs within a species, are drawn in training."""

    species: Rule | Mapping[str, float] = "uniform"
    """`bases`: in proportion to their training bases; or a weight for each, 1 where not named."""
    contigs: Rule | Mapping[tuple[str, str], float] = "bases"
    """Of (species, contig) as the manifest names them; likewise."""


def sampling_weights(files: SpeciesFiles, genomes: SpeciesGenomes) -> SamplingWeights:
    """What the options ask for. Raises InputFileError and UsageError for what cannot be."""
    contigs: Rule | Mapping[tuple[str, str], float]
    if files.contig_weights == "bases" or files.contig_weights == "uniform":
        contigs = "bases" if files.contig_weights == "bases" else "uniform"
    else:
        contigs = read_contig_weights(Path(files.contig_weights), genomes)
    species = parse_species_weights(files.species_weights, genomes.names)
    return SamplingWeights(species=species, contigs=contigs)


def parse_species_weights(text: str, names: tuple[str, ...]) -> Rule | dict[str, float]:
    """`uniform`, `bases` or `human=2,mouse=0.5`. Raises UsageError, also for an unknown species."""
    if text == "uniform" or text == "bases":
        return "uniform" if text == "uniform" else "bases"
    weights: dict[str, float] = {}
    for part in text.split(","):
        name, _, value = part.strip().partition("=")
        if name not in names:
            raise UsageError(
                f"--species-weights {text}: {name!r} is neither uniform nor bases nor one of the "
                f"species ({', '.join(names)})"
            )
        weights[name] = _weight(value, f"--species-weights {text}")
    return weights


def read_contig_weights(path: Path, genomes: SpeciesGenomes) -> dict[tuple[str, str], float]:
    """A file of three columns: species, contig, weight, between tabs or, without one, blanks.

    Raises InputFileError naming the line.
    """
    known = {(one.name, contig) for one in genomes.species for contig in one.contigs["train"]}
    weights: dict[tuple[str, str], float] = {}
    with open_text(path) as text:
        for number, line in enumerate(text, start=1):
            cells = [cell.strip() for cell in line.split("\t" if "\t" in line else None)]
            if not line.strip() or cells[0].startswith("#"):
                continue
            if len(cells) != 3 or (cells[0], cells[1]) not in known:
                problem = "needs a species, one of its train_contigs and a weight"
                raise InputFileError(path, f"{problem}; has {line.strip()!r}", line=number)
            try:
                weights[cells[0], cells[1]] = _weight(cells[2], "the weight")
            except UsageError as error:
                raise InputFileError(path, str(error), line=number) from None
    return weights


def _weight(text: str, where: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = -1.0
    if not 0 <= weight < float("inf"):
        raise UsageError(f"{where}: {text!r} is not a weight of 0 or more")
    return weight


@dataclass(frozen=True, slots=True)
class SpeciesWindow:
    """A window and whose it is."""

    label: int
    """Place of the species in the manifest."""
    genome_window: Span
    strand: Literal["+", "-"]

    def sequence(self) -> str:
        """The bases in reading direction, fetched now."""
        sequence = self.genome_window.genome.fetch(self.genome_window.interval)
        return sequence if self.strand == "+" else reverse_complement(sequence)


@dataclass(slots=True)
class _Drawn:
    """What training windows of one length are drawn from."""

    species: NDArray[np.float64]
    """Cumulated shares."""
    contigs: list[NDArray[np.float64]]
    windows: list[list[GenomeWindows]] = field(default_factory=list)


class TrainingWindows:
    """Random windows of the training contigs.

    A species is drawn, then one of its contigs, then a window of it. Windows are as long as asked
    wherever the species has a stretch of that length; one that has none gives its stretches whole.
    `prepare` and `draw` raise UsageError if all weights of the species, or of the contigs of one
    that have such stretches, are 0.
    """

    def __init__(
        self,
        genomes: SpeciesGenomes,
        *,
        seed: int,
        weights: SamplingWeights | None = None,
        use_both_strands: bool = True,
        split: Split = "train",
    ) -> None:
        self.genomes = genomes
        self.seed = seed
        self.weights = weights or SamplingWeights()
        self.use_both_strands = use_both_strands
        self.split = split
        self._drawn: dict[int, _Drawn] = {}

    def draw(self, *, step: int, row: int, length: int) -> SpeciesWindow:
        """Row `row` of optimiser step `step`: a window of at most `length` bases."""
        drawn = self.prepare(length)
        random = np.random.Generator(np.random.Philox(key=self.seed, counter=[0, 2, step, row]))
        label = int(np.searchsorted(drawn.species, random.random(), "right"))
        contig = int(np.searchsorted(drawn.contigs[label], random.random(), "right"))
        span, window = drawn.windows[label][contig].random_window(random, length)
        is_reversed = self.use_both_strands and random.random() < 0.5
        return SpeciesWindow(label, Span(span.genome, window), "-" if is_reversed else "+")

    def prepare(self, length: int) -> _Drawn:
        """What windows of `length` bases are drawn from; found once."""
        if length not in self._drawn:
            self._drawn[length] = self._prepare(length)
        return self._drawn[length]

    def _prepare(self, length: int) -> _Drawn:
        names = self.genomes.names
        by_species = [_long_enough(c, length) for c in self.genomes.runs(self.split)]
        bases = [sum(contig.n_bases for contig in contigs) for contigs in by_species]
        weights = self.weights.species
        if isinstance(weights, str):
            species = [1.0 if weights == "uniform" else float(n) for n in bases]
        else:
            species = [weights.get(name, 1.0) for name in names]
        contigs = [self._contig_weights(*item) for item in zip(names, by_species, strict=True)]
        windows = [
            [
                GenomeWindows(
                    [Span(contig.genome, run) for run in contig.runs],
                    seed=self.seed,
                    use_both_strands=False,
                )
                for contig in of_one
            ]
            for of_one in by_species
        ]
        cumulated = [
            _cumulated(w, f"the contigs of {n} for windows of {length:,} bases")
            for n, w in zip(names, contigs, strict=True)
        ]
        return _Drawn(_cumulated(species, "the species"), cumulated, windows)

    def _contig_weights(self, name: str, contigs: list[ContigRuns]) -> list[float]:
        weights = self.weights.contigs
        if isinstance(weights, str):
            return [1.0 if weights == "uniform" else float(c.n_bases) for c in contigs]
        return [weights.get((name, contig.contig), 1.0) for contig in contigs]


def _long_enough(contigs: tuple[ContigRuns, ...], length: int) -> list[ContigRuns]:
    """The contigs cut down to the stretches that hold a window; if there are none, all of them."""
    for shortest in (length, 1):
        kept = [
            ContigRuns(
                contig.contig, contig.genome, tuple(r for r in contig.runs if r.length >= shortest)
            )
            for contig in contigs
        ]
        if found := [contig for contig in kept if contig.runs]:
            return found
    raise AssertionError("a species without bases is refused when its stretches are looked for")


def _cumulated(weights: list[float], whose: str) -> NDArray[np.float64]:
    shares: NDArray[np.float64] = np.cumsum(weights)
    if shares[-1] <= 0:
        raise UsageError(f"all weights of {whose} are 0")
    shares /= shares[-1]
    return shares


def check_lengths(genomes: SpeciesGenomes, split: Split, lengths: Iterable[int]) -> None:
    """Raises InputFileError if there is a length (bases) that no contig of a split holds."""
    stretches = [
        run.length for contigs in genomes.runs(split) for contig in contigs for run in contig.runs
    ]
    for length in lengths:
        if length > max(stretches):
            raise InputFileError(
                genomes.files.manifest,
                f"no {split}_contigs hold {length:,} bases without a run of N; the longest stretch "
                f"has {max(stretches):,}",
            )


def fixed_windows(
    genomes: SpeciesGenomes, split: Split, *, length: int, max_windows: int
) -> Iterator[SpeciesWindow]:
    """Windows side by side over a split, at most `max_windows` a species, evenly spread.

    Each has `length` bases, so that a species without such a stretch has none. Plus strand.
    """
    for label, contigs in enumerate(genomes.runs(split)):
        runs = [Span(contig.genome, run) for contig in contigs for run in contig.runs]
        ends = np.cumsum([span.interval.length // length for span in runs])
        n_windows = int(ends[-1])
        n_kept = min(n_windows, max_windows)
        for index in range(n_kept):
            number = index * n_windows // n_kept
            place = int(np.searchsorted(ends, number, "right"))
            span = runs[place]
            before = int(ends[place - 1]) if place else 0
            start = span.interval.start + (number - before) * length
            window = Interval(span.interval.contig, start, start + length)
            yield SpeciesWindow(label, Span(span.genome, window), "+")
