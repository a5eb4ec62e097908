"""What goes into `hyenadna score-variants` comes out, or is refused in one line before any work."""

from __future__ import annotations

import gzip
import io
import os
import re
import shutil
import subprocess
from pathlib import Path

import cyvcf2
import pysam
import pytest

from hyenadna_cli.core.io.bcf import BcfEncoder

TEST_DATA = Path(__file__).parents[2] / "test_data"
VARIANTS, FASTA = TEST_DATA / "variants.vcf", TEST_DATA / "tiny.fa"
PLAIN = ["--device", "cpu", "--threads", "1", "--window", "64"]
CONTIGS = {"chr1": 30_000, "chr2": 12_000, "chrM": 2_500, "scaffold_4": 700}
DECLARED = (
    '##FILTER=<ID=q10,Description="quality">',
    '##INFO=<ID=AF,Number=A,Type=Float,Description="frequency">',
    '##INFO=<ID=DP,Number=1,Type=Integer,Description="depth">',
    '##INFO=<ID=END,Number=1,Type=Integer,Description="end">',
    '##INFO=<ID=SVTYPE,Number=1,Type=String,Description="type">',
    '##INFO=<ID=DB,Number=0,Type=Flag,Description="known">',
    '##FORMAT=<ID=GT,Number=1,Type=String,Description="genotype">',
    '##FORMAT=<ID=DP,Number=1,Type=Integer,Description="depth">',
    '##FORMAT=<ID=AD,Number=R,Type=Integer,Description="depths">',
    '##FORMAT=<ID=GL,Number=G,Type=Float,Description="likelihoods">',
    '##FORMAT=<ID=FT,Number=1,Type=String,Description="filter">',
)

needs_bcftools = pytest.mark.skipif(
    shutil.which("bcftools") is None, reason="bcftools is not installed"
)


@pytest.fixture
def run(hyenadna, tiny_model):
    """`run(vcf, ...)`: score with the tiny model on the tiny genome."""

    def score(vcf, *more, fasta=FASTA, model=tiny_model):
        return hyenadna("score-variants", vcf, "--fasta", fasta, "-m", model, *PLAIN, *more)

    return score


@pytest.fixture
def refused(run, tmp_path):
    """`refused(vcf, ...)`: the message of a run that ends with 3, before a model is looked for."""

    def score(vcf, *more):
        with (tmp_path / "stderr").open("w+b") as raw:
            stderr = os.dup(2)
            os.dup2(raw.fileno(), 2)
            try:
                done = run(vcf, *more, model=tmp_path / "no-model")
            finally:
                os.dup2(stderr, 2)
                os.close(stderr)
            raw.seek(0)
            assert raw.read() == b"", "a library has written to stderr"
        assert done.code == 3, done.err
        assert len(done.err.splitlines()) == 1, done.err
        assert not list(tmp_path.glob("out.*"))
        return done.err

    return score


@pytest.fixture
def vcf(vcf_file):
    """A VCF with a header that declares what the tests use."""

    def build(*records, header=(), contigs=CONTIGS, **more):
        return vcf_file(*records, header=(*DECLARED, *header), contigs=contigs, **more)

    return build


def as_stdin(path):
    return io.TextIOWrapper(io.BytesIO(path.read_bytes()))


def bcftools(*arguments):
    done = subprocess.run(["bcftools", *map(str, arguments)], capture_output=True)
    assert done.returncode == 0, done.stderr
    # What the input does not declare, or has at position 0, is said of the output too.
    said = [line for line in done.stderr.split(b"\n") if line.startswith((b"[E::", b"[W::"))]
    assert all(re.search(b"not defined|Coordinate <= 0", line) for line in said), done.stderr
    return done.stdout.decode("utf-8", "surrogateescape")


def as_bcf(path, name="in.bcf"):
    """The same as BCF, by this program's encoder."""
    header, records = [], []
    for line in path.read_text().split("\n")[:-1]:
        (header if line.startswith("#") else records).append(f"{line}\n")
    encoder = BcfEncoder("".join(header))
    bcf = path.with_name(name)
    bcf.write_bytes(encoder.header + encoder.encode(records))
    return bcf


