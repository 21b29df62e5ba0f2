"""A generator as a plain module: constant weights, evaluation mode, operations of PyTorch alone."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from reacgan.config import ConfigError
from reacgan.exporting.layers import Convolution, Linear, Numbers, folded
from reacgan.models import Generator, set_switches
from reacgan.models.codes import CodedGenerator
from reacgan.models.norm_statistics import normalises_by_batch

Runner = Callable[..., Tensor]
"""Makes images of z, classes and maybe psi."""
Output = Literal["float32", "uint8"]
"""Of images: -1 to 1, or 0 to 255."""


def has_styles(generator: Generator) -> bool:
    """Whether it has styles w, which psi truncates."""
    inner = generator.inner if isinstance(generator, CodedGenerator) else generator
    return type(inner).truncated is not Generator.truncated


class PlainGenerator(nn.Module):
    """Latents and classes to images; what the files of every format hold.

    Images are clipped to [-1, 1], or are bytes: 0 to 255, rounded to nearest. Noise of StyleGAN2 is the
    constant one of its layers, so z and the class determine the image.
    """

    def __init__(self, network: Generator, output: Output) -> None:
        super().__init__()
        self.network = network
        self.output = output
        self.latent_dim = int(network.latent_dim)
        self.num_classes = int(network.num_classes)

    @property
    def input_names(self) -> tuple[str, ...]:
        """Of the inputs, in their order."""
        return ("z", "class")

    def example(self, count: int, seed: int = 0) -> tuple[Tensor, ...]:
        """Inputs for ``count`` images, all classes in turn."""
        generator = torch.Generator().manual_seed(seed)
        z = torch.randn(count, self.latent_dim, generator=generator)
        return z, torch.arange(count) % self.num_classes

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """Z float32 [N, latent_dim] and classes int64 [N] -> images [N, C, H, W]."""
        return self.finished(self.network(z, labels))

    def finished(self, images: Tensor) -> Tensor:
        """Clipped, or as bytes."""
        if self.output == "uint8":
            return ((images + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        return images.clamp(-1, 1)


class PlainStyledGenerator(PlainGenerator):
    """The same with an input ``psi``, which moves styles towards their mean; 1 leaves them as they are."""

    @property
    def input_names(self) -> tuple[str, ...]:
        """Of the inputs, in their order."""
        return ("z", "class", "psi")

    def example(self, count: int, seed: int = 0) -> tuple[Tensor, ...]:
        """The same, and a psi."""
        return *super().example(count, seed), torch.tensor([0.7])

    def forward(self, z: Tensor, labels: Tensor, psi: Tensor) -> Tensor:  # type: ignore[override]
        """The same, and psi float32 [1]."""
        psi_value: Any = psi
        return self.finished(self.network.truncated(z, labels, psi=psi_value))


@torch.no_grad()
def plain_generator(
    generator: Generator, *, output: Output = "float32", half: bool = False, psi: bool = False
) -> PlainGenerator:
    """The generator with all weights constant, on the CPU; the generator itself is not changed.

    Args:
        generator: in any mode, on any device.
        output: of images.
        half: float16 for the weights and operations of convolutions and linear layers; all else, such as
            norms, mapping networks and sums, and inputs and outputs stay float32.
        psi: whether truncation of styles is a third input.

    Raises:
        ConfigError: its batch norms use the statistics of each batch, or psi without styles.
    """
    plain = as_it_is(generator, output=output, psi=psi)
    network: Any = plain.network
    set_switches(network, fused_layers=True, merged_convolutions=True, kernels=False)
    _fold(network)
    set_switches(network, fused_layers=False, channels_last=False)
    plain.numbers = _numbers(network)
    for part in network.modules():
        if isinstance(part, Generator):
            object.__setattr__(part, "numbers", plain.numbers)  # past the method of its class
    for layer in plain.modules() if half else ():
        if isinstance(layer, Convolution) or (isinstance(layer, Linear) and not layer.precise):
            layer.weight.data = layer.weight.data.half()
    return plain


def as_it_is(
    generator: Generator, *, output: Output = "float32", psi: bool = False
) -> PlainGenerator:
    """The same module around a copy whose weights are not folded, to compare with."""
    if psi and not has_styles(generator):
        raise ConfigError(
            f"psi cannot be an input: {type(generator).__name__} has no styles to truncate; leave it out "
            "(to truncate z, draw it so)"
        )
    network = copy.deepcopy(generator).cpu().float().eval().requires_grad_(False)
    if normalises_by_batch(network):
        raise ConfigError(
            "statistics is 'batch', with which an image depends on the others of its batch; choose auto, "
            "own, moving or standing to export"
        )
    kind = PlainStyledGenerator if psi else PlainGenerator
    return kind(network, output).eval()


def _numbers(network: Generator) -> Numbers:
    codes = network.codes.discrete if isinstance(network, CodedGenerator) else ()
    return Numbers(max(network.num_classes, *codes, 0))


def _fold(module: nn.Module) -> None:
    for name, layer in module.named_children():
        plain = folded(layer)
        if plain is None:
            _fold(layer)
        else:
            setattr(module, name, plain)
