#!/bin/bash
# Train on all GPUs of all nodes of the job; a run that was stopped goes on where it was.
#
#   sbatch --nodes=2 --gpus-per-node=4 workflows/slurm/pretrain.sh --fasta hg38.fa -o run ...
#   sbatch --nodes=2 --gpus-per-node=4 workflows/slurm/pretrain.sh --fasta hg38.fa -o run ... --context-parallel 4
#
# The 4 processes of a node then share each sequence, and the 2 nodes the sequences of a step:
# neighbouring ranks share, so that what they exchange stays within a node where N divides its GPUs.
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

run=
for ((i = 1; i <= $#; i++)); do
    case "${!i}" in
        -o | --output) next=$((i + 1)) run=${!next} ;;
        --output=*) run=${!i#--output=} ;;
    esac
done
last() { cat "$run/last" 2> /dev/null; }
before=$(last)

# One torchrun a node; PROCESSES is for nodes without GPUs.
srun torchrun --nnodes="$SLURM_NNODES" --nproc-per-node="${PROCESSES:-gpu}" \
    --rdzv-id="$SLURM_JOB_ID" --rdzv-backend=c10d --rdzv-endpoint="$first:${PORT:-29500}" \
    -m hyenadna_cli pretrain --resume "$@"
code=$?

# torchrun ends with 1 whatever its processes ended with (it prints that): a signal, a lost node or
# lack of memory is worth another start as long as each gets further, and a mistake never does.
if [ $code -ne 0 ] && [ "$(last)" != "$before" ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit $code