def rows(text):
    return [line.split("\t") for line in text.split("\n") if line and not line.startswith("#")]


def foreign(text):
    """Records without what this program adds."""
    result = []
    for columns in rows(text):
        entries = [e for e in columns[7].split(";") if not e.startswith("HD_")]
        result.append([*columns[:7], ";".join(entries) or ".", *columns[8:]])
    return result


# What an earlier run has left ---------------------------------------------------------------------


def test_nothing_of_an_earlier_run_stays_in_records_or_header(run, vcf, tmp_path):
    records = vcf("chr1 1500 v1 A C 50 . AF=0.25", "chr1 20000 v9 T <DEL>,A 50 . AF=0.25,0.25")
    bases = FASTA.read_text().splitlines()
    at = 1 + 1499 // len(bases[1])
    bases[at] = bases[at].translate(str.maketrans("ACGTacgt", "CATGcatg"))
    (tmp_path / "other.fa").write_text("\n".join([*bases, ""]))
    pysam.faidx(str(tmp_path / "other.fa"))
    run(records, "--scores", "llr,jsd", "--per-strand", "-o", tmp_path / "once.vcf")

    done = run(tmp_path / "once.vcf", "--scores", "site", fasta=tmp_path / "other.fa")

    assert done.code == 0, done.err
    assert rows(done.out)[0][7] == "AF=0.25;HD_STATUS=REF_MISMATCH"
    assert [e.partition("=")[0] for e in rows(done.out)[1][7].split(";")] == [
        "AF",
        "HD_SITE",
        "HD_STATUS",
    ]
    assert [line.split(",")[0] for line in done.out.splitlines() if "ID=HD_" in line] == [
        "##INFO=<ID=HD_SITE",
        "##INFO=<ID=HD_STATUS",
    ]


def test_tags_that_are_still_to_come_leave_too(run, vcf):
    old = tuple(
        f'##INFO=<ID=HD_{name},Number=A,Type=Float,Description="old">'
        for name in ("PCT", "PROB", "CLASS")
    )
    done = run(
        vcf("chr1 1500 . A C . . HD_PCT=1;AF=0.5;HD_PROB=2;HD_CLASS=x;HD_OTHERS=3", header=old)
    )

    assert rows(done.out)[0][7].startswith("AF=0.5;HD_OTHERS=3;HD_LLR=")
    assert not any(f"HD_{name}" in done.out for name in ("PCT", "PROB", "CLASS"))


@pytest.mark.parametrize("name", ["x.vcf", "x.vcf.gz", "x.bcf"])
def test_the_header_tells_of_the_last_run_alone(run, tmp_path, name):
    run(VARIANTS, "-o", tmp_path / name)
    run(tmp_path / name, "--upstream", "20", "-o", tmp_path / f"second-{name}")

    header = run(tmp_path / f"second-{name}", "--no-version", "--upstream", "24").out.split("\n")

    own = [line for line in header if line.startswith("##hyenadna_")]
    assert [line.partition("=")[0] for line in own] == ["##hyenadna_model", "##hyenadna_run"]
    assert 'upstream="24"' in own[1]


@pytest.mark.parametrize("name", ["x.vcf", "x.bcf"])
def test_scoring_again_gives_the_same(run, tmp_path, name):
    options = ("--no-version", "--scores", "llr,site,jsd")
    run(VARIANTS, *options, "-o", tmp_path / f"first-{name}")

    run(tmp_path / f"first-{name}", *options, "-o", tmp_path / f"second-{name}")

    first, second = (tmp_path / f"{number}-{name}" for number in ("first", "second"))
    if name == "x.vcf":
        assert rows(first.read_text()) == rows(second.read_text())
    elif shutil.which("bcftools"):
        assert rows(bcftools("view", first)) == rows(bcftools("view", second))


# Genotypes of VCF 4.4 -----------------------------------------------------------------------------


def of_version(path, version):
    path.write_text(path.read_text().replace("VCFv4.2", f"VCFv{version}"))
    return path


