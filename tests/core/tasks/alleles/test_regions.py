"""Region classes of a GTF, at their edges."""

from __future__ import annotations

import numpy as np
import pytest

from hyenadna_cli.core.tasks.alleles.regions import Transcripts
from hyenadna_cli.errors import InputFileError


@pytest.fixture
def transcripts(text_file):
    """Exons 101-200 and 401-500 (1-based, closed), of which 151-200 and 401-420 are coded."""
    lines = [
        ("transcript", 101, 500),
        ("exon", 101, 200),
        ("exon", 401, 500),
        ("CDS", 151, 200),
        ("CDS", 401, 420),
    ]
    text = "# a comment\n" + "".join(
        f'chr1\tx\t{kind}\t{start}\t{end}\t.\t+\t.\tgene_id "g";\n' for kind, start, end in lines
    )
    return Transcripts(text_file(text, name="genes.gtf"))


@pytest.mark.parametrize(
    ("start", "region"),
    [
        (50, "other"),
        (91, "other"),
        (92, "splice"),
        (100, "splice"),
        (108, "splice"),
        (109, "other"),
        (149, "other"),
        (150, "coding"),
        (199, "coding"),
        (200, "splice"),
        (208, "splice"),
        (209, "intron"),
        (391, "intron"),
        (392, "splice"),
        (400, "coding"),
        (420, "other"),
        (600, "other"),
    ],
)
def test_every_base_has_a_class(transcripts, start, region):
    assert transcripts.region("chr1", start) == region
    assert transcripts.region("1", start) == region
    assert transcripts.region("chr2", start) == "other"


def test_features_are_class_and_distance(transcripts):
    rows = transcripts.features(["chr1", "chr1", "chr2"], [150, 203, 5])

    assert rows.shape == (3, 14)
    assert rows[:, :4].tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]]
    assert rows[1, 4:13].tolist() == [0, 0, 0, 1, 0, 0, 0, 0, 0]
    np.testing.assert_allclose(np.expm1(rows[:, -1]), [50, 3, 1_000_000])


def test_a_place_in_a_transcript_is_told_from_one_between(transcripts):
    assert transcripts.transcript_at("chr1", 100) == transcripts.transcript_at("chr1", 499)
    assert transcripts.transcript_at("chr1", 500) is None


def test_a_file_without_exons_is_refused(text_file):
    with pytest.raises(InputFileError, match="has no exon lines"):
        Transcripts(text_file("chr1\tx\tgene\t1\t9\t.\t+\t.\tgene_id x\n", name="no.gtf"))
    with pytest.raises(InputFileError, match=r"a\.gtf:1: x, 9 are not a start and an end"):
        Transcripts(text_file("chr1\tx\texon\tx\t9\t.\t+\t.\tgene_id x\n", name="a.gtf"))
