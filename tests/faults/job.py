"""Started by :class:`jobs.Job`: a training of :mod:`tiny`, perhaps with a fault, that says where it is."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import torch
from tiny import experiment, images

import reacgan
from reacgan import distributed
from reacgan.training.loop import Trainer

AT = 64
"""Images seen at which a fault comes."""


def _wait_forever(trainer):
    time.sleep(3600)


def _work_long(trainer):
    """The main process is at work for longer than the time-out, and says so; the others wait."""
    if distributed.is_main():
        for _ in reacgan.progress.counted(range(50), "packing"):
            time.sleep(0.1)
    distributed.barrier()


FAULTS = {"wait": _wait_forever, "work": _work_long}


def put(fault, rank):
    """The fault comes in the step at ``AT`` images, of one process or of all (None)."""
    whole, met = Trainer.cycle, []

    def cycle(trainer, journal):
        if trainer.state.images_seen >= AT and not met and rank in (None, distributed.rank()):
            met.append(fault)
            FAULTS[fault](trainer)
        whole(trainer, journal)

    Trainer.cycle = cycle


def main(out, settings):
    torch.set_num_threads(1)
    fault, rank = settings.pop("fault", None), settings.pop("rank", None)
    pause = settings.pop("pause", 0)
    elsewhere = settings.pop("elsewhere", None)
    if elsewhere and os.environ.get("RANK", "0") != "0":
        out = Path(elsewhere)
    if fault:
        put(fault, rank)
    if settings.pop("restart", False) and os.environ.get("TORCHELASTIC_RESTART_COUNT") == "0":
        return 1
    if pause:
        whole = Trainer.cycle
        Trainer.cycle = lambda *given: (time.sleep(pause), whole(*given))[1]
    print(f"rank {os.environ.get('RANK', '0')} pid {os.getpid()}", flush=True)
    settings = {"report.journal_every": 16, **settings}
    result = reacgan.train(experiment(**settings), out, device="cpu", data=images())
    print(f"ended at {result.images_seen}", flush=True)
    distributed.leave()
    return 128 + result.signal if result.signal else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), json.loads(sys.argv[2])))
