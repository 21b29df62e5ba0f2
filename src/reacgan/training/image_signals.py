"""What a few generated images say beside real ones: variety, contrast between classes, flatness."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

_SIDE = 8


def image_signals(fake: Tensor, real: Tensor) -> dict[str, float]:
    """Compare a few generated images with as many real ones, as pictures of 8 x 8.

    ``variety`` is the product of two ratios, fake to real, within classes: ``nearest``, the mean
    distance of an image to its nearest neighbour, and ``directions``, the effective number of
    directions in which images differ (the exponential of the spectrum's entropy; Roy, Vetterli
    2007). A collapsed class may differ still, but in one way only, such as in brightness.
    ``contrast`` is the mean distance between images of one latent and two classes, to that of real
    images of two classes; 0 where labels change nothing. ``flat`` is the share of pixels at the ends
    of the range beyond the real share, or of images of one colour, whichever is larger.

    Args:
        fake: uint8 ``[classes, seeds, C, H, W]``, the same latents for each class.
        real: uint8 likewise.
    """
    made, held = _small(fake), _small(real)
    found = {
        "flat": max(_excess(_at_ends(fake), _at_ends(real)), _excess(*map(_blank, (fake, real))))
    }
    if fake.shape[1] > 2:
        nearest, directions = _nearest(held), _directions(held)
        if nearest > 0:
            found["nearest"] = _nearest(made) / nearest
            found["directions"] = _directions(made) / directions
            found["variety"] = found["nearest"] * found["directions"]
    if fake.shape[0] > 1 and (between := _between(held)) > 0:
        found["contrast"] = _between(made) / between
    return found


def _small(images: Tensor) -> Tensor:
    """``[A, B, D]`` of 0 to 1: averages over at most 8 x 8 fields."""
    classes, seeds, _, height, width = images.shape
    size = (min(height, _SIDE), min(width, _SIDE))
    pooled = F.adaptive_avg_pool2d(images.flatten(0, 1).double() / 255, size)
    return pooled.flatten(1).unflatten(0, (classes, seeds))


def _nearest(points: Tensor) -> float:
    distances = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
    itself = torch.eye(points.shape[1], dtype=torch.bool)
    return float(distances.masked_fill(itself, torch.inf).amin(2).mean())


def _directions(points: Tensor) -> float:
    """Mean over classes of exp(entropy of the normalised spectrum); 1 where all images are equal."""
    centred = points - points.mean(1, keepdim=True)
    spectrum = torch.linalg.eigvalsh(centred @ centred.transpose(1, 2)).clamp(min=0)
    share = spectrum / spectrum.sum(1, keepdim=True).clamp(min=1e-12)
    return float(torch.special.entr(share).sum(1).exp().mean())


def _between(points: Tensor) -> float:
    """Mean distance between images of one column and two rows."""
    columns, rows = points.transpose(0, 1), points.shape[0]
    distances = torch.cdist(columns, columns, compute_mode="donot_use_mm_for_euclid_dist")
    return float(distances.sum((1, 2)).mean()) / (rows * (rows - 1))


def _at_ends(images: Tensor) -> float:
    return float(((images == 0) | (images == 255)).double().mean())


def _blank(images: Tensor) -> float:
    return float((images.double().flatten(3).std(-1).mean(-1) < 2).double().mean())


def _excess(fake: float, real: float) -> float:
    return max(fake - real, 0.0) / max(1 - real, 1e-12)
