"""How much memory training needs, worked out without computing anything.

One cycle of the real loop runs on fake tensors, which have shapes, types and a device but no contents
(PyTorch's ``FakeTensorMode``), and the bytes of all tensors that live at the same time are counted.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from reacgan import distributed
from reacgan.config import Experiment, size_of
from reacgan.data import ImageData
from reacgan.data.loader import resident_limit
from reacgan.training.engine import Engine
from reacgan.training.journal import Journal
from reacgan.training.loop import Trainer
from reacgan.training.state import TrainState, trained_parameters

GIB = 2**30
# Measured on CPUs: what libraries load in the first step; what convolutions need while they run and the
# allocator does not hand out again, as a multiple of all tensors that live at the same time.
_LIBRARIES = 120 * 2**20
_SCRATCH = 1.2
_IMAGES = 64  # of the fake data set


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
    batch, parts = experiment.training.batch // engine.world, experiment.training.accumulate
    # Two parts stand for many, apart from the images, real and fake, that wait for their turn.
    count = batch // parts * min(parts, 2)
    height, width = size_of(experiment.data.resolution)
    pixels = experiment.data.channels * height * width * engine.dtype.itemsize
    waiting = 2 * pixels * (batch - count)
    cycle = experiment.replace(
        **{"training.batch": count, "training.accumulate": min(parts, 2), "training.d_steps": 1}
    )
    alone = copy.copy(engine)
    alone.rank, alone.world = 0, 1
    alone.speed = replace(engine.speed, compile=False, cuda_graphs=False, resident=True)
    # Weights of a fake module cannot be moved or cast, so the networks begin on the meta device.
    meta = copy.copy(alone)
    meta.device = torch.device("meta")
    with meta.device:
        state = TrainState.build(cycle, num_classes, meta)
    networks = state.generator, state.discriminator, state.average
    gradients = sum(bytes_of(trained_parameters(network)) for network in networks[:2])
    resident = engine.speed.resident and image_bytes <= resident_limit(engine.device)
    host = engine.device.type == "cpu"
    activations = (_peak_of_cycle(cycle, state, alone) + waiting) * (_SCRATCH if host else 1)
    return Estimate(
        sum(bytes_of([*network.parameters(), *network.buffers()]) for network in networks),
        3 * gradients,
        image_bytes if resident else 0,
        int(activations),
        _LIBRARIES if host else 0,
    )


def _peak_of_cycle(experiment: Experiment, state: TrainState, engine: Engine) -> int:
    """Bytes that a cycle of one process adds at its peak to weights, gradients and moments."""
    classes, size = state.generator.num_classes, size_of(experiment.data.resolution)
    pixels = np.zeros((_IMAGES, experiment.data.channels, *size), dtype=np.uint8)
    names = tuple(map(str, range(classes)))
    data = ImageData(pixels, np.arange(_IMAGES) % classes, names, "no images")
    # Without fallback kernels, which compute on real tensors.
    fakes = FakeTensorMode(allow_fallback_kernels=False, allow_non_fake_inputs=True)
    with fakes, _LiveBytes() as counter:
        trainer = Trainer(experiment, _fake_copy(state, engine), data, engine)
        counter.peak = before = counter.live
        trainer.cycle(Journal(None, 0))
    return counter.peak - before


def _fake_copy(state: TrainState, engine: Engine) -> TrainState:
    """The state of fake tensors on the engine's device, with gradients and moments as after a cycle."""
    memo: dict[int, Any] = {}
    for module in (state.generator, state.discriminator, state.average, state.adaptive):
        for tensor in (*module.parameters(), *module.buffers()):
            size, stride = tensor.size(), tensor.stride()
            fake = torch.empty_strided(size, stride, dtype=tensor.dtype, device=engine.device)
            if isinstance(tensor, nn.Parameter):
                fake = nn.Parameter(fake, requires_grad=tensor.requires_grad)
            memo[id(tensor)] = fake
    state = copy.deepcopy(state, memo)
    for optimizer in (state.g_optimizer, state.d_optimizer):
        group = optimizer.param_groups[0]
        group["fused"] = engine.speed.fused_optimizer and engine.device.type in ("cpu", "cuda")
        for parameter in group["params"]:
            parameter.grad = torch.empty_like(parameter)
        optimizer.step()
    return state


class _LiveBytes(TorchDispatchMode):
    """Counts the bytes of the tensors that operations make and that live at the same time."""

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._storages: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        """Run the operation and count what it returns."""
        if func is torch.ops.aten._pin_memory.default:  # neither has a form for fake tensors
            return args[0]
        if func is torch.ops.aten.batch_norm_update_stats.default:
            made: Any = torch.empty_like(args[1]), torch.empty_like(args[1])
        else:
            made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor):
                self._count(tensor.untyped_storage())
        return made

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
