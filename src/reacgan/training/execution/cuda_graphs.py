"""Steps as CUDA graphs: captured once and replayed, for networks whose steps are bound by kernel launches.

Forward and backward pass of a D step or of a G step are one graph, from static inputs to static
gradients. Averaging of gradients, optimiser, average, what adapts, the journal: all of that stays
outside. Random draws are made outside as well, by the true draws of the moment
(``recorded_draws.py``), so a replayed step has the bits that the plain step has, as far as the device
repeats itself.

A graph is good for one course of the step: the terms that are due, the factors that are Python
numbers, and the shapes of its inputs. A course is captured once it has been met a few times, so ramps
never are. All graphs lie in one pool of memory: the intermediate values of one may be where the results
of another are, so a result is good until the next replay of any.

When it is captured, and again at its first use with other weights, a graph is compared with
the plain step from the same state. Where they differ, or where anything fails, graphs are disabled with
a reason, and the run goes on with the plain step.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from reacgan.devices import CudaGraph
from reacgan.tensors import copy_together
from reacgan.training.execution.recorded_draws import Recording
from reacgan.training.execution.verify import TOLERANCE, Buffers, Way, both_ways, first_line
from reacgan.training.step.work import Result, Work, clear_gradients

TIMES_MET = 2
_SPARE = 1.1
PROOFS = 2
_MOST_CAPTURED = 8
_MOST_COUNTED = 64


class Recorder(Protocol):
    """Records operations of a device and repeats them."""

    def why_not(self) -> str | None:
        """Why nothing can be recorded now; None where it can."""
        ...

    def warm_up(self, work: Callable[[], list[Tensor]]) -> list[Tensor]:
        """Run before recording, where whatever begins with the first use may begin."""
        ...

    def capture(self, work: Callable[[], list[Tensor]]) -> list[Tensor]:
        """Record; gives the tensors that each replay fills."""
        ...

    def replay(self) -> None:
        """Repeat, on the present values of the inputs."""
        ...


class StepGraph(CudaGraph):
    """A recorder of CUDA for steps."""

    def why_not(self) -> str | None:
        """Memory: a recorded step keeps all that a step needs at its peak for itself."""
        needed = torch.cuda.max_memory_allocated() - torch.cuda.memory_allocated()
        cached = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
        return lacking(needed, torch.cuda.mem_get_info()[0] + cached)


def lacking(needed: int, free: int) -> str | None:
    """Why so many bytes are too few for a recording; None where they are enough.

    Args:
        needed: what a step adds at its peak to the memory between steps.
        free: what the device has left, with what the allocator keeps.
    """
    if needed * _SPARE <= free:
        return None
    gib = 2**30
    return f"a recorded step keeps {needed / gib:.1f} GiB for itself, and {free / gib:.1f} are free"


class Captured:
    """One captured step; capturing leaves the networks' state as it was.

    Args:
        work: the step at this moment.
        modules: whose buffers move in a step.
        recorder: a new one.
        way: how the step is made.
    """

    def __init__(
        self, work: Work, modules: Sequence[nn.Module], recorder: Recorder, way: Way
    ) -> None:
        before = Buffers(modules)
        self.proofs = 0
        self._recorder = recorder
        self._way = way
        self._inputs = [tensor.clone() for tensor in work.inputs()]
        self._recording = Recording(work.contexts[0].draws)
        self._work = work.on(self._inputs, self._recording.draws)
        self._names: list[str] = []
        self._reached: list[bool] = []
        try:
            recorder.warm_up(self._run)
            before.restore()
            self._recording.refill(work.contexts[0].draws)
            clear_gradients(work.parameters)  # of the stream of the warm-up
            self._outputs = recorder.capture(self._run)
        finally:
            before.restore()

    def _run(self) -> list[Tensor]:
        parts, score = self._way(self._work)
        self._recording.rewind()
        gradients = [parameter.grad for parameter in self._work.parameters]
        self._names = list(parts)
        self._reached = [gradient is not None for gradient in gradients]
        return [score, *parts.values(), *(tensor for tensor in gradients if tensor is not None)]

    def replay(self, work: Work) -> Result:
        """The step at another moment; as :meth:`Work.run`. The next replay of any graph overwrites it."""
        copy_together(self._inputs, work.inputs())
        self._recording.refill(work.contexts[0].draws)
        self._recorder.replay()
        score, *values = self._outputs
        gradients = iter(values[len(self._names) :])
        for parameter, reached in zip(work.parameters, self._reached, strict=True):
            parameter.grad = next(gradients) if reached else None
        return dict(zip(self._names, values, strict=False)), score


class CudaGraphs:
    """Runs steps by their graphs where it can.

    Args:
        modules: whose buffers move in a step: both networks, and what adapts.
        precision: of the run; decides how near a graph must come to the plain step.
        plain: how a step is made that is not replayed; this is also what is captured.
        recorder: makes a recorder for one course of a step; None for CUDA graphs in one pool of memory.
        times_met: a course is captured once it has been met so often.
    """

    def __init__(
        self,
        modules: Sequence[nn.Module],
        precision: str,
        *,
        plain: Way = Work.run,
        recorder: Callable[[], Recorder] | None = None,
        times_met: int = TIMES_MET,
    ) -> None:
        self.off: str | None = None
        """Why graphs were disabled."""
        self.news: list[str] = []
        """Messages that have not been read yet."""
        self.replayed = 0
        """Steps that were made by a graph alone."""
        self._modules = modules
        self._tolerance = TOLERANCE[precision]
        self._plain = plain
        self._recorder = recorder
        self._pool: Any = None
        self._times_met = times_met
        self._captured: OrderedDict[Hashable, Captured] = OrderedDict()
        self._met: OrderedDict[Hashable, int] = OrderedDict()

    def run(self, work: Work) -> Result:
        """As :meth:`Work.run`."""
        if self.off is not None:
            return self._plain(work)
        course = work.course()
        captured = self._captured.get(course)
        if captured is not None and captured.proofs >= PROOFS:
            self._captured.move_to_end(course)
            self.replayed += 1
            return captured.replay(work)
        if captured is None and self._times(course) <= self._times_met:
            return self._plain(work)
        return self._verified(course, captured, work)

    def _new_recorder(self) -> Recorder:
        if self._recorder is not None:
            return self._recorder()
        if self._pool is None:
            self._pool = torch.cuda.graph_pool_handle()
        return StepGraph(self._pool)

    def _times(self, course: Hashable) -> int:
        """How often this course was met, this time included."""
        times = self._met[course] = self._met.pop(course, 0) + 1
        if len(self._met) > _MOST_COUNTED:
            self._met.popitem(last=False)
        return times

    def _verified(self, course: Hashable, captured: Captured | None, work: Work) -> Result:
        """The step in both ways; the plain one counts where they differ."""
        try:
            graph = captured or self._capture(work)
            if isinstance(graph, str):
                self._disable(graph)
                return self._plain(work)
            result, wrong = both_ways(
                work, self._modules, self._plain, graph.replay, self._tolerance
            )
        except Exception as error:
            self._disable(f"{type(error).__name__}: {first_line(error)}")
            return self._plain(work)
        if wrong is not None:
            self._disable(wrong)
            return result
        graph.proofs += 1
        self._captured[course] = graph
        if len(self._captured) > _MOST_CAPTURED:
            self._captured.popitem(last=False)
        return result

    def _capture(self, work: Work) -> Captured | str:
        """A graph of this step, or why there is none."""
        recorder = self._new_recorder()
        why_not = recorder.why_not()
        return why_not or Captured(work, self._modules, recorder, self._plain)

    def _disable(self, reason: str) -> None:
        self._captured.clear()
        self._met.clear()
        self.off = reason
        self.news.append(f"CUDA graphs disabled: {reason}")
