#!/bin/bash
# A value for each base of a genome, vectors of its regions or of alleles, or predictions for its
# regions, in as many parts as the array has tasks, which need nothing of each other. Preempted
# tasks go on.
#
#   export FASTA=hg38.fa MODEL=medium-160k OUT=shards
#   hyenadna models download $MODEL                       # once, where there is a network
#   job=$(sbatch --parsable --array=1-64%8 workflows/slurm/genome_array.sh)
#   sbatch --dependency=afterok:$job --wrap 'hyenadna merge shards/*.bedGraph -o genome.bedGraph'
#
# COMMAND=embed SUFFIX=h5ad     embeds:   sbatch ... genome_array.sh --bed peaks.bed
#                               alleles:  sbatch ... genome_array.sh --vcf in.vcf.gz
# COMMAND=predict SUFFIX=tsv.gz predicts, where MODEL is what finetune wrote:
#                                         sbatch ... genome_array.sh --bed peaks.bed
#
#SBATCH --job-name=hyenadna-genome
#SBATCH --cpus-per-task=4
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=TERM@180
# On a GPU node add: --gpus=1 --mem=24G
set -uo pipefail
mkdir -p "${OUT:=shards}"
command=${COMMAND:-perplexity} option=-o offline=--offline
[ "$command" = perplexity ] && option=--track
[ "$command" = predict ] && offline= # a model directory never needs the network

# srun, so that the signal reaches the program and not only this shell.
srun hyenadna "$command" --fasta "$FASTA" -m "${MODEL:-builtin}" $offline --shard auto --resume \
    $option "$OUT/$SLURM_ARRAY_TASK_ID.${SUFFIX:-bedGraph}" "$@"
code=$?

if [ $code -eq 75 ] || [ $code -eq 143 ]; then
    scontrol requeue "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"
fi
exit $code
