"""GTF to regions: every feature on both strands by hand, the flavours, and what is refused."""

from __future__ import annotations

import gzip
import io
import itertools
import logging
import random

import pytest

from hyenadna_cli.core.io.contigs import ContigNames
from hyenadna_cli.core.io.gtf import COLUMNS, Feature, read_features
from hyenadna_cli.core.io.streams import Input
from hyenadna_cli.errors import InputFileError

CONTIGS = ContigNames({"chr1": 1_000, "chr2": 200})

GENCODE = """\
##description: evidence-based annotation
chr1 HAVANA gene 101 500 . + . gene_id "G1.2"; gene_type "lncRNA"; gene_name "A"; level 2;
chr1 HAVANA transcript 101 500 . + . gene_id "G1.2"; transcript_id "T1.1"; gene_type "lncRNA"; gene_name "A";
chr1 HAVANA exon 101 150 . + . gene_id "G1.2"; transcript_id "T1.1"; gene_type "lncRNA"; gene_name "A"; exon_number 1;
chr1 HAVANA exon 301 500 . + . gene_id "G1.2"; transcript_id "T1.1"; gene_type "lncRNA"; gene_name "A"; exon_number 2;
chr1 HAVANA gene 601 900 . - . gene_id "G2.1"; gene_type "protein_coding"; gene_name "B";
chr1 HAVANA transcript 601 900 . - . gene_id "G2.1"; transcript_id "T2.1"; gene_type "protein_coding"; gene_name "B";
chr1 HAVANA exon 801 900 . - . gene_id "G2.1"; transcript_id "T2.1"; gene_type "protein_coding"; gene_name "B";
chr1 HAVANA CDS 801 880 . - 0 gene_id "G2.1"; transcript_id "T2.1"; gene_type "protein_coding"; gene_name "B";
chr1 HAVANA exon 601 700 . - . gene_id "G2.1"; transcript_id "T2.1"; gene_type "protein_coding"; gene_name "B";
chr1 HAVANA transcript 651 850 . - . gene_id "G2.1"; transcript_id "T2.2"; gene_type "protein_coding"; gene_name "B";
chr1 HAVANA exon 651 850 . - . gene_id "G2.1"; transcript_id "T2.2"; gene_type "protein_coding"; gene_name "B";
"""  # noqa: E501


def tabbed(text):
    """The first 8 blanks of each line that is no comment become tabs."""
    lines = text.splitlines()
    return "".join((x if x[:1] == "#" else x.replace(" ", "\t", 8)) + "\n" for x in lines)


@pytest.fixture
def gtf(text_file):
    return lambda text, **more: text_file(tabbed(text), **{"name": "genes.gtf", **more})


def regions(path, feature, contigs=CONTIGS):
    return list(read_features(Input(path), Feature.parse(feature), contigs=contigs))


def places(path, feature, contigs=CONTIGS):
    return [
        (r.name, r.interval.start, r.interval.end, r.interval.strand)
        for r in regions(path, feature, contigs)
    ]


@pytest.mark.parametrize(
    ("feature", "expected"),
    [
        ("gene", [("A", 100, 500, "+"), ("B", 600, 900, "-")]),
        ("transcript", [("T1.1", 100, 500, "+"), ("T2.1", 600, 900, "-"), ("T2.2", 650, 850, "-")]),
        (
            "exon",
            [
                ("T1.1", 100, 150, "+"),
                ("T1.1", 300, 500, "+"),
                ("T2.1", 800, 900, "-"),
                ("T2.1", 600, 700, "-"),
                ("T2.2", 650, 850, "-"),
            ],
        ),
        ("cds", [("T2.1", 800, 880, "-")]),
        ("promoter:-40:10", [("A", 60, 110, "+"), ("B", 890, 940, "-")]),
        # The first base alone, and the one before it.
        ("promoter:0:1", [("A", 100, 101, "+"), ("B", 899, 900, "-")]),
        ("promoter:-1:0", [("A", 99, 100, "+"), ("B", 900, 901, "-")]),
        ("promoter:+5:7", [("A", 105, 107, "+"), ("B", 893, 895, "-")]),
        ("tss:-5:5", [("T1.1", 95, 105, "+"), ("T2.1", 895, 905, "-"), ("T2.2", 845, 855, "-")]),
        (
            "splice:-3:2",
            [
                ("T1.1:donor", 147, 152, "+"),
                ("T1.1:acceptor", 297, 302, "+"),
                ("T2.1:donor", 798, 803, "-"),
                ("T2.1:acceptor", 698, 703, "-"),
            ],
        ),
        (
            # The first base of each intron in reading direction, and of each exon behind one.
            "splice:0:1",
            [
                ("T1.1:donor", 150, 151, "+"),
                ("T1.1:acceptor", 300, 301, "+"),
                ("T2.1:donor", 799, 800, "-"),
                ("T2.1:acceptor", 699, 700, "-"),
            ],
        ),
    ],
)
def test_features_on_both_strands(gtf, feature, expected):
    assert places(gtf(GENCODE), feature) == expected


