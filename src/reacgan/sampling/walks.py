"""Ways through the latent space: between two seeds, between two classes, along a direction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from reacgan.config import ConfigError
from reacgan.models.trained import TrainedGenerator
from reacgan.sampling.latents import latents_for
from reacgan.sampling.sample import generate


def interpolate(
    model: TrainedGenerator,
    *,
    classes: tuple[int | str, int | str],
    seeds: tuple[int, int] = (0, 0),
    steps: int = 8,
    truncation: float | None = None,
    psi: float | None = None,
    layers: int | None = None,
) -> Tensor:
    """Images on the way from (class, seed) to another (class, seed).

    z goes along the great circle between the two latents (:func:`spherical`), the weights of the two
    classes, and with them the mixture of their vectors, along a line. The first and the last image
    are those that :func:`reacgan.sample` gives for the two ends.

    Args:
        model: from :func:`reacgan.load`.
        classes: the class at each end, by name or index; the same twice for one class.
        seeds: the seed at each end; the same twice for one latent.
        steps: how many images, both ends included; 2 or more.
        truncation: of z, as in :func:`reacgan.sample`.
        psi: of styles, as in :func:`reacgan.sample`.
        layers: of psi, as in :func:`reacgan.sample`.

    Returns:
        uint8 ``[steps, C, H, W]``.

    Raises:
        ConfigError: an unknown class, or a value out of range.
    """
    shares = _steps(steps, 0.0, 1.0)
    first, last = model.class_indices(list(classes))
    start, end = latents_for(seeds, model.latent_dim, truncation)
    z = torch.stack([spherical(start, end, share) for share in shares])
    draw = partial(
        generate,
        model.generator,
        z,
        psi=psi,
        layers=layers,
        seeds=[f"{seeds[0]} to {seeds[1]} ({share:.0%} of the way)" for share in shares],
        class_names=model.class_names,
    )
    if first == last:
        return draw(torch.full((steps,), first))
    ends = F.one_hot(torch.tensor([first, last]), len(model.class_names)).float()
    weights = torch.tensor(shares)[:, None]
    labels = (1 - weights) * ends[0] + weights * ends[1]
    return draw(labels)


def walk(
    model: TrainedGenerator,
    direction: Tensor,
    *,
    classes: Sequence[int | str] | str | int = "all",
    seed: int = 0,
    span: float = 3.0,
    steps: int = 7,
    truncation: float | None = None,
    psi: float | None = None,
    layers: int | None = None,
) -> Tensor:
    """Images of z + a direction, a from -span to span: uint8 ``[classes, steps, C, H, W]``.

    Args:
        model: from :func:`reacgan.load`.
        direction: ``[latent_dim]``, such as one of :func:`reacgan.sampling.semantic_directions`.
        classes: a row each, as in :func:`reacgan.sample`.
        seed: where the way passes, in its middle.
        span: how far to each side, in standard deviations of z for a unit vector.
        steps: images in a row, both ends included; an odd number shows the seed itself.
        truncation: of z before it moves, as in :func:`reacgan.sample`.
        psi: of styles, as in :func:`reacgan.sample`.
        layers: of psi, as in :func:`reacgan.sample`.

    Raises:
        ConfigError: an unknown class, or a value out of range.
    """
    if direction.shape != (model.latent_dim,):
        raise ConfigError(
            f"direction has the shape {list(direction.shape)}; needed: [{model.latent_dim}]"
        )
    if not 0 <= span < math.inf:
        raise ConfigError(f"span is {span}; allowed: 0 or more")
    places = torch.tensor(_steps(steps, -span, span))
    labels = torch.tensor(model.class_indices(classes))
    z = latents_for([seed], model.latent_dim, truncation) + places[:, None] * direction.cpu()
    images = generate(
        model.generator,
        z.repeat(len(labels), 1),
        labels.repeat_interleave(steps),
        psi=psi,
        layers=layers,
        seeds=[f"{seed} ({place:+.2g} along)" for place in places.tolist()] * len(labels),
        class_names=model.class_names,
    )
    return images.unflatten(0, (len(labels), steps))


def spherical(start: Tensor, end: Tensor, share: float) -> Tensor:
    """Spherical linear interpolation (White 2016): from ``start`` at share 0 to ``end`` at 1.

    sin((1 - t) a) / sin(a) start + sin(t a) / sin(a) end, a the angle between them. Latents in between
    keep the length that z has; on a straight line they would be too short. Where the two point the
    same way or opposite ways there is no great circle, and a straight line is taken.
    """
    wide_start, wide_end = start.double(), end.double()
    cosine = F.cosine_similarity(wide_start, wide_end, dim=0).clamp(-1, 1)
    angle = float(torch.acos(cosine))
    if math.sin(angle) < 1e-6:
        mixed = (1 - share) * wide_start + share * wide_end
    else:
        near, far = math.sin((1 - share) * angle), math.sin(share * angle)
        mixed = (near * wide_start + far * wide_end) / math.sin(angle)
    return mixed.to(start.dtype)


def _steps(steps: int, start: float, end: float) -> list[float]:
    if steps < 2:
        raise ConfigError(f"steps is {steps}; allowed: 2 or more")
    return [start + (end - start) * place / (steps - 1) for place in range(steps)]
