#!/bin/bash
# On each of several machines, with the same address of the first of them:
#   bash torchrun.sh 10.0.0.1 digits/reacgan --out /shared/runs/digits
# Any number of machines from 1 to 4 trains; NPROC is the number of GPUs of each.
set -euo pipefail

first=$1
shift

exec torchrun \
    --nnodes 1:4 --nproc-per-node "${NPROC:-1}" --max-restarts 3 \
    --rdzv-backend c10d --rdzv-endpoint "$first:29400" --rdzv-id reacgan \
    -m reacgan train "$@"