def test_a_region_says_where_it_comes_from(gtf):
    region = regions(gtf(GENCODE), "exon")[2]

    assert (region.chrom, region.has_name, region.has_strand, region.line) == (
        "chr1",
        True,
        True,
        8,
    )
    assert region.titles == COLUMNS
    assert region.columns == ("G2.1", "B", "protein_coding", "T2.1")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (  # Ensembl
            '1 havana gene 1 9 . + . gene_id "ENSG1"; gene_version "3"; gene_name "A"; '
            'gene_biotype "TEC";\n'
            '1 havana exon 1 9 . + . gene_id "ENSG1"; transcript_id "ENST1"; gene_name "A"; '
            'gene_biotype "TEC"; tag "basic"; tag "x";',
            ("ENSG1", "A", "TEC", "ENST1"),
        ),
        (  # NCBI: what kind of gene it is stands in the gene's line alone
            '1 Gnomon gene 1 9 . + . gene_id "A_1"; transcript_id ""; db_xref "GeneID:1"; '
            'gene "A"; gene_biotype "lncRNA"; pseudo "true";\n'
            '1 Gnomon exon 1 9 . + . gene_id "A_1"; transcript_id "NR_1.2"; gene "A";',
            ("A_1", "A", "lncRNA", "NR_1.2"),
        ),
        (  # StringTie and others: neither name nor type
            '1 StringTie exon 1 9 1000 + . gene_id "S.1"; transcript_id "S.1.1"; cov "3.5"',
            ("S.1", "", "", "S.1.1"),
        ),
        (  # bare values, blanks, any order, no semicolon at the end
            "1 x exon 1 9 . + .   transcript_id T1 ;gene_name  A; gene_id  G1",
            ("G1", "A", "", "T1"),
        ),
        (  # quotes and semicolons inside of values
            '1 x exon 1 9 . + . note "5" end; gene_id "no;"; gene_id "G;1"; '
            'gene_name "a \\"b\\"; c"; transcript_id "T 1";',
            ("G;1", 'a "b"; c', "", "T 1"),
        ),
    ],
)
def test_the_attributes_of_every_flavour(gtf, lines, expected):
    contigs = ContigNames.auto({"chr1": 100})

    (region,) = regions(gtf(lines), "exon", contigs)

    assert region.columns == expected
    assert (region.chrom, region.interval.contig) == ("1", "chr1")


def test_names_fall_back_on_the_gene(gtf):
    text = (
        '1 x gene 1 9 . + . gene_id "G1";\n1 x CDS 1 9 . + . gene_id "G1"; transcript_id "";\n'
        '1 x CDS 1 9 . + . gene_id "G2"; gene "lacZ";'
    )
    contigs = ContigNames({"1": 9})

    assert [r.name for r in regions(gtf(text), "gene", contigs)] == ["G1"]
    assert [r.name for r in regions(gtf(text), "cds", contigs)] == ["G1", "lacZ"]


def test_the_same_bases_in_two_transcripts_are_two_regions(gtf):
    text = "".join(f'chr1 x exon 5 8 . + . gene_id "G"; transcript_id "T{i}";\n' for i in range(2))

    assert places(gtf(text), "exon") == [("T0", 4, 8, "+"), ("T1", 4, 8, "+")]


def test_a_gene_of_one_exon_has_no_splice_site(gtf):
    assert (
        regions(gtf('chr1 x exon 5 8 . + . gene_id "G"; transcript_id "T";'), "splice:-2:2") == []
    )


def test_the_first_and_the_last_base_of_a_contig(gtf):
    text = (
        'chr2 x gene 1 1 . + . gene_id "first";\nchr2 x gene 200 200 . + . gene_id "last";\n'
        'chr2 x gene 1 1 . - . gene_id "first-";\nchr2 x gene 200 200 . - . gene_id "last-";'
    )

    assert places(gtf(text), "gene") == [
        ("first", 0, 1, "+"),
        ("last", 199, 200, "+"),
        ("first-", 0, 1, "-"),
        ("last-", 199, 200, "-"),
    ]
    assert places(gtf(text), "promoter:0:1") == places(gtf(text), "gene")


