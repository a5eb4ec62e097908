#!/bin/sh
# Every figure of the built-in model's card: measure.sh DATA RUN OUT MODEL...
# DATA is the folder of public data, RUN the run directory of a pretraining (its regions.bed says what was held out).
# OUT gets a folder a model and tables beside them; what is there already is not computed again. STEPS chooses among
# loss, context, classes, probes, brca1 and clinvar. OPTIONS adds options to all commands.
set -eu
data=$1 run=$2 out=$3
shift 3
here=$(cd "$(dirname "$0")" && pwd)
scoring=$here/../variant-scoring
studies=$here/../../studies
hg38=$data/genome/hg38.partial.fa.gz
hg19=$data/genome/hg19.partial.fa.gz
mkdir -p "$out"

# OPTIONS and the sets' options are lists of words on purpose.
# shellcheck disable=SC2086
perplexity() { # MODEL NAME BED WINDOW
    [ -e "$out/$1/$2.tsv" ] ||
        hyenadna perplexity --fasta "$hg38" --bed "$3" -m "$(of "$1")" --window "$4" -o "$out/$1/$2.tsv" -q ${OPTIONS:-}
}
# shellcheck disable=SC2086
probe() { # MODEL SET DATA...
    model=$1 set=$2
    shift 2
    hyenadna finetune -o "$out/$model/probes/$set" -m "$(of "$model")" --resume --probe --compare kmer -q ${OPTIONS:-} "$@"
}
# shellcheck disable=SC2086
score() { # MODEL NAME VCF WINDOW
    [ -e "$out/$1/$2.vcf.gz" ] ||
        hyenadna score-variants "$3" --fasta "$hg19" -m "$(of "$1")" --layout grid --window "$4" --contig-map auto \
            -o "$out/$1/$2.vcf.gz" -q ${OPTIONS:-}
}
of() { cat "$out/$1/of"; }

awk -F'\t' -v OFS='\t' '$4 != "train" && $5 ~ /^hg38/ {print $1, $2, $3}' "$run/regions.bed" >"$out/held_out.bed"
awk -F'\t' -v OFS='\t' '$3 - $2 >= 32768 {print $1, $2, $2 + 32768}' "$out/held_out.bed" >"$out/long.bed"
names=
for model in "$@"; do
    name=$(basename "$model")
    mkdir -p "$out/$name/probes"
    echo "$model" >"$out/$name/of"
    names="$names $name"
done
for step in ${STEPS:-loss context classes probes brca1 clinvar}; do
    [ "$step" != classes ] || [ -e "$out/region_classes.tsv" ] ||
        python "$here/region_classes.py" "$hg38" "$run/regions.bed" "$data/lrg/lrg_GRCh38.gtf.gz" "$@" >"$out/region_classes.tsv"
    for name in $names; do
        case $step in
        loss)
            # Their sequences are a file of their own: the genome of the training data has them as N.
            # shellcheck disable=SC2086
            [ -e "$out/$name/eight_regions.tsv" ] ||
                hyenadna perplexity --fasta "$data/hyenadna-small-32k-published-losses/hg38_regions.fasta" \
                    -m "$(of "$name")" -o "$out/$name/eight_regions.tsv" -q ${OPTIONS:-}
            perplexity "$name" held_out "$out/held_out.bed" 32768 ;;
        context)
            for window in 1024 4096 16384 32768; do
                perplexity "$name" "context_$window" "$out/long.bed" $window
            done ;;
        probes)
            for set in prom_core_tata prom_core_notata prom_300_tata; do
                probe "$name" $set --data "$data/gue/prom/$set" --max-train-rows 5000
            done
            enhancers=$data/enhancers-iEnhancer2L
            probe "$name" ienhancer --data enhancer="$enhancers/enhancer.cv.txt" --data non="$enhancers/non.cv.txt" \
                --test enhancer="$enhancers/enhancer.ind.txt" --test non="$enhancers/non.ind.txt"
            gb=$data/genomic-benchmarks-subset
            probe "$name" human_nontata_promoters --data "$gb/human_nontata_promoters" ;;
        brca1)
            python "$scoring/findlay_to_vcf.py" "$data/brca1-findlay2018/findlay2018_brca1_sge.tsv" \
                >"$out/brca1.vcf"
            score "$name" brca1 "$out/brca1.vcf" 1024
            python "$studies/variants.py" "$name=$out/$name/brca1.vcf.gz" --label CLASS --positive LOF \
                --negative FUNC --fasta "$hg19" --genes "$data/lrg/lrg_GRCh37.gtf.gz" -o "$out/$name/brca1.auroc.tsv" ;;
        clinvar)
            score "$name" clinvar "$data/clinvar/clinvar_2016-09.in_LRG.GRCh37.vcf.gz" 256
            python "$studies/variants.py" "$name=$out/$name/clinvar.vcf.gz" --label CLASS --positive P/LP \
                --negative B/LB --fasta "$hg19" --genes "$data/lrg/lrg_GRCh37.gtf.gz" -o "$out/$name/clinvar.auroc.tsv" ;;
        classes) ;;
        *)
            echo "no step $step" >&2
            exit 2 ;;
        esac
    done
done
python "$here/measured.py" "$out" $names
