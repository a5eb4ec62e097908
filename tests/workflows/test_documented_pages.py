"""Commands of README and the pages are run, in their order, where small files of their names lie.

Sizes are those of SMALLER. Two pages are run always, and the others with --minutes.
"""

from __future__ import annotations

import gzip
import random
import re
import shutil
import subprocess

import numpy as np
import pysam
import pytest

from tests import test_examples
from tests.workflows.documented import COMMANDS, REPOSITORY, Command

EXAMPLES = [
    Command("docs/reference.md", text)
    for text in test_examples.EXAMPLES
    if text.removeprefix("hyenadna ").startswith(test_examples.NOT_RUN)
]
NOT_RUN = {
    r"models (download|info small)|--preset ": "the network",
    r"encode_orthologs\.py|findlay_to_vcf\.py|yeast_features\.py|cadd\.vcf\.gz": "data of others",
    r"reproduce/benchmarks/": "what hours of another workflow have made",
}
"""What is read and not run, and what it would need. Workflows have tests of their own."""

_PRETRAIN = (
    "--valid-contigs chr2 --max-length 256 --length-schedule 64:1,256:1 --max-steps 2 "
    "--batch-bases 512"
)
_SHAPE = "--d-model 16 --n-layer 1"
SMALLER = (
    (r"chr17:43,\d+,\d+-43,\d+,\d+", "chr1:4,001-4,030"),
    (r"--contexts \S+", "--contexts 16,64 --targets 100"),
    (r"--windows? (32k|1k|1m|1024,8192|1024)\b", "--window 256"),
    (r"--tokens 512", "--tokens 2 --epochs 1"),
    (r"--shots 8 --samples 64", "--shots 1 --samples 2"),
    (r"--per-change 200", "--per-change 2"),
    (r"--length 1000 --sequences 100", "--length 20 --sequences 2"),
    (r"--length (200|5k)", "--length 20"),
    (
        r"pretrain \.\.\. (.*) --resume",
        rf"pretrain --fasta hg38.fa {_PRETRAIN} {_SHAPE} \1 --resume",
    ),
    (r"pretrain \.\.\.", f"pretrain --fasta hg38.fa {_PRETRAIN} {_SHAPE} --force"),
    (
        r"--valid-contigs chr20.* --max-length 32k --length-schedule \S+ --max-steps 11000 \S+ 32k",
        f"{_PRETRAIN} {_SHAPE}",
    ),
    (
        r"--valid-contigs chr20,chr21 .* --config (\S+)",
        r"--valid-contigs chr2 --config \1 --length-schedule 256:1 --max-length 256 --max-steps 1 "
        "--batch-bases 512 --micro-batch-bases 512",
    ),
    (r"-m builtin --max-length 64k --max-steps 1000", "-m run --max-length 512 --max-steps 1"),
    (r"--max-steps 500", "--max-steps 1 --batch-bases 512"),
    (r"--max-steps 2000", "--max-steps 2 --probe-bases 8k"),
    (r"--test test.csv", "--test test.csv --epochs 1 -m run"),
    (
        r"--seeds 3 --compare kmer,cnn,scratch",
        "--seeds 2 --compare kmer,scratch --epochs 1 -m run",
    ),
    (r"--min-class 20", "--min-class 4"),
    (r"--nproc-per-node 4", "--nproc-per-node 2"),
    (r"--context-parallel 4", "--context-parallel 2"),
    (r"benchmark .* -o", "benchmark --case 2x128-1k --repeats 1 --max-seconds 1 --force -o"),
    (r"--length 32k --length-schedule \S+", "--length 128 --length-schedule 64:1,128:1"),
    (r"--length 16k --length-schedule \S+", "--length 64 --length-schedule 32:1,64:1"),
    (r"--probe-bases \dm", "--probe-bases 8k --lengths 64"),
    (r"--lengths [\dk,]+,[\dk]+", "--lengths 32,64"),
    (r"--test-windows \d+", "--test-windows 2"),
    (r"--train-windows \d+", "--train-windows 20"),
    (r'"a=a-short/accuracy.tsv" \.\.\.', "a=a-short/accuracy.tsv"),
    (r"--models builtin,4x256", "--models builtin"),
)
"""Sizes that take hours, places that need a whole genome, and what `...` stands for."""

