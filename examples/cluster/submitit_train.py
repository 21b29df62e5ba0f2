"""A training as a job of SLURM, from Python; it queues itself again when its time is over.

python submitit_train.py digits/reacgan /shared/runs/digits
"""

from __future__ import annotations

import sys
from typing import Any

import submitit


class Training:
    """What each process of the job calls; submitit keeps it as a file until the job begins."""

    def __call__(self, name: str, out: str) -> int:
        """Train or resume; images seen."""
        submitit.helpers.TorchDistributedEnvironment().export(set_cuda_visible_devices=False)
        import reacgan  # noqa: PLC0415 - after the environment that it joins the processes by

        return reacgan.train(reacgan.experiment(name), out).images_seen

    def checkpoint(self, name: str, out: str) -> Any:
        """The job is about to end, or is preempted: the next one resumes."""
        return submitit.helpers.DelayedSubmission(self, name, out)


def main(name: str, out: str, cluster: str | None = None, processes: int = 4) -> None:
    """Submit, and print what is known of the job."""
    executor = submitit.AutoExecutor(folder=f"{out}-jobs", cluster=cluster)
    executor.update_parameters(
        nodes=1 if cluster else 2,
        tasks_per_node=processes,
        gpus_per_node=0 if cluster else processes,
        cpus_per_task=1 if cluster else 8,
        timeout_min=12 * 60,
        slurm_signal_delay_s=300,
    )
    job = executor.submit(Training(), name, out)
    print(f"job {job.job_id}; its output: {job.paths.stdout}")
    if cluster:  # "local" tries the script on this machine
        print(f"images seen by each process: {job.results()}")


if __name__ == "__main__":
    main(*sys.argv[1:3], *sys.argv[3:4])
