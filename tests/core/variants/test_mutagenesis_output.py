"""SNVs of a piece as TSV and bedGraph."""

from __future__ import annotations

import numpy as np
import pytest

from hyenadna_cli.core.dna.coordinates import Interval
from hyenadna_cli.core.variants.mutagenesis import SnvScores
from hyenadna_cli.core.variants.mutagenesis_output import kind_of, open_snv_output
from hyenadna_cli.errors import UsageError

NAN = np.nan
SCORES = SnvScores(
    interval=Interval("1", 9, 12),
    bases="ANT",
    statuses=["OK", "NON_ACGT", "N_WINDOW"],
    site=np.array([[NAN, -1.0, -2.0, -3.0], [NAN] * 4, [NAN] * 4]),
    llr=None,
)


def written(tmp_path, kind, *, scores=SCORES):
    output = tmp_path / "out"
    with open_snv_output(
        str(output), kind, columns=["site"], lengths={"1": 20}, overwrite=False
    ) as write:
        write("chr1", scores)
    return output.read_text().splitlines()


def test_a_table_has_a_row_an_snv_and_none_for_n(tmp_path):
    assert written(tmp_path, "tsv") == [
        "chrom\tpos\tref\talt\tstatus\tsite",
        "chr1\t10\tA\tC\tOK\t-1",
        "chr1\t10\tA\tG\tOK\t-2",
        "chr1\t10\tA\tT\tOK\t-3",
        "chr1\t12\tT\tA\tN_WINDOW\tnan",
        "chr1\t12\tT\tC\tN_WINDOW\tnan",
        "chr1\t12\tT\tG\tN_WINDOW\tnan",
    ]


def test_a_bedgraph_has_the_mean_of_a_scored_base(tmp_path):
    assert written(tmp_path, "bedgraph") == ["chr1\t9\t10\t-2"]


def test_a_suffix_decides_the_kind():
    assert kind_of("x.bg.gz") == kind_of("x.bedGraph") == "bedgraph"
    assert kind_of("x.BigWig") == "bigwig"
    assert kind_of("x.txt.bgz") == kind_of("-") == "tsv"
    with pytest.raises(UsageError, match=r"use one of \.tsv .* \.bedgraph \.bg \.bw, or say -O"):
        kind_of("x.csv")
