"""Submit trials to a cluster: SLURM jobs through submitit, or a list of commands for other queues."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reacgan.config import ConfigError
from reacgan.suites.base import Context, Scale, Suite
from reacgan.suites.runner import is_complete, jobs_of


def commands(
    suite: Suite,
    out: Path,
    scale: Scale,
    *,
    seeds: Sequence[int],
    only: Sequence[str] = (),
    context: Context,
) -> list[list[str]]:
    """One command for each incomplete trial and seed, for any machine with access to ``out``."""
    return [
        [
            "experiments",
            "run",
            suite.name,
            f"--scale={scale}",
            f"--out={out}",
            f"--only={job.trial.name}",
            f"--first-seed={job.seed}",
            "--seeds=1",
            f"--device={context.device}",
            *(f"--data={name}={path}" for name, path in context.data.items()),
            *(["--by-domain"] if context.by_domain else []),
            *(f"--set={key}={json.dumps(value)}" for key, value in context.changes.items()),
        ]
        for job in jobs_of(suite, out, scale, seeds=seeds, only=only)
        if not is_complete(job, context)
    ]


def as_text(commands: Sequence[Sequence[str]]) -> str:
    """Lines for a shell or a queue."""
    return "".join(f"reacgan {shlex.join(words)}\n" for words in commands)


def submit(
    commands: Sequence[Sequence[str]],
    logs: Path,
    *,
    cluster: str = "slurm",
    parameters: Mapping[str, Any] | None = None,
) -> list[Any]:
    """Submit each command; returns submitit's jobs.

    Args:
        commands: those of :func:`commands`.
        logs: the folder for output and errors of the jobs.
        cluster: ``slurm``, or ``local`` for processes of this machine.
        parameters: of submitit's executor, such as ``timeout_min=600, slurm_partition="gpu"``.

    Raises:
        ConfigError: submitit is not installed, or an unknown parameter.
    """
    try:
        import submitit  # noqa: PLC0415
    except ImportError:
        raise ConfigError(
            "the launcher slurm needs submitit: pip install 'reacgan[cluster]'; or use "
            "--launcher print and submit its lines to any queue"
        ) from None
    executor = submitit.AutoExecutor(folder=logs, cluster=cluster)
    try:
        executor.update_parameters(**(parameters or {}))
    except Exception as error:  # the type depends on the version
        raise ConfigError(f"the launcher does not take these settings: {error}") from None
    call = [sys.executable, "-m", "reacgan"]
    with executor.batch():
        return [
            executor.submit(submitit.helpers.CommandFunction([*call, *words])) for words in commands
        ]
