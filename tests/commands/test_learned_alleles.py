"""From a labelled VCF to a scored VCF: `embed --vcf`, `finetune --probe`, `score-variants -m`."""

from __future__ import annotations

import gzip
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pysam
import pytest

TEST_DATA = Path(__file__).parents[2] / "test_data"
PAGE = TEST_DATA.parent / "docs" / "learned-variant-scores.md"

N_BASES = 3_000
CHROMS = ("chr1", "chr2", "chr3", "chr4", "chr5", "chr6")


@pytest.fixture
def genome(fasta_file):
    random = np.random.default_rng(5)
    return fasta_file({c: "".join(random.choice(list("ACGT"), N_BASES)) for c in CHROMS})


@pytest.fixture
def sequences(genome):
    texts = genome.read_text().split(">")[1:]
    return {t.partition("\n")[0]: t.partition("\n")[2].replace("\n", "") for t in texts}


@pytest.fixture
def labelled(vcf_file, sequences):
    """SNVs to G or T, of which those to G are harmful, and a few without a label."""

    def build(label_of=lambda chrom, alt: "P" if alt == "G" else "B", name="labelled.vcf"):
        random = np.random.default_rng(6)
        records = []
        for chrom in CHROMS:
            for start in sorted(random.choice(range(150, N_BASES - 150), 30, replace=False)):
                ref = sequences[chrom][start]
                alt = str(random.choice([base for base in "GT" if base != ref]))
                gene = f"{chrom}_{start // 500}"
                label = label_of(chrom, alt)
                records.append(f"{chrom} {start + 1} . {ref} {alt} . . CLASS={label};GENE={gene}")
        records[3] = records[3].partition("CLASS=")[0] + "GENE=g"
        records[7] = records[7].replace("CLASS=P", "CLASS=VUS").replace("CLASS=B", "CLASS=VUS")
        return vcf_file(
            *records,
            f"chr6 2900 . {sequences['chr6'][2899]} <DEL> . . CLASS=P;GENE=g",
            name=name,
            contigs=dict.fromkeys(CHROMS, N_BASES),
            header=(
                '##INFO=<ID=CLASS,Number=1,Type=String,Description="Label">',
                '##INFO=<ID=GENE,Number=1,Type=String,Description="Gene">',
                '##INFO=<ID=NOTE,Number=1,Type=String,Description="On no record">',
            ),
        )

    return build


@pytest.fixture
def compute(tiny_model):
    return ("-m", tiny_model, "--device", "cpu", "--threads", "1")


@pytest.fixture
def embedded(hyenadna, compute, genome, tmp_path):
    """`embedded(vcf, ...)`: the alleles of a VCF as a file of vectors."""

    def run(vcf, *more, name="alleles.h5ad"):
        done = hyenadna(
            *("embed", "--vcf", vcf, "--fasta", genome, "--window", "100", *compute),
            *("--info", "CLASS,GENE,NOTE", "-o", tmp_path / name, *more),
        )
        assert done.code == 0, done.err
        return tmp_path / name

    return run


@pytest.fixture
def fit(hyenadna, compute, tmp_path):
    def run(alleles, *more, to="fitted"):
        return hyenadna(
            *("finetune", "--probe", "--embeddings", alleles, "--label-column", "CLASS"),
            *(*compute, "-o", tmp_path / to),
            *(() if "--groups" in more else ("--groups", "chrom")),
            *more,
        )

    return run


TWO = ("--positive", "P", "--negative", "B")
ALL_SCORES = ("--scores", "llr,site,jsd,l2,cos")
ALL_FEATURES = ("--features", "embedding,llr,site,jsd,l2,cos,context")


def info_of(text):
    rows = [line.split("\t") for line in text.splitlines() if not line.startswith("#")]
    return [dict(e.partition("=")[::2] for e in row[7].split(";")) for row in rows]


def table_of(path):
    header, *rows = [line.split("\t") for line in path.read_text().splitlines()]
    return [dict(zip(header, row, strict=True)) for row in rows]