_WEIGHTS = [
    "hyenadna models export seed-1 -o lightning --layout lightning",
    "cp lightning/*.ckpt weights.ckpt",
]
_VERBS = (("score-variants in.vcf.gz", "vcf.gz"), ("embed --bed peaks.bed", "h5ad"))
_SHARDS = [
    f"hyenadna {verb} --fasta hg38.fa --shard {n}/2 -o shards/{n}.{suffix}"
    for verb, suffix in _VERBS
    for n in (1, 2)
]
BEFORE = {
    "docs/models.md": _WEIGHTS,
    "docs/pipelines.md": _SHARDS,
    "docs/reference.md": [*_WEIGHTS, *_SHARDS],
    # As in Ensembl's own files.
    "docs/regions.md": ["zcat genes.gtf.gz | sed 's/^chr//' | gzip > own", "mv own genes.gtf.gz"],
    "docs/variant-scoring.md": ["bcftools view in.vcf.gz -O b -o in.bcf"],
}
"""What a page takes for granted."""

ALWAYS = ("README.md", "docs/labelled-data.md")


def commands_of(page: str) -> list[str]:
    """Those that can be run, as they are written."""
    return [
        command.text
        for command in [*COMMANDS, *EXAMPLES]
        if command.page == page
        and re.match(r"(hyenadna|python|torchrun|zcat|bcftools) ", command.text)
        and not any(re.search(pattern, command.text) for pattern in NOT_RUN)
    ]


PAGES = [
    pytest.param(page, marks=() if page in ALWAYS else pytest.mark.minutes)
    for page in dict.fromkeys(command.page for command in [*COMMANDS, *EXAMPLES])
    if page.endswith(".md") and commands_of(page)
]


def test_no_page_or_size_is_one_of_yesterday():
    texts = [command.text for command in [*COMMANDS, *EXAMPLES]]
    unused = [
        pattern
        for pattern in [*NOT_RUN, *(pattern for pattern, _ in SMALLER)]
        if not any(re.search(pattern, text) for text in texts)
    ]

    assert not unused
    assert {*ALWAYS, *BEFORE} <= {page.values[0] for page in PAGES}


def _gtf(contig: str) -> str:
    """Twelve genes of two kinds, of one coding exon each."""
    lines = []
    for n in range(12):
        first, last = 1_000 * (n + 1) + 1, 1_000 * (n + 1) + 90
        attributes = f'gene_id "g{n}"; gene_type "kind{n % 2}"; transcript_id "t{n}";'
        for kind in ("gene", "transcript", "exon", "CDS"):
            lines.append(f"{contig}\tx\t{kind}\t{first}\t{last}\t.\t+\t.\t{attributes}")
    return "\n".join([*lines, ""])


def _labelled_vcf(bases: dict[str, str], labels: tuple[str, str]) -> str:
    """SNVs of three contigs, of two labels in turn."""
    lines = ["##fileformat=VCFv4.2", *(f"##contig=<ID={name}>" for name in bases)]
    lines += [
        f'##INFO=<ID={key},Number=1,Type=String,Description="x">' for key in ("CLASS", "GENE")
    ]
    lines.append("#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO")
    for name in ("chr1", "chr2", "chrM"):
        for n in range(12):
            ref = bases[name][200 * n]
            info = f"CLASS={labels[n % 2]};GENE=g{n}"
            lines.append(
                f"{name}\t{200 * n + 1}\t.\t{ref}\t{'A' if ref != 'A' else 'C'}\t.\t.\t{info}"
            )
    return "\n".join([*lines, ""])


def _add_species(folder) -> None:
    """Five genomes that differ in composition; of each a train, a valid and a test contig."""
    letters = random.Random(0)
    lines = ["species\tfasta\ttrain_contigs\tvalid_contigs\ttest_contigs"]
    folder.mkdir()
    for n, name in enumerate(("human", "mouse", "cow", "dog", "galago")):
        weights = (n + 1, 5 - n, 5 - n, n + 1)
        records = ("".join(letters.choices("ACGT", weights, k=2_000)) for _ in "abc")
        text = "".join(
            f">{contig}\n{bases}\n" for contig, bases in zip("abc", records, strict=True)
        )
        (folder / f"{name}.fa").write_text(text)
        lines.append(f"{name}\t{name}.fa\ta\tb\tc")
    (folder / "species.tsv").write_text("\n".join([*lines, ""]))
    paths = [re.sub(r"(\w+\.fa)", rf"{folder.name}/\1", line) for line in lines]
    (folder.parent / "species.tsv").write_text("\n".join([*paths, ""]))
    (folder.parent / "contigs.fa").symlink_to(folder / "dog.fa")