def test_what_reaches_past_a_contig_is_clipped_and_said_once(gtf, caplog):
    text = "".join(
        f'chr2 x gene {start} {end} . {strand} . gene_id "{strand}{start}";\n'
        for strand in "+-"
        for start, end in ((1, 10), (191, 200))
    )
    path = gtf(text)

    with caplog.at_level(logging.WARNING):
        found = places(path, "promoter:-20:-2")
    list(
        read_features(
            Input(path), Feature.parse("promoter:-20:-2"), contigs=CONTIGS, is_first=False
        )
    )

    assert found == [("+191", 170, 188, "+"), ("-1", 12, 30, "-")]
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: 0 region(s) reach past the end of a contig and are clipped, "
        "2 wholly outside are left out"
    ]
    assert places(path, "promoter:-20:5") == [
        ("+1", 0, 5, "+"),
        ("+191", 170, 195, "+"),
        ("-1", 5, 30, "-"),
        ("-191", 195, 200, "-"),
    ]


def test_exons_of_a_transcript_may_ascend_descend_touch_and_stand_apart(gtf):
    def exon(start, end, strand, transcript):
        return (
            f'chr1 x exon {start} {end} . {strand} . gene_id "G"; transcript_id "{transcript}";\n'
        )

    text = (
        exon(1, 10, "-", "up")
        + exon(1, 10, "+", "touching")
        + exon(21, 30, "-", "up")
        + exon(11, 30, "+", "touching")
        + exon(41, 50, "+", "touching")
    )

    assert places(gtf(text), "splice:-1:1") == [
        ("up:acceptor", 9, 11, "-"),
        ("up:donor", 19, 21, "-"),
        ("touching:donor", 29, 31, "+"),
        ("touching:acceptor", 39, 41, "+"),
    ]


def test_copies_of_a_transcript_are_told_apart_by_their_own_lines(gtf):
    copy = (
        'chr1 x transcript {0} {1} . + . gene_id "G"; transcript_id "T";\n'
        'chr1 x exon {0} {1} . + . gene_id "G"; transcript_id "T";\n'
    )

    assert regions(gtf(copy.format(1, 5) + copy.format(100, 105)), "splice:-1:1") == []


@pytest.mark.parametrize("compression", ["none", "gzip", "bgzip"])
def test_any_compression(gtf, compression):
    path = gtf(GENCODE, compression=compression, name="g.gtf.gz" if compression != "none" else "g")

    assert len(regions(path, "exon")) == 5


def test_stdin(monkeypatch):
    text = gzip.compress(tabbed(GENCODE).replace("\n", "\r\n").encode())
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text)))

    assert len(regions("-", "exon")) == 5


def test_nothing_is_nothing(gtf):
    assert regions(gtf(""), "gene") == regions(gtf("# only this\n###\n"), "splice:-1:1") == []


GOOD = 'chr1 x gene 1 9 . + . gene_id "G";'


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("chr1 x gene 1 9 . +", r"has 7 column\(s\); a GTF line has 9, separated by tabs"),
        ('chr1 x gene 9 8 . + . gene_id "G";', r"start 9 is after end 8 \(1-based, closed\)"),
        ('chr1 x gene 0 8 . + . gene_id "G";', "start 0: GTF counts from 1"),
        ('chr1 x exon 1_0 80 . + . gene_id "G";', "start '1_0' is not a whole number"),
        ('chr1 x gene 1 x . + . gene_id "G";', "end 'x' is not a whole number"),
        ('chr1 x gene 1 9 . * . gene_id "G";', r"strand '\*' is none of"),
        ('chr1 x gene 1 9 . . . gene_id "G";', r"strand '\.': promoter needs \+ or -"),
        ('chr1 x gene 1 1001 . + . gene_id "G";', "end 1,001 is past chr1, which has 1,000 bp"),
        ('1 x gene 1 9 . + . gene_id "G";', "contig '1' is not in the FASTA .*--contig-map auto"),
        ('chr1 x gene 1 9 . + . gene_name "G";', "the gene line has no gene_id"),
        ('chr1 x gene 1 9 . + . gene_id "";', "the gene line has no gene_id"),
        ('chr1 x gene 1 9 . + . gene_id "G" gene_name "A";', "no semicolon ends .* gene_id"),
        ('chr1 x gene 1 9 . + . gene_id "G"; gene "A b "c";', "no semicolon ends .* gene"),
        ('chr1 x gene 1 9 . + . gene_id "G"; gene_id "H";', "gives gene_id twice: 'G' and 'H'"),
        ('chr1 x gene 1 9 . + . gene_id "G\0";', "holds a NUL byte"),
    ],
)
def test_wrong_lines_are_named(gtf, line, problem):
    path = gtf(f"#!genome-build x\n{GOOD}\n{line}\n")

    with pytest.raises(InputFileError, match=f"genes.gtf:3: {problem}"):
        regions(path, "promoter:0:5")