@pytest.mark.slow
def test_a_labelled_vcf_becomes_probabilities_in_a_vcf(
    hyenadna, embedded, fit, labelled, genome, tmp_path
):
    vcf = labelled()
    done = fit(embedded(vcf, "--allele", "diff-at-variant", *ALL_SCORES), *TWO, *ALL_FEATURES)

    assert done.code == 0, done.err
    directory = tmp_path / "fitted"
    code, out, err = hyenadna(
        "score-variants", vcf, "--fasta", genome, "-m", directory, "--device", "cpu"
    )

    assert code == 0, err
    assert "##INFO=<ID=HD_PROB,Number=A,Type=Float" in out
    assert 'window="100"' in out
    info = info_of(out)
    assert "HD_PROB" not in info[-1]
    assert info[-1]["HD_STATUS"] == "SYMBOLIC"
    probabilities = np.array([float(one["HD_PROB"]) for one in info[:-1]])
    labels = np.array([one.get("CLASS", ".") for one in info[:-1]])
    assert probabilities[labels == "P"].mean() > 0.8
    assert probabilities[labels == "B"].mean() < 0.2
    # The predictions of the test rows are those of the run that fitted it.
    tested = {row["name"]: float(row["p_P"]) for row in table_of(directory / "predictions.tsv")}
    names = [":".join(line.split("\t")[:2]) for line in out.splitlines() if line[0] != "#"]
    found = dict(zip(names, probabilities, strict=False))
    for name, probability in tested.items():
        place = name.rpartition(":")[0]
        assert found[place] == pytest.approx(probability, abs=1e-4)


@pytest.mark.slow
def test_what_each_feature_adds_is_told_and_groups_stay_together(embedded, fit, labelled, tmp_path):
    done = fit(embedded(labelled(), *ALL_SCORES), *TWO, *ALL_FEATURES)

    rows = table_of(tmp_path / "fitted" / "feature_sets.tsv")
    kinds = {(row["features"], row["kind"]) for row in rows}
    assert ("embedding+llr+site+jsd+l2+cos+context", "all") in kinds
    assert {("llr", "alone"), ("all but llr", "without"), ("kmer", "baseline")} <= kinds
    assert {("context+kmer", "baseline"), ("context", "alone")} <= kinds
    assert ("context+kmer+embedding+llr+site+jsd+l2+cos", "beside") in kinds
    assert {row["region"] for row in rows} == {"all"}
    # The trinucleotide change holds the label.
    of = {row["features"]: row for row in rows}
    assert float(of["context"]["auroc"]) > 0.85 > float(of["jsd"]["auroc"])
    assert all(row["features"] in done.err for row in rows)
    groups = json.loads((tmp_path / "fitted" / "training.json").read_text())["groups"]
    assert sorted(c for of_split in groups.values() for c in of_split) == list(CHROMS)
    leakage = json.loads((tmp_path / "fitted" / "leakage.json").read_text())
    assert leakage["windows_overlap_training"] == 0
    assert "2 alleles have none of the labels: 1 ., 1 VUS" in done.err
    assert "1 labelled alleles are left out" in done.err


@pytest.mark.slow
def test_groups_of_genes_leak_by_overlapping_windows_and_genes_which_is_told(
    embedded, fit, labelled, tmp_path
):
    genes = tmp_path / "genes.gtf"
    lines = []
    for chrom in CHROMS:
        for kind, start, end in [
            ("transcript", 1, 2_950),
            ("exon", 1, 1_500),
            ("CDS", 100, 1_500),
            ("exon", 2_940, 2_950),
        ]:
            lines.append(f'{chrom}\tx\t{kind}\t{start}\t{end}\t.\t+\t.\tgene_id "{chrom}";\n')
    genes.write_text("".join(lines))

    done = fit(embedded(labelled()), *TWO, "--groups", "GENE", "--genes", genes)

    assert done.code == 0, done.err
    rows = table_of(tmp_path / "fitted" / "feature_sets.tsv")
    assert {row["region"] for row in rows} == {"all", "coding"}
    assert all(int(row["n_rarest_class"]) >= 10 for row in rows)
    kinds = {(row["features"], row["kind"]) for row in rows}
    assert {("position", "baseline"), ("context+kmer+position", "baseline")} <= kinds
    assert ("context+kmer+position+embedding", "beside") in kinds
    leakage = json.loads((tmp_path / "fitted" / "leakage.json").read_text())
    assert leakage["windows_overlap_training"] > 0
    assert leakage["genes_shared_with_training"] > 0
    assert "share a gene with training" in done.err


@pytest.mark.slow
def test_cross_validation_judges_every_group_by_what_has_not_seen_it(
    embedded, fit, labelled, tmp_path
):
    alleles = embedded(labelled())
    once = fit(alleles, *TWO, "--features", "context", to="once")
    crossed = fit(alleles, *TWO, "--features", "context", "--cross-validate", to="crossed")

    assert (once.code, crossed.code) == (0, 0), crossed.err
    rows = {to: table_of(tmp_path / to / "predictions.tsv") for to in ("once", "crossed")}
    names = [row["name"] for row in rows["crossed"]]
    assert len(names) == len(set(names)) == 178
    # The first rotation is the split without rotations, and its classifier is kept.
    assert rows["crossed"][: len(rows["once"])] == rows["once"]
    kept = [(tmp_path / to / "alleles.json").read_text() for to in ("once", "crossed")]
    assert kept[0] == kept[1]
    assert "judged in 5 rotations: 178 alleles" in crossed.err


