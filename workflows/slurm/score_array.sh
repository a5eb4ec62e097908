#!/bin/bash
# Score a VCF in as many parts as the array has tasks; preempted tasks go on where they stopped.
#
#   export VCF=in.vcf.gz FASTA=hg38.fa MODEL=medium-160k OUT=shards
#   hyenadna models download $MODEL                       # once, where there is a network
#   job=$(sbatch --parsable --array=1-64%8 workflows/slurm/score_array.sh --window 32k)
#   sbatch --dependency=afterok:$job --wrap 'hyenadna merge shards/*.vcf.gz -o scored.vcf.gz -W'
#
#SBATCH --job-name=hyenadna-score
#SBATCH --cpus-per-task=4
#SBATCH --time=01:30:00
#SBATCH --requeue
#SBATCH --open-mode=append
# To the job step, three minutes before the time is over; a preempted step gets TERM as well.
#SBATCH --signal=TERM@180
# On a GPU node add: --gpus=1 --mem=24G
set -uo pipefail
mkdir -p "${OUT:=shards}"

# srun, so that the signal reaches the program and not only this shell. --force: what an earlier
# array made from other inputs or settings is made anew; the same run goes on.
srun hyenadna score-variants "$VCF" --fasta "$FASTA" -m "${MODEL:-builtin}" --offline \
    --shard auto --resume --force -o "$OUT/$SLURM_ARRAY_TASK_ID.vcf.gz" "$@"
code=$?

# 75: the device ran out of memory; 143: stopped cleanly, the journal keeps what was done.
if [ $code -eq 75 ] || [ $code -eq 143 ]; then
    scontrol requeue "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"
fi
exit $code