PHASED = "chr1 1500 . A C 50.5 PASS AF=0.5 GT 0|1 0/1 1 1|1 ./. . .|."
SAMPLES = tuple("ABCDEFG")


@pytest.mark.slow
@pytest.mark.parametrize("version", ["4.2", "4.3", "4.4", "4.5"])
def test_phased_genotypes_come_out_as_they_went_in(run, vcf, tmp_path, version):
    source = of_version(vcf(PHASED, samples=SAMPLES), version)

    from_text, from_bcf = run(source), run(as_bcf(source))
    run(source, "-o", tmp_path / "out.bcf")
    again = run(tmp_path / "out.bcf")

    expected = PHASED.split(" ")
    for done in (from_text, from_bcf, again):
        assert done.code == 0, done.err
        assert foreign(done.out) == [expected]
    if shutil.which("bcftools"):
        assert foreign(bcftools("view", tmp_path / "out.bcf")) == [expected]


def test_bcf_of_writers_that_know_no_first_phase(run, vcf):
    """htslib before 1.22 marks nothing at the first allele, and newer ones then print /0|1."""
    source = of_version(vcf(PHASED, samples=SAMPLES), "4.4")
    header, _, line = source.read_text().rstrip("\n").rpartition("\n")
    bcf = source.with_suffix(".bcf")
    writer = cyvcf2.Writer.from_string(str(bcf), header + "\n", mode="wb")
    writer.write_header()
    writer.write_record(writer.variant_from_string(line))
    writer.close()

    done = run(bcf)

    assert done.code == 0, done.err
    assert foreign(done.out) == [PHASED.split(" ")]


def test_a_first_phase_stays_in_vcf_and_is_refused_in_bcf(run, refused, vcf, tmp_path):
    source = of_version(vcf("chr1 1500 . A C . . . GT /0|1 |0|1", samples=("A", "B")), "4.4")

    assert rows(run(source).out)[0][8:] == ["GT", "/0|1", "|0|1"]
    message = refused(source, "-o", tmp_path / "out.bcf")

    assert "variants.vcf:18: genotype '/0|1' of sample 1" in message
    assert "-O v" in message


# What BCF cannot hold -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "samples", "problem"),
    [
        ("chr1 3000000000 . N C", (), ":18: POS 3000000000 is beyond"),
        ("chr1 1500 . A C abc", (), ":18: QUAL 'abc' is not a number"),
        ("chr1 1500 . A C 12x", (), ":18: QUAL '12x'"),
        ("chr1 1500 . A C . . AF=abc", (), ":18: INFO 'AF=abc'"),
        ("chr1 1500 . A C . . DP=1.5", (), ":18: INFO 'DP=1.5'"),
        ("chr1 1500 . A C . . DP=2147483648", (), ":18: INFO 'DP=2147483648'"),
        ("chr1 1500 . A C . . DP=-2147483641", (), ":18: INFO 'DP=-2147483641'"),
        ("chr1 1500 . A C,,G", (), ":18: ALT 'C,,G' has an empty allele"),
        ("chr1 1500 . A C . . . GT", ("S1",), ":18: 0 samples, where the header names 1"),
        ("chr1 1500 . A C", ("S1",), ":18: no FORMAT and samples"),
        ("chr1 1500 . A C . . . GT 0/1", ("S1", "S2"), ":18: 1 samples, where"),
        ("chr1 1500 . A C . . . GT 0/1 0/1", ("S1",), ":18: 2 samples, where"),
        ("chr1 1500 . A C . . . GT 0/1", (), ":18: 1 samples, where"),
        ("chr1 1500 . A C . . . GT 0/1:5", ("S1",), ":18: sample 1, '0/1:5', has more values"),
        ("chr1 1500 . A C . . . GT x/1", ("S1",), ":18: sample 1, 'x/1': GT 'x/1'"),
        ("chr1 1500 . A C . . . GT 0/", ("S1",), ":18: sample 1, '0/'"),
        ("chr1 1500 . A C . . . GT:DP 0/1:9 0/1:9x", ("S1", "S2"), ":18: sample 2, '0/1:9x': DP"),
        ("chr1 1500 . A C . . . DP:DP 1:2", ("S1",), ":18: FORMAT DP:DP names a key twice"),
        ("chr1 1500 . A C . . . GT:DP 0/1:", ("S1",), ":18: sample 1, '0/1:'"),
    ],
)
def test_a_record_that_bcf_cannot_hold_is_named(refused, vcf, tmp_path, record, samples, problem):
    assert problem in refused(vcf(record, samples=samples), "-o", tmp_path / "out.bcf")


