#!/bin/sh
# A figure of docs/learned-variant-scores.md: common SNVs of dbSNP against pathogenic ones of ClinVar.
#
#     sh common.sh hg38.fa genes.gtf.gz dbsnp.vcf.gz clinvar.vcf.gz OUTPUT
#
# dbSNP has the frequency as INFO/MAF, ClinVar the label as INFO/CLASS.
set -eu
[ $# -eq 5 ] || { sed -n '2,6p' "$0" >&2; exit 2; }
here=$(dirname "$0")
genome=$1 genes=$2 dbsnp=$3 clinvar=$4 out=$5
mkdir -p "$out"

python "$here/common_to_vcf.py" "$dbsnp" "$clinvar" "$genes" > "$out/common.vcf"
hyenadna embed --vcf "$out/common.vcf" --fasta "$genome" --window 256 --allele diff-at-variant \
    --pool mean,first --scores llr,site,jsd,l2,cos --info CLASS,BLOCK -o "$out/common.h5ad"
hyenadna finetune --probe --embeddings "$out/common.h5ad" --label-column CLASS --positive P/LP \
    --negative common --groups BLOCK --features embedding,llr,site,jsd,l2,cos,context \
    --cross-validate --genes "$genes" -o "$out/common"
