"""A cycle of the real loop on fake tensors, which have shapes, types and a device but no contents.

Nothing is computed and no memory taken (PyTorch's ``FakeTensorMode``), so a cycle of any size can be
watched operation by operation: its memory, its number of operations.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from reacgan.config import Experiment, Precision, size_of
from reacgan.data import ImageData
from reacgan.training.engine import Engine
from reacgan.training.speed import Speed
from reacgan.training.state import TrainState


class FakeEngine(Engine):
    """The engine of one process on fake tensors. Nothing is compiled or recorded; images are resident.

    Args:
        device: of the tensors.
        precision: as for :class:`Engine`.
        speed: what is on.
    """

    def __init__(self, device: torch.device, precision: Precision, speed: Speed) -> None:
        self.device = device
        self.rank, self.world = 0, 1
        self.precision = precision
        self.speed = replace(speed, compile=False, cuda_graphs=False, resident=True)


class Watch(TorchDispatchMode):
    """Sees every operation on fake tensors; a member says what :meth:`saw` does with it."""

    def saw(
        self, operation: Any, args: Sequence[Any], kwargs: Mapping[str, Any], made: Any
    ) -> None:
        """Called after each operation, with what it was given and what it returned."""
        raise NotImplementedError(f"{type(self).__name__} defines no saw")

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        """Run the operation and show it."""
        kwargs = kwargs or {}
        if func is torch.ops.aten._pin_memory.default:  # neither has a form for fake tensors
            return args[0]
        if func is torch.ops.aten.batch_norm_update_stats.default:
            made: Any = torch.empty_like(args[1]), torch.empty_like(args[1])
        else:
            made = func(*args, **kwargs)
        self.saw(func, args, kwargs, made)
        return made


@contextmanager
def fake_run(
    experiment: Experiment,
    num_classes: int,
    engine: FakeEngine,
    watch: Watch,
    *,
    images: int = 64,
) -> Iterator[tuple[TrainState, ImageData]]:
    """What a trainer is made of, its state as after a first cycle; within the block ``watch`` sees all.

    Args:
        experiment: what is trained, complete.
        num_classes: of the data, which are black images.
        engine: where it is trained.
        watch: entered before the state is made.
        images: how many there are.
    """
    # Weights of a fake module cannot be moved or cast, so the networks begin on the meta device.
    meta = copy.copy(engine)
    meta.device = torch.device("meta")
    with meta.device:
        state = TrainState.build(experiment, num_classes, meta)
    size = size_of(experiment.data.resolution)
    pixels = np.zeros((images, experiment.data.channels, *size), dtype=np.uint8)
    names = tuple(map(str, range(num_classes)))
    data = ImageData(pixels, np.arange(images) % num_classes, names, "no images")
    # Without fallback kernels, which compute on real tensors.
    with FakeTensorMode(allow_fallback_kernels=False, allow_non_fake_inputs=True), watch:
        yield _fake_copy(state, engine), data


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
