"""A recorder for the CPU: it runs the step again, into the memory of the first time."""

from __future__ import annotations

import torch

from reacgan.training.execution.cuda_graphs import lacking


class Rerun:
    """Repeats by running the function again; its outputs keep their memory, as a CUDA graph's do."""

    def __init__(self):
        self.captures = self.replays = 0

    def why_not(self):
        return None

    def warm_up(self, work):
        return work()

    def capture(self, work):
        self.captures += 1
        self._work = work
        self._outputs = [held.clone() for held in work()]
        return self._outputs

    @torch.no_grad()
    def replay(self):
        self.replays += 1
        with torch.enable_grad():
            found = self._work()
        for held, value in zip(self._outputs, found, strict=True):
            held.copy_(value)


class Broken(Rerun):
    """Cannot record, as a device that must be waited for cannot."""

    def capture(self, work):
        super().capture(work)
        raise RuntimeError("operation not permitted when stream is capturing\nmore")


class Large(Rerun):
    """Finds no memory for a recording."""

    def why_not(self):
        return lacking(3 * 2**30, 2**30)


class Stale(Rerun):
    """Records results instead of operations: right once, wrong with other weights."""

    def replay(self):
        self.replays += 1


class Inexact(Rerun):
    """Every gradient comes out a thousandth too long."""

    def replay(self):
        super().replay()
        for held in self._outputs:
            held.mul_(1.001)
