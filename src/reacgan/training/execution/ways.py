"""How the steps of a run are made: plain, by kernels or compiled networks, and as CUDA graphs."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from reacgan.models import set_switches
from reacgan.training.execution.cuda_graphs import CudaGraphs
from reacgan.training.execution.tried import Tried, compiled, kernels
from reacgan.training.execution.verify import Way
from reacgan.training.speed import Speed
from reacgan.training.step.work import Result, Work


class Ways:
    """Makes steps as ``speed`` says.

    Kernels, compiled networks and CUDA graphs disable themselves where they fail or differ from the
    plain step; :meth:`news` says so.

    Args:
        speed: chosen for the experiment.
        networks: the generator and the discriminator.
        modules: whose buffers move in a step.
        precision: of the run.
        others: networks that no step is made on, which have the same switches: the average.
    """

    def __init__(
        self,
        speed: Speed,
        networks: Sequence[nn.Module],
        modules: Sequence[nn.Module],
        precision: str,
        others: Sequence[nn.Module] = (),
    ) -> None:
        way: Way = Work.run
        self.tried: Tried | None = None
        self.graphs: CudaGraphs | None = None
        if speed.compile:
            for network in networks:
                set_switches(network, fused_layers=speed.fused_layers, kernels=speed.kernels)
            self.tried = compiled(networks, modules, precision)
        elif speed.kernels:
            self.tried = kernels([*networks, *others], modules, precision)
        if self.tried is not None:
            way = self.tried.run
        if speed.cuda_graphs:
            self.graphs = CudaGraphs(modules, precision, plain=way)
            way = self.graphs.run
        self._way = way

    def run(self, work: Work) -> Result:
        """Fill ``.grad`` of the step's parameters; as :meth:`Work.run`."""
        return self._way(work)

    def take_untried(self) -> None:
        """Make steps as they are once they were tried: for tensors without contents to compare."""
        self._way = Work.run

    def news(self) -> list[str]:
        """What was disabled since the last call, and why."""
        messages: list[str] = []
        for way in (self.tried, self.graphs):
            if way is not None:
                messages += way.news
                way.news.clear()
        return messages
