"""Species to tell apart: a manifest of genomes with contigs split between them, and its checks.

species  fasta     train_contigs  valid_contigs  test_contigs
human    human.fa  chr2,chr4      chr1           chr5,chr7

manifest -> Species -> (genomes, every name checked) -> stretches free of long N runs
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from hyenadna_cli.core.config.choices import SPLITS, Split
from hyenadna_cli.core.dna.coordinates import Interval
from hyenadna_cli.core.io.contigs import ContigNames
from hyenadna_cli.core.io.fasta import Genome, acgt_runs
from hyenadna_cli.core.io.streams import open_text
from hyenadna_cli.core.tasks.species.settings import SpeciesFiles
from hyenadna_cli.errors import InputFileError

COLUMNS = ("species", "fasta", *(f"{split}_contigs" for split in SPLITS))
UNCLASSIFIED = "unclassified"
"""What a sequence is called that no species is likely enough for; no species has this name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Species:
    """One line of the manifest; contigs as it names them."""

    name: str
    fasta: Path
    contigs: Mapping[Split, tuple[str, ...]]
    line: int
    """Of the manifest, for messages."""


def paper_manifest() -> str:
    """The text of the published five-species task; the genomes are the user's."""
    return resources.files("hyenadna_cli").joinpath("data/five_species.tsv").read_text()


def read_manifest(path: Path, *, selected: Sequence[str] = ()) -> tuple[Species, ...]:
    """The species of a manifest, in its order or that of `selected`.

    Relative FASTA paths start at the manifest's folder. Blank lines and lines with # are skipped.
    Raises InputFileError naming the line: other columns, a species or contig given twice, an empty
    split, a name in `selected` that there is not, or fewer than two species.
    """
    by_name: dict[str, Species] = {}
    with open_text(path) as text:
        for number, cells in _rows(text):
            if not by_name and tuple(cells) == COLUMNS:
                continue
            species = _species(path, number, cells)
            if earlier := by_name.get(species.name):
                raise InputFileError(
                    path, f"species {species.name!r} is on line {earlier.line} too", line=number
                )
            by_name[species.name] = species
    for name in selected:
        if name not in by_name:
            raise InputFileError(path, f"has no species {name!r}; it has {', '.join(by_name)}")
    if len(set(selected)) != len(selected):
        raise InputFileError(path, f"species chosen twice: {', '.join(selected)}")
    all_species = tuple(by_name[name] for name in selected) or tuple(by_name.values())
    if len(all_species) < 2:
        raise InputFileError(path, "needs two species or more to tell apart")
    return all_species


