"""Steps that are checked: one that is not finite is named, and made again by plain operations.

Nothing is checked while all goes well, since checking waits for the device. Once a run has met a number
that is not finite it goes over its last steps again (``rewind.py``), and these are made here. Which step
is made again, and how, is a function of the state alone: a run that is interrupted afterwards and resumed
has the same bits.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import nn

from reacgan import distributed
from reacgan.devices import without_tf32
from reacgan.models import plain_operations
from reacgan.training.engine import Engine
from reacgan.training.execution.verify import Buffers, Way
from reacgan.training.journal import NonFiniteError
from reacgan.training.recovery.first_fault import LOSSES, FirstFault, first_fault
from reacgan.training.state import TrainState, sums_not_finite
from reacgan.training.step.work import Result, Work

_SWITCHES = ("merged_convolutions", "merged_passes", "fused_layers", "kernels")
_STEPS = {
    "discriminator_gradients": "the discriminator's step",
    "generator_gradients": "the generator's step",
}


class Careful:
    """Makes a run's steps, all processes together, and checks each.

    Args:
        way: how steps are made otherwise.
        modules: all that takes part in a step, by name: both networks, and what adapts.
        engine: of the run.
    """

    def __init__(self, way: Way, modules: Mapping[str, nn.Module], engine: Engine) -> None:
        self.on = False
        """Whether the steps of this cycle are checked."""
        self.until = 0
        """Steps before so many images seen are checked."""
        self.made_again = 0
        """How many steps have been made again since the run went back."""
        self._events: list[dict[str, Any]] = []
        self._way = way
        self._modules = modules
        self._engine = engine

    def run(self, work: Work, images_seen: int) -> Result:
        """As :meth:`Work.run`, but finite.

        Raises:
            NonFiniteError: the step is not finite in the plain way either.
        """
        before, work = Buffers(list(self._modules.values())), work.silent()
        result = self._way(work)
        wrong = self._wrong(work, result)
        if not self._on_any(bool(wrong)):
            return result
        before.restore()
        fault = self._first(work)
        for words, way in self._plain_ways():
            before.restore()
            result = way(work)
            wrong = self._wrong(work, result)
            if not self._on_any(bool(wrong)):
                self.made_again += 1
                self._events.append(_event(work, images_seen, fault, words))
                return result
        before.restore()
        raise NonFiniteError(
            wrong[:3] or ["a value of another process"],
            f"in {_STEPS[work.formula.__name__]} at {images_seen:,}",
            first=str(fault),
        )

    def take_events(self) -> list[dict[str, Any]]:
        """What was made again since the last call, for the journal."""
        events, self._events = self._events, []
        return events

    def reset(self) -> None:
        """The run goes on from an earlier state: nothing is to be checked."""
        self.until = self.made_again = 0
        self._events.clear()

    def check(self, state: TrainState) -> None:
        """After a cycle of such steps; raises NonFiniteError where an optimiser has spoilt the state."""
        wrong = state.non_finite()
        if self._on_any(bool(wrong)):
            raise NonFiniteError(
                wrong[:3] or ["a value of another process"],
                f"by {state.images_seen:,}",
                first="an optimiser's step, whose gradients were finite",
            )

    def _on_any(self, flag: bool) -> bool:
        return distributed.any_process(flag, self._engine.device)

    def _wrong(self, work: Work, result: Result) -> list[str]:
        """Names of losses, buffers and gradients that are not finite, or too long for a square."""
        networks, own = self._modules.items(), {id(parameter) for parameter in work.parameters}
        named = {
            f"gradient of {root}.{name}": parameter.grad
            for root, module in networks
            for name, parameter in module.named_parameters()
            if id(parameter) in own and parameter.grad is not None
        }
        # Adam keeps squares.
        lengths = torch._foreach_norm([gradient.detach() for gradient in named.values()])
        values = {
            **result[0],
            **{
                f"{root}.{name}": buffer
                for root, module in networks
                for name, buffer in module.named_buffers()
                if buffer.is_floating_point()
            },
            **dict(zip(named, lengths, strict=True)),
        }
        return [
            name
            for name, doubtful in zip(values, sums_not_finite(values.values()), strict=True)
            if doubtful and not bool(torch.isfinite(values[name]).all())
        ]

    def _first(self, work: Work) -> FirstFault:
        """The first fault of all processes."""
        results: list[Result] = []
        with self._uncompiled():
            fault = first_fault(lambda: results.append(work.run()), self._modules)
        if fault is None or fault.module == LOSSES:
            wrong = self._wrong(work, results[0])
            parts = [name for name in wrong if name in results[0][0]]
            if fault is not None and parts:
                fault = replace(fault, module=f"{LOSSES} ({parts[0]})", direction="forward")
            elif fault is None and wrong:  # a sum over processes, or a square
                fault = FirstFault(1 << 62, wrong[0], "forward" if parts else "backward")
        texts = distributed.share_texts(
            json.dumps(asdict(fault) if fault is not None else None), self._engine.device
        )
        faults = [FirstFault(**fields) for fields in map(json.loads, texts) if fields is not None]
        if faults:
            return min(faults, key=lambda fault: fault.order)
        return FirstFault(0, "a CUDA graph or compiled code", "forward")

    def _uncompiled(self) -> AbstractContextManager[object]:
        if self._engine.speed.compile:
            return torch.compiler.set_stance("force_eager")
        return nullcontext()

    def _plain_ways(self) -> Iterator[tuple[str, Way]]:
        """Ways that a step may be made in where its own fails, with words; the first finite one counts."""
        speed, narrow = self._engine.speed, self._engine.precision == "bfloat16"

        def plainly(work: Work) -> Result:
            with self._uncompiled(), ExitStack() as stack:
                for module in self._modules.values():
                    stack.enter_context(plain_operations(module, _SWITCHES))
                return work.run()

        def widely(work: Work) -> Result:
            with without_tf32():
                return plainly(replace(work, autocast=nullcontext))

        if speed.cuda_graphs or speed.compile or any(getattr(speed, name) for name in _SWITCHES):
            yield "by plain operations", plainly
        if narrow or speed.tf32 or speed.tf32_products:
            yield "by plain operations in float32", widely


def _event(work: Work, images_seen: int, fault: FirstFault, words: str) -> dict[str, Any]:
    step = _STEPS[work.formula.__name__]
    return {
        "kind": "made_again",
        "at": images_seen,
        "message": f"{step} at {images_seen:,} images was not finite ({fault}); it was made again "
        f"{words}, and the run goes on",
        **{name: value for name, value in asdict(fault).items() if name != "order"},
    }