def test_a_record_of_a_stream_that_bcf_cannot_hold_is_named(run, vcf, tmp_path, monkeypatch):
    source = vcf("chr1 1500 . A C", "chr1 1600 . N C . . DP=1.5")
    monkeypatch.setattr("sys.stdin", as_stdin(source))

    done = run("-", "-o", tmp_path / "out.bcf")

    assert done.code == 3
    assert ":19: INFO 'DP=1.5'" in done.err
    assert not list(tmp_path.glob("out.*"))


@pytest.mark.parametrize("line", ["chr1\t1500\t.\tA\tC\t\t.\t.", "chr1\t1500\t.\tA\tC\t.\t\t."])
def test_an_empty_column_is_refused_in_bcf(refused, vcf, tmp_path, line):
    source = vcf()
    source.write_text(source.read_text() + line + "\n")

    assert "variants.vcf:18: " in refused(source, "-o", tmp_path / "out.bcf")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("##contig=<ID=chr9,length=unknown>", "'##contig=<ID=chr9,length=unknown>'"),
        ('##INFO=<ID=X,Number=1,Type=Integer,Description="d>', "BCF cannot hold the header line"),
        ('##INFO=<ID=X,Number=1,Type=Integer,Description="a "b" c">', "BCF cannot hold"),
        ('##INFO=<Number=1,Type=Integer,Description="a">', "BCF cannot hold the header line"),
    ],
)
@pytest.mark.parametrize("is_piped", [False, True])
def test_a_header_line_that_bcf_cannot_hold_is_named(
    refused, vcf, tmp_path, monkeypatch, line, problem, is_piped
):
    source = vcf("chr1 1500 . A C", header=(line,))
    if is_piped:
        monkeypatch.setattr("sys.stdin", as_stdin(source))

    message = refused("-" if is_piped else source, "-o", tmp_path / "out.bcf")

    assert problem in message
    assert f"{'-' if is_piped else source}:17: " in message


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ("\tFORMAT\tS1\tS1", "two samples are called 'S1'"),
        ("\tFORMAT", "a FORMAT column without samples"),
        ("\t", "the line ends with a tab"),
        (" ", "not exactly those of VCF"),
    ],
)
def test_sample_names_that_bcf_cannot_hold_are_named_and_pass_in_vcf(
    run, refused, vcf, tmp_path, columns, problem
):
    source = vcf("chr1 1500 . A C . . . GT 0/1 0/1")
    source.write_text(source.read_text().replace("\tINFO\n", f"\tINFO{columns}\n"))

    as_vcf = run(source)

    assert as_vcf.code == 0, as_vcf.err
    assert f"\tINFO{columns}\n" in as_vcf.out
    message = refused(source, "-o", tmp_path / "out.bcf")
    assert problem in message
    assert "variants.vcf:17: " in message


def test_header_lines_that_say_nothing_of_records_may_be_left_out(run, vcf, tmp_path):
    line = '##GATKCommandLine=<ID=Caller,CommandLine="call --expression "a b" --fast">'
    source = vcf("chr1 1500 . A C", header=(line, "##free text"))

    done = run(source, "-o", tmp_path / "out.bcf")

    assert done.code == 0, done.err
    assert f"2 header lines are left out, as BCF cannot hold them; the first: {line}" in done.err
    assert f"{line}\n##free text\n" in run(source).out


