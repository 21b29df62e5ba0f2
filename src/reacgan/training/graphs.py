"""Steps that are recorded once and replayed, for networks whose steps are bound by launching operations.

Forward and backward pass of a D step or of a G step are one recording, from static inputs to static
gradients. Averaging of gradients, optimiser, average, what adapts, the journal: all of that stays
outside. Random draws are made outside as well, by the true draws of the moment (``recorded.py``), so a
replayed step has the bits that the plain step has, as far as the device repeats itself.

A recording is good for one course of the step: the terms that are due, the factors that are Python
numbers, and the shapes of its inputs. A course is recorded once it has been met a few times, so ramps
are never recorded. Nothing is taken on trust: when it is recorded, and again at its first use with other
weights, a recording is compared with the plain step from the same state. Where they differ, or where
anything fails, recordings are given up with a reason, and the run goes on with the plain step.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence

import torch
from torch import nn

from reacgan.config import Experiment, size_of
from reacgan.training.captured import Captured, CudaGraph, Recorder, Work
from reacgan.training.compiled import first_line
from reacgan.training.proof import TOLERANCE, Result, Way, both_ways

# Larger images keep the device busy however many operations there are; one recording holds all
# activations of its step.
MOST_PIXELS = 64 * 64
TIMES_MET = 2
PROOFS = 2
_MOST_HELD = 8
_MOST_COUNTED = 64


def why_not(
    experiment: Experiment, device: torch.device, world: int, *, asked: bool = False
) -> str | None:
    """Why no step of this run is recorded; None where steps are.

    Args:
        experiment: what is trained.
        device: where.
        world: number of processes.
        asked: it is wanted even where it can hardly pay.
    """
    training = experiment.training
    rows, columns = size_of(experiment.data.resolution)
    if device.type != "cuda":
        return f"needs cuda, not {device.type}"
    if world > 1:
        return "several processes"
    if training.accumulate > 1:
        return "the batch is worked off in parts"
    if training.recompute:
        return "activations are worked out twice"
    if rows * columns > MOST_PIXELS and not asked:
        return f"images of {rows} x {columns} keep the device busy"
    return None


class Graphs:
    """Runs steps by their recordings where it can.

    Args:
        modules: whose buffers move in a step: both networks, and what adapts.
        precision: of the run; decides how near a recording must come to the plain step.
        plain: how a step is made that is not replayed; this is also what is recorded.
        recorder: makes a recorder for one course of a step.
        times_met: a course is recorded once it has been met so often.
    """

    def __init__(
        self,
        modules: Sequence[nn.Module],
        precision: str,
        *,
        plain: Way = Work.run,
        recorder: Callable[[], Recorder] = CudaGraph,
        times_met: int = TIMES_MET,
    ) -> None:
        self.off: str | None = None
        """Why recordings were given up."""
        self.news: list[str] = []
        """What has not been told yet."""
        self.replayed = 0
        """Steps that were made by a recording alone."""
        self._modules = modules
        self._tolerance = TOLERANCE[precision]
        self._plain = plain
        self._recorder = recorder
        self._times_met = times_met
        self._held: OrderedDict[Hashable, Captured] = OrderedDict()
        self._met: OrderedDict[Hashable, int] = OrderedDict()

    def run(self, work: Work) -> Result:
        """As :meth:`Work.run`."""
        if self.off is not None:
            return self._plain(work)
        course = work.course()
        held = self._held.get(course)
        if held is not None and held.proofs >= PROOFS:
            self._held.move_to_end(course)
            self.replayed += 1
            return held.replay(work)
        if held is None and self._times(course) <= self._times_met:
            return self._plain(work)
        return self._proven(course, held, work)

    def _times(self, course: Hashable) -> int:
        """How often this course was met, this time included."""
        times = self._met[course] = self._met.pop(course, 0) + 1
        if len(self._met) > _MOST_COUNTED:
            self._met.popitem(last=False)
        return times

    def _proven(self, course: Hashable, held: Captured | None, work: Work) -> Result:
        """The step in both ways; the plain one counts where they differ."""
        try:
            held = held or Captured(work, self._modules, self._recorder(), self._plain)
            found, wrong = both_ways(work, self._modules, self._plain, held.replay, self._tolerance)
        except Exception as error:
            self._give_up(f"{type(error).__name__}: {first_line(error)}")
            return self._plain(work)
        if wrong is not None:
            self._give_up(wrong)
            return found
        held.proofs += 1
        self._held[course] = held
        if len(self._held) > _MOST_HELD:
            self._held.popitem(last=False)
        return found

    def _give_up(self, reason: str) -> None:
        self._held.clear()
        self._met.clear()
        self.off = reason
        self.news.append(f"steps are not replayed from recordings any more: {reason}")
