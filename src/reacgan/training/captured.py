"""One step, recorded by a device and replayed on other inputs: what the recording holds and restores."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from reacgan.training.gradients import Autocast, Labelled, forget_gradients
from reacgan.training.players import Latents, Parts, Players
from reacgan.training.recorded import Recording


@dataclass(frozen=True)
class Work:
    """A D step or a G step up to its gradients."""

    formula: Callable[..., Any]
    """``discriminator_gradients`` or ``generator_gradients``."""
    players: Sequence[Players]
    real: Labelled | None
    latents: Sequence[Latents]
    parameters: list[nn.Parameter]
    """Who gets gradients."""
    autocast: Autocast

    def run(self) -> tuple[Parts, Tensor]:
        """Fill ``.grad``; parts of the loss, and what D said last (in its own step: of real images)."""
        forget_gradients(self.parameters)
        parts, outputs = self.formula(
            self.players,
            self.real,
            self.latents,
            parameters=self.parameters,
            autocast=self.autocast,
        )
        return {name: part.detach() for name, part in parts.items()}, outputs[-1].score.detach()

    def inputs(self) -> list[Tensor]:
        """All that a replay reads, apart from draws and the networks."""
        latents = [tensor for held in self.latents for tensor in (held.z, held.labels)]
        return [*(self.real or ()), *latents]

    def on(self, inputs: Sequence[Tensor], recording: Recording) -> Work:
        """The same on other tensors, as :meth:`inputs` lists them, and with recorded draws."""
        taken = 0 if self.real is None else 2
        real = None if self.real is None else (inputs[0], inputs[1])
        pairs = zip(inputs[taken::2], inputs[taken + 1 :: 2], strict=True)
        players = [replace(one, draws=recording.draws) for one in self.players]
        return replace(self, real=real, latents=[Latents(*pair) for pair in pairs], players=players)

    def course(self) -> Hashable:
        """What decides which operations run."""
        first = self.players[0]
        terms = first.objective.terms.items()
        due = tuple(name for name, term in terms if first.index % term.every == 0)
        shapes = tuple((held.shape, held.dtype, held.stride()) for held in self.inputs())
        return self.formula.__name__, due, first.strength, first.top_share, shapes


class Recorder(Protocol):
    """Records operations of a device and repeats them."""

    def warm_up(self, work: Callable[[], list[Tensor]]) -> list[Tensor]:
        """Run before recording, where whatever begins with the first use may begin."""
        ...

    def capture(self, work: Callable[[], list[Tensor]]) -> list[Tensor]:
        """Record; gives the tensors that each replay fills."""
        ...

    def replay(self) -> None:
        """Repeat, on what the inputs hold now."""
        ...


class CudaGraph:
    """A recorder of CUDA, with memory of its own."""

    def __init__(self) -> None:
        self._graph: Any = torch.cuda.CUDAGraph()

    def warm_up(self, work: Callable[[], list[Tensor]]) -> list[Tensor]:
        """On a stream beside the main one, as recording does."""
        torch.cuda.synchronize()
        with torch.cuda.stream(torch.cuda.Stream()):
            found = work()
        torch.cuda.synchronize()
        return found

    def capture(self, work: Callable[[], list[Tensor]]) -> list[Tensor]:
        """Nothing is computed."""
        # The outer context brings the stream back where a recording fails. Other threads go on.
        with (
            torch.cuda.stream(torch.cuda.current_stream()),
            torch.cuda.graph(self._graph, capture_error_mode="thread_local"),
        ):
            return work()

    def replay(self) -> None:
        """One launch."""
        self._graph.replay()


class Snapshot:
    """All buffers of some networks: running statistics, power iterations, what adapts."""

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        self.held = [(held, held.clone()) for module in modules for held in module.buffers()]

    @torch.no_grad()
    def restore(self) -> None:
        """Put the values back."""
        for tensor, value in self.held:
            tensor.copy_(value)

    def values(self) -> list[Tensor]:
        """As they were."""
        return [value for _, value in self.held]


class Captured:
    """One recorded step; the networks' state is as before once it is made.

    Args:
        work: the step at this moment.
        modules: whose buffers move in a step.
        recorder: a new one.
        way: how the step is made.
    """

    def __init__(
        self,
        work: Work,
        modules: Sequence[nn.Module],
        recorder: Recorder,
        way: Callable[[Work], tuple[Parts, Tensor]],
    ) -> None:
        before = Snapshot(modules)
        self.proofs = 0
        self._recorder = recorder
        self._way = way
        self._inputs = [held.clone() for held in work.inputs()]
        self._recording = Recording(work.players[0].draws)
        self._work = work.on(self._inputs, self._recording)
        self._names: list[str] = []
        self._reached: list[bool] = []
        try:
            recorder.warm_up(self._run)
            before.restore()
            self._recording.refill(work.players[0].draws)
            forget_gradients(work.parameters)  # of the stream of the warm-up
            self._outputs = recorder.capture(self._run)
        finally:
            before.restore()

    def _run(self) -> list[Tensor]:
        parts, score = self._way(self._work)
        self._recording.rewind()
        gradients = [parameter.grad for parameter in self._work.parameters]
        self._names = list(parts)
        self._reached = [held is not None for held in gradients]
        return [score, *parts.values(), *(held for held in gradients if held is not None)]

    def replay(self, work: Work) -> tuple[Parts, Tensor]:
        """The step at another moment; as :meth:`Work.run`. The next replay overwrites what it gives."""
        for held, value in zip(self._inputs, work.inputs(), strict=True):
            held.copy_(value)
        self._recording.refill(work.players[0].draws)
        self._recorder.replay()
        score, *values = self._outputs
        gradients = iter(values[len(self._names) :])
        for parameter, reached in zip(work.parameters, self._reached, strict=True):
            parameter.grad = next(gradients) if reached else None
        return dict(zip(self._names, values, strict=False)), score