def test_a_tab_in_a_value_of_bcf_is_refused(refused, vcf):
    bcf = as_bcf(vcf("chr1 1500 aXb A C", "chr1 1501 . N C"))
    bcf.write_bytes(bcf.read_bytes().replace(b"aXb", b"a\tb"))

    assert "a tab or line break stands in a value of record 1" in refused(bcf)


@pytest.mark.parametrize("separator", ["\x85", "\u2028", "\x0c", "\x1c"])
def test_a_bcf_header_may_hold_any_separator_but_line_feeds(run, vcf, separator):
    line = f'##INFO=<ID=X,Number=1,Type=String,Description="a{separator}b">'

    done = run(as_bcf(vcf("chr1 1500 . A C", header=(line,))))

    assert done.code == 0, done.err
    assert f"{line}\n" in done.out


# Bytes and line ends ------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_bytes_that_are_not_utf8_leave_as_they_came(run, vcf, tmp_path, compression):
    source = vcf(
        "chr1 1500 idX A C . . SVTYPE=X",
        header=('##INFO=<ID=Y,Number=1,Type=String,Description="X">',),
        compression=compression,
    )
    if compression == "gzip":
        data = gzip.decompress(source.read_bytes()).replace(b"X", b"\xe9")
        source.write_bytes(gzip.compress(data))
    else:
        data = source.read_bytes().replace(b"X", b"\xe9")
        source.write_bytes(data)

    for name in ("out.vcf", "out.tsv", "out.bcf"):
        done = run(source, "-o", tmp_path / name)
        assert done.code == 0, done.err

    scored = (tmp_path / "out.vcf").read_bytes()
    assert b"chr1\t1500\tid\xe9\tA\tC\t.\t.\tSVTYPE=\xe9;HD_LLR=" in scored
    assert b'Description="\xe9">\n' in scored
    assert b"\tid\xe9\t" in (tmp_path / "out.tsv").read_bytes()
    latin1 = run(tmp_path / "out.bcf")
    assert latin1.code == 3
    assert "record 1 ('chr1:1500') has bytes that are not UTF-8" in latin1.err
    assert "iconv -f latin1 -t utf-8" in latin1.err


def test_crlf_and_empty_entries_come_back(run, vcf, tmp_path):
    source = vcf("chr1 1500 . A C 50 PASS AF=0.5;;DB;", "chr1 1600 . N C 50 PASS .")
    source.write_bytes(source.read_bytes().replace(b"\n", b"\r\n"))

    run(source, "-o", tmp_path / "out.vcf")
    run(source, "-o", tmp_path / "out.bcf")

    scored = (tmp_path / "out.vcf").read_bytes()
    assert scored.count(b"\r\n") == scored.count(b"\n")
    assert b"AF=0.5;;DB;;HD_LLR=" in scored
    if shutil.which("bcftools"):
        assert "\r" not in bcftools("view", tmp_path / "out.bcf")


def test_a_byte_order_mark_is_read(run, vcf):
    source = vcf("chr1 1500 . A C")
    source.write_bytes(b"\xef\xbb\xbf" + source.read_bytes())

    done = run(source)

    assert done.code == 0, done.err
    assert done.out.startswith("##fileformat=VCF")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda text: text.replace("\t", " "), ":17: is not VCF: the columns are separated by sp"),
        (lambda text: text.replace("\tA\tC\t", " A C "), ":18: the columns are separated by spac"),
        (lambda text: text.replace("AF=1", "AF=1\rX"), ":18: a carriage return stands inside"),
        (lambda text: text.replace("\n", "\r"), ":1: a carriage return stands inside the line"),
    ],
)
def test_what_is_wrong_with_the_text_is_named(refused, vcf, change, problem):
    source = vcf("chr1 1500 . A C . . AF=1")
    source.write_bytes(change(source.read_bytes().decode()).encode())

    assert problem in refused(source)


def test_utf16_is_named(refused, vcf):
    source = vcf("chr1 1500 . A C")
    source.write_bytes(source.read_text().encode("utf-16"))

    assert "iconv -f utf-16 -t utf-8" in refused(source)


# Order, contigs, places ---------------------------------------------------------------------------

