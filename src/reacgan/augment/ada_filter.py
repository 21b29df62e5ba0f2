"""ADA's image-space filter and corruptions."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from reacgan.augment.chances import Chances, chosen, reflected
from reacgan.augment.diffaug import cut_out

# Low-pass filter of the wavelet sym2 (Daubechies 1992): (1 +- sqrt 3, 3 +- sqrt 3) / (4 sqrt 2).
SYM2 = tuple(
    tap / (4 * math.sqrt(2))
    for tap in (1 - math.sqrt(3), 3 - math.sqrt(3), 3 + math.sqrt(3), 1 + math.sqrt(3))
)
# Expected power of natural images in the four bands, as 1 / frequency.
POWER = (10 / 13, 1 / 13, 1 / 13, 1 / 13)


def band_filters() -> Tensor:
    """Zero-phase filters of [0, pi/8], [pi/8, pi/4], [pi/4, pi/2], [pi/2, pi]: ``[4, 43]`` float64.

    A signal is split by the half-band filters |H(w)|^2 / 2 of sym2 and its mirror image, and the low
    half twice again, undecimated. The four add up to a unit impulse.
    """
    taps = torch.tensor(SYM2, dtype=torch.float64)
    signs = torch.tensor([1.0, -1.0] * 2, dtype=torch.float64)
    low, high = _correlated(taps) / 2, _correlated(taps * signs) / 2  # [7] each
    bands = []
    before = torch.ones(1, dtype=torch.float64)  # response of the splits so far
    for level in range(3):
        bands.append(_convolved(before, _spread(high, 2**level)))
        before = _convolved(before, _spread(low, 2**level))
    bands.append(before)
    longest = len(before)
    return torch.stack([F.pad(band, ((longest - len(band)) // 2,) * 2) for band in bands[::-1]])


def draw_gains(chances: Chances, power: Tensor) -> tuple[Tensor, Tensor]:
    """Gains, for each band in turn: 2^N(0, 1), then all rescaled to keep the expected power.

    Returns:
        ``[N, 4]`` and whether any gain was drawn, bool ``[N]``.
    """
    fired = chances.never()
    gains = chances.ones()[:, None].expand(-1, 4)
    bands = torch.arange(4, device=fired.device)
    for band in range(4):
        acts = chances.fires()
        factor = torch.where(acts, chances.log_normal(1.0), 1.0)
        gain = torch.where(bands == band, factor[:, None], 1.0)
        gains = gains * gain / (gain.square() * power).sum(dim=1, keepdim=True).sqrt()
        fired = fired | acts
    return gains, fired


def amplify(images: Tensor, gains: Tensor, fired: Tensor, filters: Tensor) -> Tensor:
    """Multiply the bands of the images where ``fired`` by ``gains [N, 4]``, along both axes.

    Args:
        images: ``[N, C, H, W]``, reflected at the edges.
        gains: factors of the bands.
        fired: bool ``[N]``.
        filters: :func:`band_filters`.
    """
    count, channels, height, width = images.shape
    taps = (gains[:, :, None] * filters.to(images.dtype)).sum(dim=1)  # [N, 43]
    reach = filters.shape[1] // 2
    changed = images
    for axis, length in ((2, height), (3, width)):
        index = torch.arange(-reach, length + reach, device=images.device)
        changed = changed.index_select(axis, reflected(index, length))
        shape = (-1, 1, filters.shape[1], 1) if axis == 2 else (-1, 1, 1, filters.shape[1])
        kernel = taps.repeat_interleave(channels, dim=0).view(shape)  # [N C, 1, ...]
        size = changed.shape[2:]
        changed = F.conv2d(changed.reshape(1, -1, *size), kernel, groups=count * channels)
        changed = changed.view(count, channels, *changed.shape[2:])
    return chosen(fired, changed, images)


def add_noise(images: Tensor, chances: Chances) -> Tensor:
    """Add N(0, s^2) to each value, with one s = |N(0, 0.1^2)| an image."""
    fired = chances.fires()
    strength = (chances.normal().abs() * 0.1)[:, None, None, None]
    return chosen(fired, images + strength * chances.normal(*images.shape[1:]), images)


def cut_rectangle(images: Tensor, chances: Chances) -> Tensor:
    """Mid-grey in a rectangle of half the sides whose centre is uniform over the image."""
    height, width = images.shape[2:]
    fired = chances.fires()
    tops = (chances.uniform(0, 1) * height - height / 4).round().long()
    lefts = (chances.uniform(0, 1) * width - width / 4).round().long()
    sides = round(height / 2), round(width / 2)
    return chosen(fired, cut_out(images, tops, lefts, sides), images)


def _correlated(taps: Tensor) -> Tensor:
    return _convolved(taps, taps.flip(0))


def _convolved(left: Tensor, right: Tensor) -> Tensor:
    reach = len(right) - 1
    return F.conv1d(F.pad(left, (reach, reach))[None, None], right.flip(0)[None, None])[0, 0]


def _spread(taps: Tensor, factor: int) -> Tensor:
    """Zeros between taps: h(z^factor)."""
    spread = F.pad(taps[:, None], (0, factor - 1)).flatten()
    return spread[: len(taps) * factor - (factor - 1)]
