"""A generator's forward passes, one after another: precision, weights prepared once, recorded on CUDA."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reacgan.devices import CudaGraph, Recorded
from reacgan.models import Generator
from reacgan.models.layers import Conv2d
from reacgan.models.norm_statistics import normalises_by_batch
from reacgan.models.spectral import SpectralNorm
from reacgan.randomness import Draws
from reacgan.sampling.latents import COUPLED_CHUNK, chunk_size
from reacgan.sampling.pixels import image_name, packed, unpacked
from reacgan.sampling.settings import SamplingSettings

Work: TypeAlias = Callable[[], Tensor]

PROOFS = 2
"""Passes that are made both ways before a recorded one counts alone."""

logger = logging.getLogger("reacgan.sampling")


class _Recorder(Protocol):
    """Records operations of a device and repeats them."""

    def capture(self, work: Work) -> Tensor:
        """Record; gives the tensor that each replay fills."""
        ...

    def replay(self) -> None:
        """Repeat, on the present values of the inputs."""
        ...


class _CudaGraph(CudaGraph):
    """A recorder of CUDA for passes."""

    def capture(self, work: Callable[[], Recorded]) -> Recorded:
        """Record, after a run in which whatever begins with the first use may begin."""
        self.warm_up(work)
        return super().capture(work)


class Passes:
    """Makes images chunk by chunk; as long as it lives, the generator's weights must stay as they are.

    All chunks have one size (the last one is filled up by repetition), so that an image does not depend
    on how many are asked for. The weights that convolutions and linear layers work with, divided by
    their spectral norms, are worked out once. On CUDA a pass is recorded at the second chunk, and
    counts alone once it has given the same pixels as the plain pass ``PROOFS`` times; where a pixel
    differs, or anything fails, passes stay plain, and :attr:`off` says why.

    Args:
        generator: in evaluation mode.
        settings: ``psi``, ``layers`` and ``precision`` of them.
        recorder: makes a recorder of passes; None for CUDA's where the generator is there.
    """

    def __init__(
        self,
        generator: Generator,
        settings: SamplingSettings,
        *,
        recorder: Callable[[], _Recorder] | None = None,
    ) -> None:
        weight = next(generator.parameters())
        self.generator = generator
        self.device, self._dtype = weight.device, weight.dtype
        self.coupled = normalises_by_batch(generator)
        pixels = getattr(generator, "pixels", None)
        self.size = COUPLED_CHUNK if self.coupled else chunk_size(self.device, pixels)
        """Images in a pass."""
        self.off: str | None = None
        """Why passes are not recorded."""
        self.replayed = 0
        """Passes that were made by a recording alone."""
        self._draw = settings.network(generator)
        self._low = settings.precision_on(self.device) == "bfloat16"
        self._weights: list[tuple[nn.Module, str, Tensor]] | None = None
        if recorder is None and self.device.type == "cuda":
            recorder = _CudaGraph
        self._new_recorder = recorder
        self._recorded: dict[tuple[Any, ...], _Recorded | None] = {}

    @torch.inference_mode()
    def images(
        self,
        z: Tensor,
        labels: Tensor,
        *,
        seeds: Sequence[int | str] | None = None,
        class_names: Sequence[str] | None = None,
    ) -> Tensor:
        """uint8 images [N, C, H, W] on the CPU; see :func:`reacgan.sampling.generate`."""
        fill = _with_others if self.coupled else _repeated
        made = []
        for start in range(0, len(z), self.size):
            part = z[start : start + self.size]
            filled = fill(self.generator, part, labels[start : start + self.size], self.size)
            pixels, shape = self._pixels(*filled)
            name = partial(_name, labels, start, seeds=seeds, class_names=class_names)
            made.append(unpacked(pixels.cpu(), shape, len(part), name))
        return torch.cat(made)

    def _pixels(self, z: Tensor, labels: Tensor) -> tuple[Tensor, torch.Size]:
        """Packed pixels of a full chunk, on the device, and the shape of the images."""
        z, labels = z.to(self.device, self._dtype), labels.to(self.device)
        course = z.shape, labels.shape, labels.dtype
        if self._new_recorder is None or self.off is not None:
            return self._plain(z, labels)
        if course not in self._recorded:  # what begins with the first use begins now
            self._recorded[course] = None
            return self._plain(z, labels)
        recorded = self._recorded[course]
        if recorded is not None and recorded.proofs >= PROOFS:
            self.replayed += 1
            return recorded.replay(z, labels)
        expected, shape = self._plain(z, labels)
        try:
            if recorded is None:
                recorded = _Recorded(self._plain, z, labels, self._new_recorder())
                self._recorded[course] = recorded
            self._prove(recorded, recorded.replay(z, labels)[0], expected)
        except Exception as error:
            self._give_up(f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}")
        return expected, shape

    def _prove(self, recorded: _Recorded, actual: Tensor, expected: Tensor) -> None:
        apart = (actual.short() - expected.short()).abs()
        if wrong := int(apart.count_nonzero()):
            self._give_up(
                f"{wrong:,} of {apart.numel():,} values of the recorded pass differ from the plain "
                f"pass's, by {int(apart.max())} at most"
            )
        recorded.proofs += 1

    def _give_up(self, reason: str) -> None:
        self._recorded.clear()
        self.off = reason
        logger.warning("sampling goes on without a recorded pass: %s", reason)

    def _plain(self, z: Tensor, labels: Tensor) -> tuple[Tensor, torch.Size]:
        if self._weights is None:
            self._weights = _worked_out(self.generator, self._low)
        with _taking(self._weights), self._autocast():
            images = self._draw(z, labels)
        return packed(images), images.shape

    def _autocast(self) -> AbstractContextManager[None]:
        return torch.autocast(self.device.type, torch.bfloat16) if self._low else nullcontext()


class _Recorded:
    """A recorded pass and its inputs."""

    def __init__(
        self,
        plain: Callable[[Tensor, Tensor], tuple[Tensor, torch.Size]],
        z: Tensor,
        labels: Tensor,
        recorder: _Recorder,
    ) -> None:
        self.proofs = 0
        self._inputs = z.clone(), labels.clone()
        self._recorder = recorder
        self._shape = torch.Size()

        def work() -> Tensor:
            pixels, self._shape = plain(*self._inputs)
            return pixels

        self._pixels = recorder.capture(work)

    def replay(self, z: Tensor, labels: Tensor) -> tuple[Tensor, torch.Size]:
        """The pass on other inputs."""
        for buffer, value in zip(self._inputs, (z, labels), strict=True):
            buffer.copy_(value)
        self._recorder.replay()
        return self._pixels.clone(), self._shape  # which the next replay overwrites


def _worked_out(generator: nn.Module, low: bool) -> list[tuple[nn.Module, str, Tensor]]:
    """Layers, the method that gives the weight they work with, and that weight, worked out now.

    In the precision, and on CUDA in the order of memory, that convolutions take.
    """
    worked_out: list[tuple[nn.Module, str, Tensor]] = []
    for layer in generator.modules():
        if layer.training or not isinstance(layer, Conv2d | SpectralNorm):
            continue
        name = "normalised_weight"
        if isinstance(layer, Conv2d):
            merged = layer.resample != "none" and layer.kernel_size[0] == 3
            merged = merged and layer.merged_convolutions
            name = "merged_weight" if merged else "effective_weight"
        weight: Tensor = getattr(layer, name)()
        if isinstance(layer, SpectralNorm):
            layer.joins = False  # its weight is not needed again
        weight = weight.to(torch.bfloat16) if low else weight
        if weight.device.type == "cuda" and weight.dim() == 4:
            weight = weight.contiguous(memory_format=torch.channels_last)
        worked_out.append((layer, name, weight))
    return worked_out


@contextmanager
def _taking(weights: Sequence[tuple[nn.Module, str, Tensor]]) -> Iterator[None]:
    """Within the block, these layers work with these weights."""
    for layer, name, weight in weights:
        setattr(layer, name, lambda weight=weight: weight)
    try:
        yield
    finally:
        for layer, name, _ in weights:
            delattr(layer, name)


def _name(labels: Tensor, start: int, index: int, **names: Any) -> str:
    return image_name(labels, start + index, **names)


def _repeated(generator: Generator, z: Tensor, labels: Tensor, step: int) -> tuple[Tensor, Tensor]:
    if len(z) == step:
        return z, labels
    indices = torch.arange(step) % len(z)
    return z[indices], labels[indices]


def _with_others(
    generator: Generator, z: Tensor, labels: Tensor, step: int
) -> tuple[Tensor, Tensor]:
    missing = step - len(z)
    others = Draws(0, "company", 0).normal(missing, z.shape[1]).to(z)
    classes = (torch.arange(missing) % generator.num_classes).to(labels.device)
    if labels.dim() == 2:
        classes = F.one_hot(classes, labels.shape[1]).to(labels)
    return torch.cat([z, others]), torch.cat([labels, classes])
