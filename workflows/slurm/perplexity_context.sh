#!/bin/bash
# Read windows that do not fit on one GPU, on all GPUs of all nodes of the job together.
#
#   sbatch --nodes=2 --gpus-per-node=4 workflows/slurm/perplexity_context.sh \
#       --fasta chr21.fa -m run --window 1m --track chr21.bw
#
# All share each window: the number of GPUs has to divide the width of the model. COMMAND=embed
# embeds. What needs no long context is better cut in shards: score_array.sh.
#
#SBATCH --job-name=hyenadna-context
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
#SBATCH --signal=TERM@180
set -uo pipefail
first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
per_node=${PROCESSES:-${SLURM_GPUS_ON_NODE:?ask for --gpus-per-node, or set PROCESSES}}

srun torchrun --nnodes="$SLURM_NNODES" --nproc-per-node="$per_node" \
    --rdzv-id="$SLURM_JOB_ID" --rdzv-backend=c10d --rdzv-endpoint="$first:${PORT:-29500}" \
    -m hyenadna_cli "${COMMAND:-perplexity}" --resume --context-parallel $((per_node * SLURM_NNODES)) "$@"