UNSORTED = ("chr2 2000 . N T", "chr1 1600 . N C", "chr1 1500 . A C", "chr2 2001 . N A")


@pytest.mark.parametrize("is_piped", [False, True])
def test_an_index_of_unsorted_records_is_refused_at_the_first(
    run, vcf, tmp_path, monkeypatch, is_piped
):
    source = vcf(*UNSORTED)
    if is_piped:
        monkeypatch.setattr("sys.stdin", as_stdin(source))

    done = run("-" if is_piped else source, "-W", "-o", tmp_path / "out.vcf.gz")

    assert done.code == 3
    assert ":20: chr1:1500 A>C is out of order" in done.err
    assert "bcftools sort" in done.err
    assert not (tmp_path / "out.vcf.gz").exists()
    assert run(source).code == 0


@pytest.mark.parametrize(
    ("contigs", "record", "options", "problem"),
    [
        ({"chr1": 249_250_621, "chr2": 5}, "chr1 1500 . A C", (), "chr1 has 249,250,621 bp, but"),
        ({"1": 30_000, "MT": 2_569}, "1 1500 . A C", ("--contig-map", "auto"), "MT has 2,569 bp"),
    ],
)
def test_contig_lengths_of_another_genome_are_a_warning_and_strictly_an_error(
    run, refused, vcf, tmp_path, contigs, record, options, problem
):
    source = vcf(record, contigs=contigs)

    warned = run(source, *options)

    assert warned.code == 0
    assert problem in warned.err
    assert f"differ for {2 if 'chr2' in contigs else 1} contigs" in warned.err
    assert problem in refused(source, *options, "--strict")
    assert "has" not in run(vcf("chr1 1500 . A C", name="same.vcf"), "-q").err


@pytest.mark.parametrize(
    ("alt", "status"),
    [("A<ctg1>", "SYMBOLIC"), ("<ctg1>A", "SYMBOLIC"), ("<INS>", "SYMBOLIC"), ("A.", "BND")],
)
def test_insertions_of_a_contig_are_symbolic(run, vcf, alt, status):
    assert rows(run(vcf(f"chr1 1500 . A {alt}")).out)[0][7] == f"HD_STATUS={status}"


def test_an_output_that_is_an_input_is_refused(run, vcf, tmp_path):
    source = vcf("chr1 1500 . A C")
    (tmp_path / "link.vcf").symlink_to(source)
    before = source.read_bytes()

    for output in (source, tmp_path / "link.vcf"):
        assert run(source, "-o", output).code == 6
        forced = run(source, "-o", output, "--force")
        assert forced.code == 2
        assert "would overwrite an input" in forced.err
    assert source.read_bytes() == before


def test_merging_what_has_no_manifest_says_so(hyenadna, run, vcf, tmp_path):
    source = vcf("chr1 1500 . A C")
    for number in (1, 2):
        run(source, "-o", tmp_path / f"{number}.vcf", "--shard", f"{number}/2")
    (tmp_path / "2.vcf.manifest.json").unlink()

    done = hyenadna("merge", tmp_path / "1.vcf", tmp_path / "2.vcf", "-o", tmp_path / "all.vcf")

    assert done.code == 3
    assert "2.vcf: has no manifest: 2.vcf.manifest.json must lie beside it" in done.err


@pytest.mark.parametrize("kind", ["vcf", "bcf"])
def test_shards_of_crlf_and_latin1_merge(hyenadna, run, vcf, tmp_path, kind):
    source = vcf(
        "chr1 1500 . A C",
        "chr1 1600 . N C",
        header=('##INFO=<ID=Y,Number=1,Type=String,Description="X">',),
    )
    source.write_bytes(source.read_bytes().replace(b"\n", b"\r\n").replace(b'"X"', b'"\xe9"'))
    parts = [tmp_path / f"{number}.{kind}" for number in (1, 2)]
    for number, part in enumerate(parts, start=1):
        done = run(source, "-o", part, "--shard", f"{number}/2")
        assert done.code == 0, done.err

    done = hyenadna("merge", *parts, "-o", tmp_path / f"all.{kind}")

    assert done.code == 0, done.err
    again = run(tmp_path / f"all.{kind}", "-o", tmp_path / "again.vcf")
    assert again.code == 0, again.err
    merged = (tmp_path / "again.vcf").read_bytes()
    assert b'"\xe9"' in merged
    assert len(rows(merged.decode("latin1"))) == 2
    if kind == "vcf":
        data = (tmp_path / "all.vcf").read_bytes()
        assert data.count(b"\r\n") == data.count(b"\n")