def _rows(text: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(text, start=1):
        if line.strip() and not line.startswith("#"):
            yield number, [cell.strip() for cell in line.rstrip("\r\n").split("\t")]


def _species(path: Path, line: int, cells: list[str]) -> Species:
    if len(cells) != len(COLUMNS):
        problem = f"has {len(cells)} columns; a manifest has {len(COLUMNS)}: {' '.join(COLUMNS)}"
        raise InputFileError(path, f"{problem} (separated by tabs)", line=line)
    name, fasta, *lists = cells
    if any("\0" in cell for cell in cells):
        raise InputFileError(path, "holds a NUL byte", line=line)
    if not name or not fasta or name == UNCLASSIFIED:
        raise InputFileError(path, f"{name or fasta!r} is not a species with a FASTA", line=line)
    contigs: dict[Split, tuple[str, ...]] = {}
    split_of: dict[str, Split] = {}
    for split, listed in zip(SPLITS, lists, strict=True):
        contigs[split] = tuple(filter(None, (item.strip() for item in listed.split(","))))
        if not contigs[split]:
            raise InputFileError(path, f"species {name!r} has no {split}_contigs", line=line)
        for contig in contigs[split]:
            if contig in split_of:
                where = _both(split_of[contig], split)
                raise InputFileError(
                    path, f"species {name!r}: contig {contig!r} is {where}", line=line
                )
            split_of[contig] = split
    return Species(name=name, fasta=path.parent / fasta, contigs=contigs, line=line)


def _both(first: Split, second: Split) -> str:
    if first == second:
        return f"twice in {first}_contigs"
    return f"in both {first}_contigs and {second}_contigs"


@dataclass(frozen=True, slots=True)
class ContigRuns:
    """One contig of a species and its stretches free of long N runs."""

    contig: str
    """As the manifest names it."""
    genome: Genome
    runs: tuple[Interval, ...]

    @property
    def n_bases(self) -> int:
        """Of all stretches."""
        return sum(run.length for run in self.runs)


class SpeciesGenomes:
    """The opened genomes of a manifest; the label of a species is its place in `names`.

    Made by `open_genomes`. Stretches are looked for once per split, when they are first asked for.
    """

    def __init__(
        self,
        species: tuple[Species, ...],
        genomes: Mapping[str, Genome],
        names: Mapping[str, Mapping[str, str]],
        files: SpeciesFiles,
    ) -> None:
        """`names`: of each species, the manifest's contigs -> the FASTA's."""
        self.species = species
        self.max_n_run = files.max_n_run
        self.files = files
        self._genomes = genomes
        self._names = names
        self._found: dict[Split, list[tuple[ContigRuns, ...]]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The species, in the order of their labels."""
        return tuple(one.name for one in self.species)

    @property
    def inputs(self) -> list[Path]:
        """The files read, for provenance."""
        files = self.files
        weights = files.contig_weights
        tables = (files.rename_chrs, None if weights in ("bases", "uniform") else Path(weights))
        genomes = dict.fromkeys(one.fasta for one in self.species)
        return [files.manifest, *genomes, *filter(None, tables)]

    def runs(self, split: Split) -> list[tuple[ContigRuns, ...]]:
        """Of each species, its contigs of a split.

        Raises InputFileError if a species has nothing but N there.
        """
        if split not in self._found:
            self._found[split] = [self._runs_of(one, split) for one in self.species]
        return self._found[split]

    def _runs_of(self, species: Species, split: Split) -> tuple[ContigRuns, ...]:
        genome = self._genomes[species.name]
        contigs = []
        for contig in species.contigs[split]:
            name = self._names[species.name][contig]
            runs = tuple(acgt_runs(genome, name, max_gap=self.max_n_run))
            contigs.append(ContigRuns(contig, genome, runs))
        if not any(contig.runs for contig in contigs):
            raise InputFileError(
                species.fasta,
                f"species {species.name!r}: its {split}_contigs hold no bases, only N",
            )
        return tuple(contigs)

    @property
    def split_sizes(self) -> dict[str, int]:
        """Bases of each split, all species together."""
        return {
            split: sum(contig.n_bases for contigs in self.runs(split) for contig in contigs)
            for split in SPLITS
        }

    def describe(self, split: Split) -> str:
        """One line: species and bases of a split."""
        bases = [sum(contig.n_bases for contig in contigs) for contigs in self.runs(split)]
        return (
            f"{split}: {len(bases)} species, {sum(bases):,} bases "
            f"({min(bases):,} to {max(bases):,} a species)"
        )


@contextmanager
def open_genomes(files: SpeciesFiles) -> Iterator[SpeciesGenomes]:
    """Read the manifest, open every genome and find every listed contig in it.

    Raises InputFileError for a genome that cannot be read or lacks a listed contig, and for a
    contig of one file that is listed twice, be it under two names or for two species; UsageError if
    both `contig_map` and `rename_chrs` are given. Others as `read_manifest` does.
    """
    manifest = files.manifest
    species = read_manifest(manifest, selected=files.species)
    with ExitStack() as stack:
        genomes: dict[str, Genome] = {}
        names: dict[str, dict[str, str]] = {}
        owners: dict[tuple[Path, str], str] = {}
        for one in species:
            genome = genomes[one.name] = stack.enter_context(_opened(manifest, one))
            known = ContigNames.choose(genome.lengths, files.contig_map, files.rename_chrs)
            names[one.name] = {}
            for split, contig in _listed(one):
                name = known.resolve(contig)
                where = f"species {one.name!r}, {split}_contigs"
                if name is None:
                    problem = f"{where}: {known.explain_missing(contig)}"
                    raise InputFileError(manifest, f"{one.fasta}: {problem}", line=one.line)
                key = (one.fasta.resolve(), name)
                if key in owners:
                    raise InputFileError(
                        manifest,
                        f"{where}: contig {name!r} of {one.fasta} is listed for "
                        f"{owners[key]} as well",
                        line=one.line,
                    )
                owners[key] = where
                names[one.name][contig] = name
        yield SpeciesGenomes(species, genomes, names, files)


def _opened(manifest: Path, species: Species) -> Genome:
    try:
        return Genome(species.fasta)
    except InputFileError as error:
        problem = f"species {species.name!r}: {error}"
        raise InputFileError(manifest, problem, line=species.line) from error


def _listed(species: Species) -> Iterator[tuple[Split, str]]:
    for split in SPLITS:
        for contig in species.contigs[split]:
            yield split, contig
