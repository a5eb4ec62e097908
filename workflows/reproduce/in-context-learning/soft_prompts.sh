#!/bin/sh
# Soft prompts of 2, 32, 512 and 2,048 tokens on a frozen model, a directory each:
#   soft_prompts.sh DATA DIRECTORY [options of prompt-tune]
set -eu
data=$1 directory=$2
shift 2
for tokens in 2 32 512 2048; do
    hyenadna prompt-tune --data "$data" --tokens "$tokens" --init random --lr 0.03 --epochs 2 \
        -o "$directory/tokens_$tokens" --resume "$@"
done
