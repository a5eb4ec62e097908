#!/bin/bash
# Train on all GPUs of all nodes of the job; a run that was stopped goes on where it was.
#
#   sbatch --nodes=2 --gpus-per-node=4 workflows/slurm/pretrain.sh --fasta hg38.fa -o run ...
#
#SBATCH --job-name=hyenadna-pretrain
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
# All processes take the signal and agree on the step to stop at; then there is a checkpoint.
#SBATCH --signal=TERM@300
set -uo pipefail
first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)

# No --force: a training of weeks is not started over for an option that was changed by mistake.
# One torchrun a node; PROCESSES is for nodes without GPUs.
srun torchrun --nnodes="$SLURM_NNODES" --nproc-per-node="${PROCESSES:-gpu}" \
    --rdzv-id="$SLURM_JOB_ID" --rdzv-backend=c10d --rdzv-endpoint="$first:${PORT:-29500}" \
    -m hyenadna_cli pretrain --resume "$@"
code=$?

if [ $code -eq 75 ] || [ $code -eq 143 ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit $code
