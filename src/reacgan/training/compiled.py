"""torch.compile of the networks, tried on the first steps against the plain ones."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from reacgan.config import Experiment
from reacgan.training.captured import Work
from reacgan.training.proof import TOLERANCE, Result, both_ways

# Terms whose backward pass goes through each network once; compiled code has no second derivative.
_ONCE = {"lecam", "weight_clipping", "cr", "bcr", "zcr", "feature_matching"}
# Compiled sums are in another order.
_WIDER = 10.0


def why_not(experiment: Experiment) -> str | None:
    """Why this experiment's networks are not compiled; None where they can be."""
    terms = [*experiment.penalties, *experiment.consistency]
    twice = [name for name in terms if name not in _ONCE]
    if experiment.loss.latent_optimisation is not None:
        twice.append("latent_optimisation")
    if experiment.training.recompute:
        return "training.recompute works out blocks again, which compiled code does not"
    if twice:
        return f"{', '.join(twice)} differentiates twice, which compiled code cannot"
    return None


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
        """What has not been told yet."""
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
            found, wrong = both_ways(work, self._modules, _plain, Work.run, self._tolerance)
        except Exception as error:
            self._give_up(f"{type(error).__name__}: {first_line(error)}")
            return _plain(work)
        if wrong is not None:
            self._give_up(wrong)
        self._proven.add(kind)
        return found

    def _give_up(self, reason: str) -> None:
        self.off = reason
        self.news.append(f"networks are not compiled any more: {reason}")


def _plain(work: Work) -> Result:
    with torch.compiler.set_stance("force_eager"):
        return work.run()


def first_line(error: Exception) -> str:
    """The first line of its message."""
    return str(error).strip().partition("\n")[0]
