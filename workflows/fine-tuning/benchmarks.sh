#!/bin/sh
# The runs behind docs/benchmarks.md: benchmarks.sh DATA OUT [SET...]; a set that was stopped goes on.
# DATA holds gue/, enhancers-iEnhancer2L/ and genomic-benchmarks-subset/. OPTIONS adds options to all.
set -eu
data=$1 out=$2
shift 2
here=$(cd "$(dirname "$0")" && pwd)
gb=$data/genomic-benchmarks-subset
enhancers=$data/enhancers-iEnhancer2L
mkdir -p "$out"

run() {
    name=$1
    shift
    # OPTIONS is a list of words on purpose.
    # shellcheck disable=SC2086
    hyenadna finetune -o "$out/$name" --resume --dtype bf16 --threads 1 ${OPTIONS:-} "$@"
}
full="--compare probe,kmer,scratch,cnn --epochs 4 --patience 9"

for set in "${@:-all}"; do
    case $set in
    ienhancer)
        run ienhancer --data enhancer="$enhancers/enhancer.cv.txt" --data non="$enhancers/non.cv.txt" \
            --test enhancer="$enhancers/enhancer.ind.txt" --test non="$enhancers/non.ind.txt" \
            --max-train-rows 2000 $full ;;
    prom_300_tata) run "$set" --data "$data/gue/prom/$set" --max-train-rows 1500 $full ;;
    prom_core_tata) run "$set" --data "$data/gue/prom/$set" $full ;;
    prom_core_tata_2000)
        run "$set" --data "$data/gue/prom/prom_core_tata" --max-train-rows 2000 --epochs 4 \
            --patience 9 --backbone-lr-ratio 1 --compare scratch ;;
    ienhancer_all)
        run "$set" --data enhancer="$enhancers/enhancer.cv.txt" --data non="$enhancers/non.cv.txt" \
            --test enhancer="$enhancers/enhancer.ind.txt" --test non="$enhancers/non.ind.txt" \
            --probe --compare kmer ;;
    prom_core_notata)
        run "$set" --data "$data/gue/prom/$set" --probe --max-train-rows 4000 --compare kmer ;;
    human_* | demo_human_or_worm)
        run "$set" --data "$gb/$set" --probe --max-train-rows 2000 --compare kmer ;;
    chromatin)
        python "$here/../labelled-data/planted_motifs.py" chromatin "$out/chromatin.tsv.gz" \
            --rows 3000 300 600
        run chromatin --data "$out/chromatin.tsv.gz" --pool max --epochs 8 --patience 9 --compare none ;;
    regression)
        python "$here/../labelled-data/planted_motifs.py" regression "$out/regression.tsv.gz" \
            --rows 4000 400 800
        run regression --data "$out/regression.tsv.gz" --pool max --no-rc-aug --epochs 6 --patience 9 \
            --compare none ;;
    all)
        "$0" "$data" "$out" ienhancer ienhancer_all prom_300_tata prom_core_tata prom_core_tata_2000 prom_core_notata \
            human_nontata_promoters human_enhancers_ensembl human_ocr_ensembl \
            human_ensembl_regulatory demo_human_or_worm chromatin regression ;;
    *)
        echo "no set $set" >&2
        exit 2 ;;
    esac
done
