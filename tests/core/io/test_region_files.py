"""A BED or a GTF as the regions of records: what goes together, and what records say."""

from __future__ import annotations

import io
import logging

import pytest

from hyenadna_cli.core.io.gtf import COLUMNS
from hyenadna_cli.core.io.records import Record, RecordSource
from hyenadna_cli.core.io.region_files import RegionFile
from hyenadna_cli.errors import UsageError

GTF = (
    '1\tx\tgene\t2\t4\t.\t-\t.\tgene_id "G1"; gene_biotype "TEC"; gene_name "A";\n'
    '1\tx\tgene\t6\t8\t.\t+\t.\tgene_id "G2";\n'
)


@pytest.fixture
def genome(fasta_file):
    return str(fasta_file({"chr1": "AACCGGTTNN"}))


@pytest.fixture
def gtf(text_file):
    return str(text_file(GTF, name="genes.gtf"))


def test_the_records_of_a_gtf(genome, gtf):
    with RecordSource(genome, gtf=gtf, feature="gene", contig_map="auto") as source:
        assert source.lengths.tolist() == [3, 3]
        assert source.columns == COLUMNS
        assert source.inputs == [genome, gtf]
        assert source.settings == {"feature": "gene"}
        assert list(source.read()) == [
            Record("A", "1", 1, 4, "-", "ACC", ("G1", "A", "TEC", "")),
            Record("G2", "1", 5, 8, "+", "GTT", ("G2", "", "", "")),
        ]
        assert [record.name for record in source.read(range(1, 2))] == ["G2"]


def test_clipping_is_said_once_however_often_records_are_read(genome, gtf, caplog):
    with (
        caplog.at_level(logging.WARNING),
        RecordSource(genome, gtf=gtf, feature="promoter:-9:2", contig_map="auto") as source,
    ):
        assert [(r.start, r.end) for r in source.read()] == [(2, 10), (0, 7)]
        list(source.read())
    assert len(caplog.records) == 1


@pytest.mark.parametrize(("text", "names"), [(GTF, ["A", "G2"]), ("", [])])
def test_a_gtf_that_is_read_once(genome, monkeypatch, text, names):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    with RecordSource(genome, gtf="-", feature="gene", contig_map="auto") as source:
        assert (source.lengths, source.columns) == (None, COLUMNS)
        assert [record.name for record in source.read()] == names


def test_a_gtf_without_a_region_has_its_columns_all_the_same(genome, text_file):
    empty = str(text_file("#!x\n", name="e.gtf"))

    with RecordSource(genome, gtf=empty, feature="exon") as source:
        assert (source.columns, list(source.read())) == (COLUMNS, [])


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"bed": "a", "gtf": "b", "feature": "gene"}, "exclude each other"),
        ({"gtf": "b"}, "go together"),
        ({"feature": "gene"}, "go together"),
        ({"bed": "a", "feature": "gene"}, "go together"),
        ({"gtf": "b", "feature": "intron"}, "--feature 'intron' is none of gene"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options, problem):
    with pytest.raises(UsageError, match=problem):
        RegionFile(**options)


def test_a_gtf_needs_a_genome_with_random_access():
    with pytest.raises(UsageError, match="indexed FASTA"):
        RecordSource("-", gtf="x", feature="gene")


def test_without_regions_nothing_is_said_of_them(genome):
    with RecordSource(genome) as source:
        assert (source.settings, source.inputs) == ({}, [genome])