@pytest.mark.slow
def test_several_classes_get_a_class_and_its_probability(
    hyenadna, embedded, fit, labelled, genome, tmp_path
):
    vcf = labelled(lambda _, alt: {"G": "gain", "T": "no_change"}[alt])
    lines = vcf.read_text().replace("CLASS=VUS", "CLASS=.").replace("CLASS=P", "CLASS=gain")
    vcf.write_text(
        "".join(
            line.replace("CLASS=gain", "CLASS=x") if number % 3 == 0 else line
            for number, line in enumerate(lines.splitlines(keepends=True))
        )
    )

    done = fit(embedded(vcf), "--features", "embedding,context")

    assert done.code == 0, done.err
    code, out, err = hyenadna(
        *("score-variants", vcf, "--fasta", genome, "-m", tmp_path / "fitted", "--device", "cpu"),
        *("-O", "t"),
    )
    assert code == 0, err
    header, *rows = [line.split("\t") for line in out.splitlines()]
    assert header[-2:] == ["prob", "class"]
    assert {row[-1] for row in rows[:-1]} <= {"gain", "no_change", "x"}
    assert rows[-1][-2:] == ["nan", "."]
    assert all(1 / 3 <= float(row[-2]) <= 1 for row in rows[:-1])


@pytest.mark.slow
def test_other_windows_than_those_of_the_directory_are_refused(
    hyenadna, embedded, fit, labelled, genome, tmp_path
):
    vcf = labelled()
    assert fit(embedded(vcf), *TWO).code == 0
    command = ("score-variants", vcf, "--fasta", genome, "-m", tmp_path / "fitted")

    same = hyenadna(*command, "--window", "100", "-q")
    other = hyenadna(*command, "--window", "64")
    strand = hyenadna(*command, "--strand", "+")

    assert same.code == 0
    assert (other.code, strand.code) == (2, 2)
    assert "--window 64: the classifier in fitted was fitted with 100" in other.err
    assert "--strand +: the classifier in fitted was fitted with both" in strand.err