def test_exons_out_of_order_are_refused(gtf):
    text = "".join(
        f'chr1 x exon {start} {start + 5} . + . gene_id "G"; transcript_id "T";\n'
        for start in (1, 101, 51)
    )

    with pytest.raises(InputFileError, match=r":3: the exons of T are out of order; sort"):
        regions(gtf(text), "splice:-1:1")


@pytest.mark.parametrize(
    "text",
    [
        "##gff-version 3\nchr1 x gene 1 9 . + . ID=gene:G1;Name=a\n",
        "#!x\nchr1 x gene 1 9 . + . ID=gene:G1;Name=a b\n",
    ],
)
def test_gff3_is_named_with_the_way_out(gtf, text):
    with pytest.raises(InputFileError, match=r"genes.gtf:[12]: is GFF3, .*: gffread \S+ -T -o"):
        regions(gtf(text), "gene")
    packed = gtf(text, name="g.gff3.gz", compression="gzip")
    with pytest.raises(InputFileError, match=r"gunzip -c \S+ \| gffread - -T -o"):
        regions(packed, "gene")


def test_gff2_is_gtf(gtf):
    assert len(regions(gtf(f"##gff-version 2\n{GOOD}\n"), "gene")) == 1


def test_a_file_without_the_lines_says_which_it_has(gtf):
    path = gtf('chr1 x CDS 1 9 . + . gene_id "G";\n' * 2 + GOOD)

    with pytest.raises(
        InputFileError, match=r"has no exon line, which --feature splice .*CDS \(2\), gene \(1\)"
    ):
        regions(path, "splice:-1:1")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("intron", "is none of gene, transcript"),
        ("", "is none of"),
        ("promoter", "needs offsets"),
        ("tss:5", "is none of"),
        ("tss:5:5", "5 is not before 5"),
        ("splice:10:-10", "10 is not before -10"),
        ("gene:-5:5", "is the line itself"),
        ("promoter:-1.5:2", "is none of"),
        ("promoter:-1:2:3", "is none of"),
        ("Gene", "is none of"),
    ],
)
def test_features_that_are_none(text, problem):
    with pytest.raises(ValueError, match=problem):
        Feature.parse(text)


def test_many_promoters_are_as_a_plain_reading_base_by_base(gtf):
    """The bases of a contig are listed as they are read, and the offsets counted along the list."""
    draw = random.Random(3)
    contigs = ContigNames({"chr1": 100})
    for _ in range(300):
        start = draw.randint(1, 100)
        end, strand, first = draw.randint(start, 100), draw.choice("+-"), draw.randint(-60, 40)
        read = list(range(1, 101)) if strand == "+" else list(range(100, 0, -1))
        at = read.index(start if strand == "+" else end) + first
        line = f'chr1 x gene {start} {end} . {strand} . gene_id "G";'

        found = places(gtf(line), f"promoter:{first}:{first + 30}", contigs)

        covered = [base for _, low, high, _ in found for base in range(low + 1, high + 1)]
        assert covered == sorted(read[max(0, at) : max(0, at + 30)]), line


def test_many_splice_sites_are_as_a_plain_reading_of_all_introns(gtf):
    draw = random.Random(4)
    for _ in range(50):
        cuts = sorted(draw.sample(range(1, 1_000), 2 * draw.randint(1, 6)))
        strand = draw.choice("+-")
        exons = list(zip(cuts[::2], cuts[1::2], strict=True))[:: 1 if strand == "+" else -1]
        text = "".join(
            f'chr1 x exon {start} {end} . {strand} . gene_id "G"; transcript_id "T";\n'
            for start, end in exons
        )
        # 1-based, in reading order: the last base of an exon, and the first base of the next one.
        first, last = (0, 1) if strand == "+" else (1, 0)
        sites = [(one[last], other[first]) for one, other in itertools.pairwise(exons)]
        sites = [(one, other) for one, other in sites if abs(one - other) > 1]

        before, behind = (places(gtf(text), f"splice:{at}:{at + 1}") for at in (-1, 0))

        donors = [low + 1 for name, low, _, _ in before if name == "T:donor"]
        acceptors = [low + 1 for name, low, _, _ in behind if name == "T:acceptor"]
        assert list(zip(donors, acceptors, strict=True)) == sites
