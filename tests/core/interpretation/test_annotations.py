"""Regions beside a picture: those of the file that overlap it, each once, by their gene's name."""

from __future__ import annotations

import pytest

from hyenadna_cli.core.dna.coordinates import Interval
from hyenadna_cli.core.interpretation.annotations import regions_beside
from hyenadna_cli.core.io.region_files import RegionFile
from hyenadna_cli.errors import InputFileError

REGION = Interval("chr1", 100, 200)


def found(**given):
    return [
        (of.name, of.interval.start, of.interval.end)
        for of in regions_beside(RegionFile(**given), REGION)
    ]


def test_a_bed_of_a_whole_genome_gives_what_overlaps(bed_file):
    lines = [
        *(
            "chr1 0 100 before",
            "chr1 90 101 first",
            "chr1 199 900000000 last",
            "chr1 200 210 after",
        ),
        *("chrX 120 130 elsewhere", "chr1 120 130", "chr1 120 130"),
    ]

    assert found(bed=str(bed_file(*lines))) == [
        ("first", 90, 101),
        ("last", 199, 900_000_000),
        ("chr1:120-130", 120, 130),
    ]
    assert found() == []


def test_exons_of_several_transcripts_are_one_by_the_name_of_the_gene(text_file):
    line = '{}\tx\texon\t{}\t{}\t.\t-\t.\tgene_id "g"; gene_name "BRCA1"; transcript_id "{}";\n'
    text = "".join(
        line.format(*of)
        for of in [
            ("1", 111, 120, "a"),
            ("1", 111, 120, "b"),
            ("1", 150, 160, "a"),
            ("2", 1, 9, "c"),
        ]
    )
    gtf = {"gtf": str(text_file(text, name="x.gtf")), "feature": "exon"}

    assert found(**gtf, contig_map="auto") == [("BRCA1", 110, 120), ("BRCA1", 149, 160)]
    assert found(**gtf) == []


def test_a_line_that_is_none_is_named(bed_file):
    with pytest.raises(InputFileError, match=":1: "):
        found(bed=str(bed_file("chr1 9 x")))
