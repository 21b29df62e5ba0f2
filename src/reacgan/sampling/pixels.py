"""Convert the output of a generator to pixels; NaN and infinity are refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from reacgan.config import ConfigError


class NonFiniteImageError(ConfigError):
    """The output of a generator holds NaN or infinity."""

    def __init__(self, which: str, others: int) -> None:
        self.which = which
        more = f" and {others} more of its batch" if others else ""
        super().__init__(
            f"{which}{more}: the generator gives NaN or infinity instead of pixels, though its weights "
            "are finite: activations overflow its number type. Take an earlier state of "
            "the run, other statistics of batch norm, or float32"
        )


def to_uint8(images: Tensor, which: Callable[[int], str] | None = None) -> Tensor:
    """[-1, 1] to 0..255, rounded to nearest: uint8 on the CPU.

    Args:
        images: ``[N, ...]`` on any device; the check is transferred together with the pixels.
        which: describes image k, for the message; by default its index.

    Raises:
        NonFiniteImageError: names the first image that is not finite.
    """
    return unpacked(packed(images).cpu(), images.shape, len(images), which)


def packed(images: Tensor) -> Tensor:
    """Pixels of ``images [N, ...]``, then for each image 1 where it is not finite: one uint8 vector.

    Where the images are, without waiting for the device.
    """
    broken = ~images.reshape(len(images), -1).isfinite().all(1)
    pixels = ((images.float() + 1) * 127.5).round_().clamp_(0, 255).to(torch.uint8)
    return torch.cat([pixels.flatten(), broken.to(torch.uint8)])


def unpacked(
    moved: Tensor, shape: torch.Size, count: int, which: Callable[[int], str] | None = None
) -> Tensor:
    """The first ``count`` images of what :func:`packed` gave for images of this shape.

    Raises:
        NonFiniteImageError: as :func:`to_uint8`.
    """
    pixels, broken = moved.split([shape.numel(), shape[0]])
    wrong = broken[:count].nonzero().flatten().tolist()
    if wrong:
        name = which or (lambda number: f"image {number} of {count}")
        raise NonFiniteImageError(name(wrong[0]), len(wrong) - 1)
    return pixels.view(shape)[:count]


def image_name(
    labels: Tensor,
    index: int,
    *,
    seeds: Sequence[int | str] | None = None,
    class_names: Sequence[str] | None = None,
) -> str:
    """Image ``index`` in words: its class, or the shares of its classes, and its seed.

    Args:
        labels: int64 ``[N]``, or weights of classes ``[N, K]``.
        index: which of them.
        seeds: of each image, or texts; None gives the index of the image.
        class_names: None gives the indices of the classes.
    """

    def named(label: int) -> str:
        return repr(class_names[label]) if class_names is not None else str(label)

    label = labels[index]
    if label.dim() == 0:
        kind = named(int(label))
    else:
        shares = [(float(share), number) for number, share in enumerate(label) if share]
        kind = " + ".join(f"{share:.2g} x {named(number)}" for share, number in shares)
    seed = f"seed {seeds[index]}" if seeds is not None else f"image {index} of {len(labels)}"
    return f"class {kind}, {seed}"
