"""Fewer processes than before: those that a batch cannot be shared among wait until the others are done.

``torchrun --max-restarts`` starts a job again with the machines that are left, perhaps three of four. A
batch of 64 has no thirds, and another batch would be another training. So two of the three train, and
one waits, which keeps its launcher content until more machines come or the run is complete.
"""

from __future__ import annotations

import os
import sys
import time
from datetime import timedelta
from typing import Any

from torch import distributed as dist

from reacgan import distributed
from reacgan.config import Experiment

_SECONDS_BETWEEN_LOOKS = 1.0
_DONE = "reacgan/done"


def usable_processes(batch: int, parts: int, processes: int) -> int:
    """The most of so many processes that can share a batch evenly, in at least so many parts; or 0."""
    counts = range(processes, 0, -1)
    return next((count for count in counts if batch % (count * parts) == 0), 0)


def leave_out_spare(experiment: Experiment) -> None:
    """Before the group is joined: a process that is not needed after a restart waits, and exits with 0.

    At the first start of a job nothing is left out: a number of processes that does not fit is an error.
    """
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    again = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0
    if not again or processes == 1 or dist.is_initialized():
        return
    training = experiment.training
    used = usable_processes(training.batch, training.accumulate, processes)
    if used in (0, processes):
        return
    rank = int(os.environ["RANK"])
    if rank < used:
        os.environ["WORLD_SIZE"] = str(used)
        distributed.on_leaving = _tell_spare
        return
    print(
        f"note: process {rank} of {processes} waits: a batch of {training.batch} is shared by {used} "
        "evenly, not by all; the others train on",
        file=sys.stderr,
        flush=True,
    )
    store = _store()
    while not store.check([_key()]):
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    sys.exit(0)


def _tell_spare() -> None:
    if distributed.is_main():
        _store().set(_key(), "")


def _store() -> Any:
    """The launcher's, which is there before the group is."""
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    waits = timedelta(minutes=1)
    connect: Any = dist.TCPStore  # type: ignore[attr-defined]
    return connect(address, port, is_master=False, timeout=waits, wait_for_workers=False)


def _key() -> str:
    return f"{_DONE}/{os.environ['TORCHELASTIC_RESTART_COUNT']}"
