#!/bin/bash
# One process a GPU, started by SLURM itself: sbatch slurm.sh imagenet/reacgan-256 --out /shared/runs/imagenet
# The same command resumes. For a training longer than a job, queue it several times at once:
#   for part in 1 2 3; do sbatch --dependency=singleton slurm.sh ...; done
#SBATCH --job-name=reacgan
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --time=12:00:00
#SBATCH --signal=USR1@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=reacgan-%j.log
set -euo pipefail

MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export MASTER_ADDR MASTER_PORT=$((20000 + SLURM_JOB_ID % 20000)) WORLD_SIZE=$SLURM_NTASKS

# exec: signals of SLURM reach the training itself. A process that ends with an error ends the others.
srun --kill-on-bad-exit=1 bash -c '
    export RANK=$SLURM_PROCID LOCAL_RANK=$SLURM_LOCALID
    exec reacgan train "$@"
' reacgan "$@"
