"""How much memory training needs, worked out without computing anything.

One cycle of the real loop runs on fake tensors (:mod:`reacgan.training.memory.fakes`), and the bytes of
all tensors that live at the same time are counted.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from reacgan import distributed
from reacgan.config import Experiment, size_of
from reacgan.data.loader import resident_limit
from reacgan.training.engine import Engine
from reacgan.training.journal import Journal
from reacgan.training.loop import Trainer
from reacgan.training.memory.fakes import FakeEngine, Watch, fake_run
from reacgan.training.state import TrainState, trained_parameters

GIB = 2**30
# Measured on CPUs: what libraries load in the first step; what convolutions need while they run and the
# allocator does not hand out again, as a multiple of all tensors that live at the same time.
_LIBRARIES = 120 * 2**20
_SCRATCH = 1.2


@dataclass(frozen=True)
class Estimate:
    """Bytes of one process at the peak of training."""

    weights: int
    """Both networks and the averaged generator."""
    learning: int
    """Gradients and Adam's moments."""
    images: int
    """Real images that stay on the device."""
    activations: int
    """All other tensors at the peak."""
    libraries: int
    """What libraries load in the first step."""

    @property
    def total(self) -> int:
        """All of it."""
        return sum(vars(self).values())

    def __str__(self) -> str:
        return (
            f"about {gib(self.total)} GiB (weights and Adam {gib(self.weights + self.learning)}, images "
            f"{gib(self.images)}, activations {gib(self.activations)}, libraries {gib(self.libraries)})"
        )


def estimate(
    experiment: Experiment, num_classes: int, engine: Engine, *, image_bytes: int = 0
) -> Estimate | None:
    """What training needs; None where it cannot be worked out, whatever the reason.

    ``image_bytes``: size of the data set. The engine is not changed.
    """
    try:
        with distributed.apart():
            return _estimate(experiment, num_classes, engine, image_bytes)
    except Exception:
        return None


def _estimate(
    experiment: Experiment, num_classes: int, engine: Engine, image_bytes: int
) -> Estimate:
    batch, parts = (
        experiment.training.batch // engine.world,
        experiment.training.parts(engine.world),
    )
    # Two parts stand for many, apart from the images, real and fake, that wait for their turn.
    count = batch // parts * min(parts, 2)
    height, width = size_of(experiment.data.resolution)
    pixels = experiment.data.channels * height * width * engine.dtype.itemsize
    waiting = 2 * pixels * (batch - count)
    cycle = experiment.replace(
        **{
            "training.batch": count,
            "training.accumulate": min(parts, 2),
            "training.per_process": None,
            "training.d_steps": 1,
        }
    )
    peak, state = _peak_of_cycle(
        cycle, num_classes, FakeEngine(engine.device, engine.precision, engine.speed)
    )
    networks = state.generator, state.discriminator, state.average
    gradients = sum(bytes_of(trained_parameters(network)) for network in networks[:2])
    resident = engine.speed.resident and image_bytes <= resident_limit(engine.device)
    host = engine.device.type == "cpu"
    activations = (peak + waiting) * (_SCRATCH if host else 1)
    return Estimate(
        sum(bytes_of([*network.parameters(), *network.buffers()]) for network in networks),
        3 * gradients,
        image_bytes if resident else 0,
        int(activations),
        _LIBRARIES if host else 0,
    )


def _peak_of_cycle(
    experiment: Experiment, num_classes: int, engine: FakeEngine
) -> tuple[int, TrainState]:
    """Bytes that a cycle adds at its peak to weights, gradients and moments; and the fake state."""
    counter = _LiveBytes()
    with fake_run(experiment, num_classes, engine, counter) as (state, data):
        trainer = Trainer(experiment, state, data, engine)
        trainer.ways.take_untried()
        counter.peak = before = counter.live
        trainer.cycle(Journal(None, 0))
    return counter.peak - before, state


class _LiveBytes(Watch):
    """Counts the bytes of the tensors that operations make and that live at the same time."""

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._storages: set[int] = set()

    def saw(
        self, operation: Any, args: Sequence[Any], kwargs: Mapping[str, Any], made: Any
    ) -> None:
        """Count what the operation returned."""
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor):
                self._count(tensor.untyped_storage())

    def _count(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._storages:
            return
        self._storages.add(key)
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._storages.discard(key)
        self.live -= size


def bytes_of(tensors: Iterable[Tensor]) -> int:
    """Their size."""
    return sum(tensor.nbytes for tensor in tensors)


def gib(size: float) -> str:
    """In GiB, with two digits."""
    return f"{size / GIB:.2g}" if size < GIB else f"{size / GIB:.1f}"