# What real tools make of it -----------------------------------------------------------------------

LONG = "ACGTTGCA" * 40
REPEATS = ",".join("A" + "CA" * n for n in range(1, 101))
KINDS = {
    "snv": (["chr1 1500 rs1 A C 50 PASS AF=0.5"], {}),
    "no records": ([], {}),
    "no INFO": (["chr1 1500 . A C . . ."], {}),
    "multi-allelic": (["chr1 1500 . A C,G,T 9.5 PASS AF=0.1,0.2,0.3"], {}),
    "deletion": (["chr1 4600 . CCT C"], {}),
    "insertion": (["chr1 1500 . A ACGT"], {}),
    "MNV": (["chr1 4600 . CCT GGA"], {}),
    "star": (["chr1 1500 . A *,C"], {}),
    "no ALT": (["chr1 1500 . A . . PASS DP=3"], {}),
    "NON_REF": (["chr1 1500 . A <NON_REF> . . END=1600"], {}),
    "gVCF": (
        ["chr1 1500 . A <NON_REF> . . END=1500 GT:DP 0/0:3", "chr1 1501 . N C,<NON_REF>"],
        {"samples": ["S1"], "genotypes": "GT:DP:AD 0/1:9:4,5,0"},
    ),
    "symbolic deletion": (["chr1 1500 . A <DEL> . PASS SVTYPE=DEL;END=1900"], {}),
    "symbolic without END": (["chr1 1500 . A <DEL> . PASS SVTYPE=DEL"], {}),
    "breakend": (["chr1 1500 . A A[chr2:500["], {}),
    "single breakend": (["chr1 1500 . A A.", "chr1 1600 . N .N"], {}),
    "contig insertion": (["chr1 1500 . A A<ctg1>"], {}),
    "lower case": (["chr1 1500 . a c"], {}),
    "N": (["chr1 1500 . N C"], {}),
    "IUPAC": (["chr1 1500 . R C"], {}),
    "wrong REF": (["chr1 1500 . G C"], {}),
    "POS 0": (["chr1 0 . N C", "chr1 1500 . A C"], {}),
    "past the end": (["chr1 30001 . N C"], {}),
    "long allele": ([f"chr1 1500 . A {LONG}"], {}),
    "STR of 100 alleles": ([f"chr1 1500 . A {REPEATS}"], {}),
    "duplicates": (["chr1 1500 . A C"] * 3, {}),
    "several IDs": (["chr1 1500 rs1;rs2 A C"], {}),
    "undeclared filter": (["chr1 1500 . A C 3 q10;s50 DB"], {}),
    "flag": (["chr1 1500 . A C . PASS DB;DP=3"], {}),
    "flag with a value": (["chr1 1500 . A C . PASS DB=1"], {}),
    "key without a value": (["chr1 1500 . A C . PASS DP"], {}),
    "undeclared": (["chr1 1500 . A C . new FOO=1;BAR"], {}),
    "undeclared FORMAT": (["chr1 1500 . A C . . . GT:XX 0/1:a"], {"samples": ["S1"]}),
    "exponents": (["chr1 1500 . A C 1e-05 . AF=1e-10"], {}),
    "NaN": (["chr1 1500 . A C . . AF=nan"], {}),
    "percent": (["chr1 1500 . A C . . SVTYPE=a%3Bb%2C"], {}),
    "Unicode": (["chr1 1500 r\u00e9 A C . . SVTYPE=\u2028\u00e9"], {}),
    "HLA": (
        ["HLA-A*01:01:01:01 5 . N C", "chr1 1500 . A C"],
        {"contigs": {"HLA-A*01:01:01:01": 3_503, **CONTIGS}},
    ),
    "no contig lines": (["chr1 1500 . A C", "chr2 2000 . N T"], {"contigs": {}}),
    "far": (["huge 600000000 . N C", "chr1 1500 . A C"], {"contigs": {"huge": 10**9, **CONTIGS}}),
    "trailing values left out": (
        ["chr1 1500 . A C . . . GT:DP:FT 0/1 0/1:3 ./.:.:q"],
        {"samples": ["A", "B", "C"]},
    ),
    "polyploid": (["chr1 1500 . A C . . . GT 0/0/0/1 0|1|1 1"], {"samples": ["A", "B", "C"]}),
    "likelihoods": (["chr1 1500 . A C . . . GT:GL 0/1:-1.5,-0.25,-3"], {"samples": ["A"]}),
    "no GT": (["chr1 1500 . A C . . . DP 3"], {"samples": ["A"]}),
    "odd sample names": (["chr1 1500 . A C . . . GT 0/1 1/1"], {"samples": ["a-1.x", "\u00e9"]}),
    "3,000 samples": (
        ["chr1 1500 . A C . . . GT:DP " + " ".join(["0|1:9"] * 3_000)],
        {"samples": [f"S{n}" for n in range(3_000)]},
    ),
    "CRLF": (["chr1 1500 . A C 50 PASS AF=0.5"], {"line_end": "\r\n"}),
    "extra header lines": (
        ["chr1 1500 . A C"],
        {
            "header": (
                '##ALT=<ID=DEL,Description="a \\"quoted\\" word, <here>">',
                "##META=<ID=Assay,Type=String,Number=.,Values=[WholeGenome, Exome]>",
                '##SAMPLE=<ID=S1,Assay=WholeGenome,Description="">',
                "##source=some tool, v1",
                "##source=some other tool",
                '##INFO=<ID=DP,Number=1,Type=Integer,Description="again">',
            )
        },
    ),
}


