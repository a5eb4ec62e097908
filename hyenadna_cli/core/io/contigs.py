"""How the contig names of BED and VCF files become those of the FASTA.

Exact by default; `--contig-map auto` and `--rename-chrs FILE` are the two ways to say otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Self

from hyenadna_cli.core.config.choices import ContigMap
from hyenadna_cli.core.dna.coordinates import Interval, RegionText, read_region
from hyenadna_cli.core.io.streams import open_text
from hyenadna_cli.errors import InputFileError, UsageError

_N_SHOWN = 5


class ContigNames:
    """The contigs of a FASTA, and the other names they answer to."""

    def __init__(
        self, lengths: Mapping[str, int], mapping: Mapping[str, str] | None = None
    ) -> None:
        """Take the FASTA's contig lengths (bp) and a mapping from other names to its names."""
        self.lengths = dict(lengths)
        self._mapping = dict(mapping or {})

    @classmethod
    def choose(
        cls,
        lengths: Mapping[str, int],
        contig_map: ContigMap = "exact",
        rename_chrs: Path | str | None = None,
    ) -> Self:
        """What `--contig-map` and `--rename-chrs` ask for. Raises InputFileError and UsageError."""
        if rename_chrs is not None:
            if contig_map != "exact":
                raise UsageError("--contig-map auto and --rename-chrs exclude each other")
            return cls.from_file(rename_chrs, lengths)
        return cls.auto(lengths) if contig_map == "auto" else cls(lengths)

    @classmethod
    def auto(cls, lengths: Mapping[str, int]) -> Self:
        """Let a name with and without `chr` mean the same contig, and M the same as MT.

        A FASTA that has both names of a contig keeps them apart.
        """
        contigs_of: dict[str, list[str]] = {}
        for contig in lengths:
            contigs_of.setdefault(_plain(contig), []).append(contig)
        mapping = {}
        for plain, contigs in contigs_of.items():
            if len(contigs) == 1:
                mapping.update(dict.fromkeys(_styles(plain), contigs[0]))
        return cls(lengths, mapping)

    @classmethod
    def from_file(cls, path: Path | str, lengths: Mapping[str, int]) -> Self:
        """Read a file of two columns, the name in the BED or VCF and the name in the FASTA.

        This is what `bcftools annotate --rename-chrs` reads: whitespace between the columns; blank
        lines and lines starting with # are skipped. New names may be missing from the FASTA.
        Raises InputFileError naming the line.
        """
        mapping: dict[str, str] = {}
        with open_text(path) as text:
            for number, line in enumerate(text, start=1):
                columns = line.split()
                if not columns or columns[0].startswith("#"):
                    continue
                if len(columns) != 2:
                    raise InputFileError(
                        path, f"needs 2 columns, old and new name; has {len(columns)}", line=number
                    )
                old, new = columns
                if mapping.setdefault(old, new) != new:
                    raise InputFileError(
                        path,
                        f"{old!r} is renamed to both {mapping[old]!r} and {new!r}",
                        line=number,
                    )
        return cls(lengths, mapping)

    def resolve(self, name: str) -> str | None:
        """The FASTA's name of a contig; None if the FASTA does not have it."""
        contig = self._mapping.get(name, name)
        return contig if contig in self.lengths else None

    def holding(self, name: str, end: int) -> str:
        """The FASTA's name of a contig that reaches `end`. Raises ValueError if there is none."""
        contig = self.resolve(name)
        if contig is None:
            raise ValueError(self.explain_missing(name))
        if end > self.lengths[contig]:
            raise ValueError(f"end {end:,} is past {contig}, which has {self.lengths[contig]:,} bp")
        return contig

    def region(self, text: str) -> tuple[str, Interval]:
        """The region that a text such as `chr7:100-200` names: its contig as given, and the place.

        Reads what `coordinates.read_region` does; a name of the FASTA that could be read as a place
        too is that contig. Raises ValueError.
        """
        asked = read_region(text)
        name = text.strip()
        if asked.contig != name and self.resolve(name) is not None:
            if self.resolve(asked.contig) is not None:
                raise ValueError(
                    f"{name} is a contig, and a place on {asked.contig}: say {{{name}}} or "
                    f"{{{asked.contig}}}{name.removeprefix(asked.contig)}"
                )
            asked = RegionText(name, 0, None)
        contig = self.resolve(asked.contig)
        if contig is None:
            raise ValueError(self.explain_missing(asked.contig))
        length = self.lengths[contig]
        end = length if asked.end is None else asked.end
        if not asked.start < end <= length:
            raise ValueError(f"{text}: {contig} has {length:,} bp")
        return asked.contig, Interval(contig, asked.start, end)

    def explain_missing(self, name: str) -> str:
        """One line on a name that `resolve` did not find: both sides, and what to do."""
        renamed = self._mapping.get(name, name)
        subject = f"contig {name!r}" + (f", renamed {renamed!r}," if renamed != name else "")
        return (
            f"{subject} is not in the FASTA (it has {self._some_contigs()}); "
            "if only the names differ: --contig-map auto (chr1 <-> 1, chrM <-> MT) "
            "or --rename-chrs FILE"
        )

    def _some_contigs(self) -> str:
        if not self.lengths:
            return "no contigs"
        shown = ", ".join(islice(self.lengths, _N_SHOWN))
        n_more = len(self.lengths) - _N_SHOWN
        return f"{shown} and {n_more:,} more" if n_more > 0 else shown


def _plain(name: str) -> str:
    """The name without `chr`, and the mitochondrion as MT."""
    plain = name.removeprefix("chr")
    return "MT" if plain == "M" else plain


def _styles(plain: str) -> list[str]:
    """Every name that `_plain` reads as `plain`."""
    stems = ("MT", "M") if plain == "MT" else (plain,)
    return [f"{prefix}{stem}" for stem in stems for prefix in ("", "chr")]
