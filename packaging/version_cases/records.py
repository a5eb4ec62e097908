"""Cases of the commands that work record by record, and of merge."""

from __future__ import annotations

from collections.abc import Iterator

from version_cases.base import CPU, FEW, FIXED, GENOME, REGIONS, TINY, Case, one, sharded

# In batches of a few records, so that there is time to stop a run after its first block.
EMBED_MANY = (
    "embed", *GENOME, "--bed", "inputs/many.bed", *TINY, "--batch-size", "4", "--pool", "mean,last",
)  # fmt: skip
SCORE_MANY = (
    "score-variants", "inputs/many.vcf", *GENOME, *TINY, "--window", "64", "--batch-size", "4",
)  # fmt: skip


def record_cases() -> Iterator[Case]:
    """Cases that need no model but the tiny one and the built-in one."""
    yield from _embedding()
    yield from _scoring()
    yield from _mutagenesis()
    yield from _measuring()
    yield from _generating()


def _embedding() -> Iterator[Case]:
    embed = ("embed", *TINY)
    yield one("embed-stdout", *embed, *REGIONS)
    yield one(
        "embed-stdin", *embed, "--fasta", "-", "--strand", "both", "-o", "embed-stdin/x.tsv",
        stdin="inputs/genes.fa",
    )  # fmt: skip
    yield one(
        "embed-fastq", *embed, "--fasta", "inputs/reads.fq", "--specials", "cls-sep", "-o",
        "embed-fastq/x.tsv.gz",
    )  # fmt: skip
    yield one(
        "embed-h5ad", "embed", *REGIONS, "-m", "pretrain-random/run", *FIXED, "--pool",
        "mean,max,last,first,center", "--layers", "-1,0,1", "-o", "embed-h5ad/x.h5ad", "--stats",
        "embed-h5ad/stats.json",
    )  # fmt: skip
    yield one(
        "embed-windows", *embed, "--fasta", "inputs/genes.fa.gz", "--window", "100", "--stride",
        "50", "--exclude-n", "--exclude-softmasked", "--strict", "-o", "embed-windows/x.h5ad",
        "--stats", "embed-windows/x_mqc.json",
    )  # fmt: skip
    yield one("embed-tokens", *embed, *FEW, "--pool", "token", "-o", "embed-tokens/x.h5")
    yield one(
        "embed-bins", *embed, *REGIONS, "--pool", "token", "--bin", "7", "--out-dtype", "fp16",
        "--strand", "both", "-o", "embed-bins/x.h5",
    )  # fmt: skip
    yield one(
        "embed-renamed", *embed, *GENOME, "--bed", "inputs/renamed.bed", "--contig-map", "auto",
        "--rename-chrs", "inputs/names.tsv",
    )  # fmt: skip
    yield one("embed-dry-run", *embed, *REGIONS, "--dry-run")
    # With date, versions and command line, as people run it.
    yield one("embed-builtin", "embed", *FEW, *CPU, "-o", "embed-builtin/x.h5ad")
    yield sharded("embed-shards", EMBED_MANY, ".h5ad", n_shards=3)


def _scoring() -> Iterator[Case]:
    score = ("score-variants", "test_data/variants.vcf", *GENOME)
    yield one("score-stdout", *score, *TINY, "--window", "200")
    yield one(
        "score-vcf-gz", *score, *TINY, "--scores", "llr,site,jsd,l2,cos", "--per-strand", "-W",
        "-o", "score-vcf-gz/x.vcf.gz", "--stats", "score-vcf-gz/stats.json",
    )  # fmt: skip
    yield one(
        "score-bcf", *score, *TINY, "--layout", "grid", "--window", "240", "--min-context", "40",
        "-W", "-o", "score-bcf/x.bcf",
    )  # fmt: skip
    yield one("score-tsv", *score, "--window", "1k", "-O", "t", *FIXED)
    yield one("score-check-exit", *score, *TINY, "-c", "e", "-o", "score-check-exit/x.vcf")
    yield one(
        "score-check-drop", *score, *TINY, "-c", "x", "--strand", "+", "--upstream", "150",
        "--downstream", "50", "--strict", "-o", "score-check-drop/x.tsv.gz",
    )  # fmt: skip
    yield one(
        "score-odd", "score-variants", "-", *GENOME, *TINY, "--vocab", "full", "--max-allele-len",
        "5", "--max-n-frac", "0.1", "-O", "u", stdin="inputs/odd.vcf",
    )  # fmt: skip
    yield one("score-dry-run", *score, *TINY, "--dry-run")
    yield sharded("score-shards", SCORE_MANY, ".vcf.gz", "-W", n_shards=2)


def _mutagenesis() -> Iterator[Case]:
    mutagenize = ("mutagenize", *GENOME, *TINY, "--window", "128")
    yield one(
        "mutagenize-tsv", *mutagenize, "--region", "chr1:4,001-4,060", "--full", "-o",
        "mutagenize-tsv/x.tsv", "--stats", "mutagenize-tsv/stats.json",
    )  # fmt: skip
    yield one(
        "mutagenize-bedgraph", *mutagenize, "--bed", "inputs/snvs.bed", "--layout", "centred",
        "--strand", "-", "-o", "mutagenize-bedgraph/x.bedgraph",
    )  # fmt: skip
    yield one("mutagenize-dry-run", *mutagenize, "--region", "chr1:14,990-15,010", "--dry-run")


def _measuring() -> Iterator[Case]:
    yield one("perplexity-stdout", "perplexity", *REGIONS, *TINY, "--strand", "both")
    yield one(
        "perplexity-tsv-gz", "perplexity", "--fasta", "inputs/genes.fa", *TINY, "--window", "128",
        "--stride", "32", "--vocab", "full", "-o", "perplexity-tsv-gz/x.tsv.gz",
    )  # fmt: skip


def _generating() -> Iterator[Case]:
    generate = ("generate", "--length", "60", *TINY)
    yield one("generate-stdout", *generate, "--sequences", "3", "--seed", "7")
    yield one(
        "generate-fa-gz", *generate, "--fasta", "inputs/prompts.fa", "--sequences", "2",
        "--include-prompt", "--temperature", "0.8", "--top-k", "3", "--top-p", "0.9", "--allow-n",
        "-o", "generate-fa-gz/x.fa.gz", "--stats", "generate-fa-gz/stats.json",
    )  # fmt: skip
    yield one("generate-dry-run", *generate, "--prompt", "TATAAA", "--dry-run")