def apart_from_info(records):
    """All other columns; values that are missing at the end of a sample may be left out."""
    return [[*c[:7], *(re.sub(r"(:\.)+$", "", sample) for sample in c[8:])] for c in records]


@pytest.mark.slow
@needs_bcftools
@pytest.mark.parametrize("kind", KINDS)
def test_bcftools_takes_every_kind_of_record(run, vcf, tmp_path, kind):
    records, more = KINDS[kind]
    more = {**more}
    line_end, genotypes = more.pop("line_end", "\n"), more.pop("genotypes", "")
    # A record that brings no samples of its own has those of the kind.
    records = [
        r if len(r.split(" ")) > 8 or not genotypes else f"{r} . . . {genotypes}" for r in records
    ]
    source = vcf(*records, **{**more, "samples": tuple(more.get("samples", ()))})
    expected = [line.split("\t") for line in source.read_text("utf-8").split("\n")[:-1]]
    expected = [columns for columns in expected if not columns[0].startswith("#")]
    source.write_bytes(source.read_bytes().replace(b"\n", line_end.encode()))

    for name in ("out.vcf", "out.vcf.gz", "out.bcf"):
        output = tmp_path / name
        done = run(source, "-o", output, *([] if name == "out.vcf" else ["-W"]))
        assert done.code == 0, done.err
        if name == "out.vcf":
            scored = foreign(output.read_bytes().decode().replace("\r\n", "\n"))
            assert scored == expected
        viewed = bcftools("view", output)
        assert apart_from_info(rows(viewed)) == apart_from_info(expected)
        assert all("HD_STATUS=" in columns[7] for columns in rows(viewed))
        if name == "out.bcf" or "undeclared" not in kind:
            bcftools("norm", "-m", "-any", output)
        queried = bcftools("query", "-f", "%POS %HD_STATUS\\n", output)
        assert [line.split(" ")[0] for line in queried.splitlines()] == [c[1] for c in expected]
        if name != "out.vcf":
            assert bcftools("index", "-n", output).strip() == str(len(expected))
            bcftools("index", "-f", output)
