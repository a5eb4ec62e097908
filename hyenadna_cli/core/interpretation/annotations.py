"""What is known of a region, to stand beside a picture of it: the lines of a BED or GTF there."""

from __future__ import annotations

import sys
from collections import defaultdict

from hyenadna_cli.core.dna.coordinates import Interval
from hyenadna_cli.core.io import gtf
from hyenadna_cli.core.io.bed import Region
from hyenadna_cli.core.io.contigs import ContigNames
from hyenadna_cli.core.io.region_files import RegionFile


class _AnyContigs(ContigNames):
    """Takes any contig: a map comes without the FASTA that would say which ones there are."""

    def resolve(self, name: str) -> str:
        return super().resolve(name) or name

    def holding(self, name: str, end: int) -> str:
        return self.resolve(name)


def regions_beside(given: RegionFile, region: Interval) -> list[Region]:
    """Regions of a file that overlap `region`, each once, by the name of the gene if there is one.

    Raises InputFileError.
    """
    if given.path is None:
        return []
    names = _AnyContigs.choose({region.contig: sys.maxsize}, given.contig_map, given.rename_chrs)
    names.lengths = defaultdict(lambda: sys.maxsize, names.lengths)
    found: dict[tuple[int, int, str], Region] = {}
    for of_file in given.read(names):
        place = of_file.interval
        is_here = place.contig == region.contig
        if is_here and place.start < region.end and region.start < place.end:
            gene = dict(zip(of_file.titles, of_file.columns, strict=False)).get(gtf.COLUMNS[1])
            named = of_file._replace(name=gene or of_file.name)
            found.setdefault((place.start, place.end, named.name), named)
    return list(found.values())