@pytest.mark.slow
def test_a_damaged_classifier_is_refused(hyenadna, embedded, fit, labelled, genome, tmp_path):
    vcf = labelled()
    assert fit(embedded(vcf), *TWO).code == 0
    path = tmp_path / "fitted" / "alleles.json"
    path.write_text(path.read_text()[:-40])

    code, _, err = hyenadna("score-variants", vcf, "--fasta", genome, "-m", tmp_path / "fitted")

    assert code == 4
    assert "alleles.json: damaged" in err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--label-column", "KLASS"), 3, "has no column KLASS (--label-column)"),
        (("--groups", "SYMBOL"), 3, "has no column SYMBOL (--groups)"),
        (("--positive", "LP", "--negative", "LB"), 3, "no allele has one of the labels"),
        (("--positive", "P"), 2, "--positive and --negative go together"),
        (("--positive", "P", "--negative", "B,P"), 2, "P is both --positive and --negative"),
        (("--positive", "P", "--negative", "LB"), 3, "all labelled alleles are of one class, P"),
        (("--label-column", "NOTE"), 3, "no allele that can be scored has a NOTE"),
        ((*TWO, "--groups", "NOTE"), 3, "178 labelled alleles have no NOTE, which --groups goes"),
        ((*TWO, "--features", "embedding,llr"), 2, "has no such scores; embed --scores llr"),
        ((*TWO, "--features", "depth"), 2, "'depth' is none of embedding"),
        ((*TWO, "--data", "x.tsv"), 2, "--data means nothing with --embeddings and --label-column"),
        ((*TWO, "-m", "builtin"), 3, "whose weights are not those of builtin"),
        ((*TWO, "--select", "pearson"), 2, "--select pearson"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(
    embedded, fit, labelled, tmp_path, words, code, said
):
    alleles = embedded(labelled())

    done = fit(alleles, *words)

    assert (done.code, said in done.err.splitlines()[-1]) == (code, True), done.err
    assert not (tmp_path / "fitted" / "alleles.json").exists()


@pytest.mark.slow
def test_groups_that_hold_one_class_only_are_refused(embedded, fit, labelled):
    one_each = labelled(lambda chrom, _: "P" if chrom in ("chr1", "chr6") else "B")

    done = fit(embedded(one_each), *TWO)

    assert done.code == 3
    assert "P is in 2 of 6 groups of chrom: train, valid and test need one each" in done.err


@pytest.mark.slow
def test_groups_without_a_split_that_mixes_classes_are_refused(embedded, fit, labelled):
    one_each = labelled(lambda chrom, _: "P" if chrom in ("chr1", "chr2", "chr3") else "B")

    done = fit(embedded(one_each), *TWO)

    assert done.code == 3
    assert "groups of chrom hold mostly one class" in done.err


def test_vectors_of_sequences_are_no_alleles(hyenadna, compute, fit, genome, tmp_path):
    assert hyenadna("embed", "--fasta", genome, *compute, "-o", tmp_path / "s.h5ad").code == 0

    done = fit(tmp_path / "s.h5ad", *TWO)

    assert done.code == 3
    assert "has no column pos: it is not of alleles, from `embed --vcf`" in done.err


def test_options_about_alleles_need_groups(hyenadna, tmp_path):
    done = hyenadna(
        "finetune", "--data", "x.tsv", "--positive", "P", "--negative", "B", "-o", tmp_path / "x"
    )

    assert done.code == 2
    assert "--positive goes with --groups" in done.err


def commands_of(page):
    """The lines of a page's code blocks, continued ones joined."""
    blocks = page.read_text().split("```")[1::2]
    return [
        line for block in blocks for line in block.replace("\\\n", " ").splitlines() if line.strip()
    ]


def two_strains(folder):
    """`weasel.fa` and `stoat.fa`, which differ in every 20th base, and by one deletion."""
    random = np.random.default_rng(8)
    first = random.choice(list("ACGT"), 6_000)
    second = first.copy()
    second[60::20] = random.choice(list("ACGT"), len(second[60::20]))
    for name, bases in [("weasel", first), ("stoat", np.delete(second, slice(3_030, 3_034)))]:
        (folder / f"{name}.fa").write_text(f">MT\n{''.join(bases)}\n")


@pytest.mark.slow
def test_the_commands_of_the_page_run_in_order(
    hyenadna, compute, labelled, genome, tmp_path, monkeypatch
):
    vcf = labelled()
    pysam.tabix_compress(str(vcf), str(tmp_path / "labelled.vcf.gz"))
    shutil.copy(tmp_path / "labelled.vcf.gz", tmp_path / "new.vcf.gz")
    lines = [
        f'{chrom}\tx\t{kind}\t1\t1500\t.\t+\t.\tgene_id "{chrom}";\n'
        for chrom in CHROMS
        for kind in ("transcript", "exon", "CDS")
    ]
    with gzip.open(tmp_path / "genes.gtf.gz", "wt") as file:
        file.writelines(lines)
    shutil.copytree(TEST_DATA, tmp_path / "test_data")
    text = "".join(
        line.replace("CLASS", "CADD_PHRED") for line in vcf.read_text().splitlines(keepends=True)
    )
    (tmp_path / "cadd.vcf").write_text(text)
    pysam.tabix_index(str(tmp_path / "cadd.vcf"), preset="vcf", force=True)
    two_strains(tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(TEST_DATA.parent)}
    monkeypatch.chdir(tmp_path)
    ran = []
    for line in commands_of(PAGE):
        words = [
            {"1k": "100", "200": "20"}.get(word, word) for word in shlex.split(line, comments=True)
        ]
        if words[0] == "bcftools" and shutil.which("bcftools") is not None:
            subprocess.run(words, check=True, stdout=subprocess.PIPE)
        if words[0] == "python":
            script, *files, _, output = words[1:]
            with Path(output).open("w") as listed:
                command = [sys.executable, TEST_DATA.parent / script, *files]
                subprocess.run(command, check=True, stdout=listed, env=environment)
        if words[0] != "hyenadna":
            continue
        # A small model in small windows, unless the command names a directory of its own.
        if "-m" not in words:
            words += compute
        if words[1] == "embed":
            words += ["--window", "100"]
        done = hyenadna(*words[1:])
        assert done.code == 0, (line, done.err)
        ran.append(words[1])

    assert ran == [
        *("embed", "background", "score-variants"),
        *("embed", "finetune", "score-variants"),
        *("embed", "finetune"),
    ]
    with pysam.VariantFile(str(tmp_path / "scored.vcf.gz")) as scored:
        assert all(0 <= record.info["HD_PROB"][0] <= 1 for record in list(scored)[:-1])
    with pysam.VariantFile(str(tmp_path / "ranked.vcf.gz")) as ranked:
        assert sum("HD_PCT" in record.info for record in ranked) > 150