def _add_regions(folder) -> None:
    regions = "".join(f"chr1\t{n}000\t{n}090\tr{n}\t0\t+\n" for n in range(1, 7))
    for name in ("peaks.bed", "held_out.bed", "brca1.bed", "train.bed"):
        (folder / name).write_text(regions)
    (folder / "peaks.bed.gz").write_bytes(gzip.compress(regions.encode()))
    genes = (("gencode.v47", "chr1"), ("Homo_sapiens.GRCh38.113", "1"), ("genes", "chr1"))
    for name, contig in genes:
        (folder / f"{name}.gtf.gz").write_bytes(gzip.compress(_gtf(contig).encode()))
    (folder / "genes.gtf").write_text(_gtf("chr1"))
    features = [f"chr1\t{n}000\t{n}090\tf{n}\t0\t+\tkind{n % 2}\n" for n in range(1, 14)]
    columns = "#chrom\tstart\tend\tname\tscore\tstrand\tgene_type\n"
    (folder / "features.bed").write_text(columns + "".join(features))


def _add_labelled(folder) -> None:
    header, *rows = (folder / "test_data" / "labelled.csv").read_text().splitlines()
    for place in (folder / "promoters", folder / "GUE" / "prom_300_tata"):
        place.mkdir(parents=True)
        for split in ("train", "test"):
            own = [row for row in rows if f",{split}," in row]
            (place / f"{split}.csv").write_text("\n".join([header, *own, ""]))
    for name in ("train", "test"):
        (folder / f"{name}.csv").symlink_to(folder / "promoters" / f"{name}.csv")
    (folder / "promoters.csv").symlink_to(folder / "promoters" / "train.csv")
    for name, bases in (("a", "GCGCGGATCC"), ("b", "ATATTAATGC")):
        records = (f">{name}{n}\n{bases * (n % 5 + 3)}{bases[: n % 7]}\n" for n in range(30))
        (folder / f"{name}.fa").write_text("".join(records))


@pytest.fixture
def folder(path_with_hyenadna, tiny_model, tmp_path, monkeypatch):
    """Where files lie that have the names of the examples, and are small."""
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    for name in ("test_data", "docs", "workflows"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    data = tmp_path / "test_data"
    for name in ("hg38", "hg19", "genome", "sacCer3", "other", "chr21"):
        for suffix in ("", ".fai"):
            (tmp_path / f"{name}.fa{suffix}").symlink_to(data / f"tiny.fa{suffix}")
    pysam.tabix_compress(str(data / "tiny.fa"), str(tmp_path / "hg38.partial.fa.gz"))
    for name in ("new.fa", "starts.fa", "x.fa"):
        (tmp_path / name).write_text(">one\nTATAAAGGCATTACGA\n>two\nGGCGCGATTACACGCG\n")
    for name in ("in.vcf.gz", "new.vcf.gz"):
        pysam.tabix_compress(str(data / "variants.vcf"), str(tmp_path / name))
    with pysam.FastaFile(str(data / "tiny.fa")) as file:
        bases = {name: file.fetch(name).upper() for name in file.references}
    (tmp_path / "sge.vcf").write_text(_labelled_vcf(bases, ("LOF", "FUNC")))
    (tmp_path / "labelled.vcf").write_text(_labelled_vcf(bases, ("P", "B")))
    pysam.tabix_compress(str(tmp_path / "labelled.vcf"), str(tmp_path / "labelled.vcf.gz"))
    first = np.array(list(bases["chr1"][20_000:28_000]))
    second = first.copy()
    second[50::100] = np.where(second[50::100] == "A", "C", "A")
    for name, letters in (("weasel", first), ("stoat", second)):
        (tmp_path / f"{name}.fa").write_text(f">{name}\n{''.join(letters)}\n")
    for name in ("seed-1", "seed-2"):
        shutil.copytree(tiny_model, tmp_path / name)
    (tmp_path / "shards").mkdir()
    _add_regions(tmp_path)
    _add_labelled(tmp_path)
    _add_species(tmp_path / "genomes")
    return tmp_path


@pytest.mark.slow
@pytest.mark.workflow
@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_run_one_after_the_other(page, folder):
    for module in ("anndata", "plotly", "pyBigWig"):
        pytest.importorskip(module)
    commands = [*BEFORE.get(page, []), *commands_of(page)]
    if not shutil.which("bcftools"):
        commands = [text for text in commands if "bcftools" not in text]

    for smaller in commands:
        for pattern, replacement in SMALLER:
            smaller = re.sub(pattern, replacement, smaller)
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", smaller], capture_output=True, text=True, cwd=folder
        )
        assert done.returncode == 0, f"{smaller}\n{done.stdout}\n{done.stderr}"
