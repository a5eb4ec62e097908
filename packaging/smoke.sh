#!/bin/sh
# The installed program does its main jobs: away from the sources, without network and home.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$here"/test_data/tiny.fa "$here"/test_data/tiny.fa.fai "$here"/test_data/regions.bed \
    "$here"/test_data/variants.vcf "$here"/test_data/labelled.csv "$work"
cd "$work"
export HOME=/nonexistent HF_HUB_OFFLINE=1 MPLCONFIGDIR="$work/matplotlib"

hyenadna --version
hyenadna --help >help.txt
hyenadna embed --fasta tiny.fa --bed regions.bed -o regions.h5ad
hyenadna embed --fasta tiny.fa --bed regions.bed -o regions.tsv -q
hyenadna score-variants variants.vcf --fasta tiny.fa --window 1k -o scored.vcf.gz -W
hyenadna finetune --data labelled.csv --epochs 1 -o classifier -q
hyenadna predict -m classifier --fasta tiny.fa -o predicted.tsv -q
hyenadna models verify builtin
hyenadna doctor >doctor.txt || { cat doctor.txt; exit 1; }
