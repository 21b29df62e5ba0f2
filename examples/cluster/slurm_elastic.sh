#!/bin/bash
# One torchrun a node, which goes on with the nodes that are left: sbatch slurm_elastic.sh NAME --out FOLDER
# (The first node keeps the list of the others: where that one is lost, the job ends, and is queued again.)
#SBATCH --job-name=reacgan
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=32
#SBATCH --time=12:00:00
#SBATCH --no-kill
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=reacgan-%j.log
set -euo pipefail

first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
port=$((20000 + SLURM_JOB_ID % 20000))

srun --no-kill --kill-on-bad-exit=0 torchrun \
    --nnodes "1:$SLURM_NNODES" --nproc-per-node 4 --max-restarts 3 \
    --rdzv-backend c10d --rdzv-endpoint "$first:$port" --rdzv-id "$SLURM_JOB_ID" \
    -m reacgan train "$@"
