#!/bin/sh
# Demonstrations: shots 0, 2, 8, 32 of each class by samples 0, 2, 16, 64, 256 tuned on, for a seed:
#   few_shot.sh DATA DIRECTORY SEED [options of prompt-tune]
set -eu
data=$1 directory=$2 seed=$3
shift 3
for shots in 0 2 8 32; do
    for samples in 0 2 16 64 256; do
        hyenadna prompt-tune --data "$data" --shots "$shots" --samples "$samples" --seed "$seed" \
            -o "$directory/shots_${shots}_samples_${samples}_seed_${seed}" --resume "$@"
    done
done
