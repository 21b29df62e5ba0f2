"""torch.compile of the networks, tried on the first steps against the plain ones."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from reacgan.training.execution.verify import TOLERANCE, both_ways, first_line
from reacgan.training.step.work import Result, Work

# Compiled sums are in another order.
_WIDER = 10.0


class Compiled:
    """Runs steps on compiled networks; names in their state stay as they are.

    Each network is compiled when a step first meets it, which may take minutes. That step, the first
    of its kind, is made in the plain way too; where they differ, or where anything fails, networks
    are left uncompiled with a reason.

    Args:
        networks: whose ``forward`` is compiled.
        modules: whose buffers move in a step.
        precision: of the run.
    """

    def __init__(
        self, networks: Sequence[nn.Module], modules: Sequence[nn.Module], precision: str
    ) -> None:
        self.off: str | None = None
        """Why compiling was given up."""
        self.news: list[str] = []
        """Messages that have not been read yet."""
        self._modules = modules
        self._tolerance = _WIDER * TOLERANCE[precision]
        self._proven: set[str] = set()
        for network in networks:
            network.compile(dynamic=False)

    def run(self, work: Work) -> Result:
        """As :meth:`Work.run`."""
        if self.off is not None:
            return _plain(work)
        kind = work.formula.__name__
        if kind in self._proven:
            return work.run()
        try:
            result, wrong = both_ways(work, self._modules, _plain, Work.run, self._tolerance)
        except Exception as error:
            self._give_up(f"{type(error).__name__}: {first_line(error)}")
            return _plain(work)
        if wrong is not None:
            self._give_up(wrong)
        self._proven.add(kind)
        return result

    def _give_up(self, reason: str) -> None:
        self.off = reason
        self.news.append(f"torch.compile disabled: {reason}")


def _plain(work: Work) -> Result:
    with torch.compiler.set_stance("force_eager"):
        return work.run()
