#!/bin/sh
# The figures of docs/learned-variant-scores.md: scores learned from labels of ClinVar (split by chromosome), of
# BRCA1 (by exon), and of the differences between two species' mitochondria (by blocks of 500 bases).
#
#     sh learned.sh hg19.fa genes.gtf.gz clinvar.vcf.gz findlay2018_brca1_sge.tsv weasel.fa stoat.fa OUTPUT
#
# ClinVar and BRCA1 have the label as INFO/CLASS. OUTPUT gets a directory for each set.
set -eu
[ $# -eq 7 ] || { sed -n '2,8p' "$0" >&2; exit 2; }
here=$(dirname "$0")
genome=$1 genes=$2 clinvar=$3 brca1=$4 first=$5 second=$6 out=$7
mkdir -p "$out"
vectors="--allele diff-at-variant --pool mean,first --scores llr,site,jsd,l2,cos"
learn="--probe --label-column CLASS --cross-validate --features embedding,llr,site,jsd,l2,cos,context"

python "$here/sample_vcf.py" "$clinvar" --values P/LP,B/LB --each 2000 --snvs > "$out/clinvar.vcf"
python "$here/findlay_to_vcf.py" "$brca1" > "$out/brca1.vcf"
python "$here/strains_to_vcf.py" "$first" "$second" > "$out/mito.vcf"

# shellcheck disable=SC2086  # options are several words
{
    hyenadna embed --vcf "$out/clinvar.vcf" --fasta "$genome" --window 256 $vectors --info CLASS \
        -o "$out/clinvar.h5ad"
    hyenadna embed --vcf "$out/brca1.vcf" --fasta "$genome" --window 1024 --layout grid $vectors \
        --info CLASS,EXON -o "$out/brca1.h5ad"
    hyenadna embed --vcf "$out/mito.vcf" --fasta "$first" --window 256 $vectors --info CLASS,BLOCK \
        -o "$out/mito.h5ad"
    hyenadna finetune $learn --embeddings "$out/clinvar.h5ad" --positive P/LP --negative B/LB \
        --groups chrom --genes "$genes" -o "$out/clinvar"
    hyenadna finetune $learn --embeddings "$out/brca1.h5ad" --positive LOF --negative FUNC \
        --groups EXON --genes "$genes" -o "$out/brca1"
    hyenadna finetune $learn --embeddings "$out/mito.h5ad" --positive differs --negative random \
        --groups BLOCK -o "$out/mito"
}
