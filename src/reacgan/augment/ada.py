"""Adaptive discriminator augmentation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from reacgan.augment.ada_colour import COLOUR, change_colour, draw_colour
from reacgan.augment.ada_filter import (
    POWER,
    add_noise,
    amplify,
    band_filters,
    cut_rectangle,
    draw_gains,
)
from reacgan.augment.ada_geometry import (
    BLIT,
    GEOMETRY,
    blit,
    draw_blit,
    draw_geometry,
    transform,
)
from reacgan.augment.ada_resample import SYM6
from reacgan.augment.base import Augment
from reacgan.augment.chances import Chances, check_images, in_memory_format_of
from reacgan.augment.controller import Controller
from reacgan.config import PositiveFloat, PositiveInt, UnitFloat
from reacgan.randomness import Draws
from reacgan.tensors import widened, without_autocast

Preset = Literal[
    "blit", "geom", "color", "filter", "noise", "cutout", "bg", "bgc", "bgcf", "bgcfn", "bgcfnc"
]
Operation = Literal[
    "flip",
    "rotate90",
    "shift",
    "scale",
    "rotate",
    "stretch",
    "translate",
    "brightness",
    "contrast",
    "luma_flip",
    "hue",
    "saturation",
    "filter",
    "noise",
    "cutout",
]
Operations = Annotated[tuple[Operation, ...], Field(min_length=1)]

PRESETS: Mapping[str, tuple[str, ...]] = {
    "blit": BLIT,
    "geom": GEOMETRY,
    "color": COLOUR,
    "filter": ("filter",),
    "noise": ("noise",),
    "cutout": ("cutout",),
    "bg": BLIT + GEOMETRY,
    "bgc": BLIT + GEOMETRY + COLOUR,
    "bgcf": (*BLIT, *GEOMETRY, *COLOUR, "filter"),
    "bgcfn": (*BLIT, *GEOMETRY, *COLOUR, "filter", "noise"),
    "bgcfnc": (*BLIT, *GEOMETRY, *COLOUR, "filter", "noise", "cutout"),
}


class Ada(Augment):
    """ADA (Karras, Aittala, Hellsten, Laine, Lehtinen, Aila, NeurIPS 2020), appendix B.

    Fifteen random operations in a fixed order: pixel blitting, geometry, colour, a filter of four
    frequency bands, noise, cutout. Each is applied to each image with probability p, independently;
    ranges are in ``ada_geometry.py``, ``ada_colour.py`` and ``ada_filter.py``. An image to which none
    is applied stays the same bit for bit, and so do all images at p = 0.

    p adapts to D's scores of real images (:class:`reacgan.augment.controller.Controller`), whose
    buffers are part of the run's state. p is a tensor on the device; its value is never awaited.

    Differences from the paper: pixel blitting copies pixels before the geometric resampling, which
    would blur them; and images are reflected at their edges as often as needed, not once.

    Computed in float32 at least; the result has the type and memory format of the images. Values may
    leave [-1, 1].

    Args:
        operations: a preset, or the names of operations (their order does not matter). The paper
            recommends ``bgc``.
        probability: the initial p.
        target: value of E[sign(D(real))] that p aims at; None keeps p fixed.
        speed: images in which p can go from 0 to 1.
        every: D's steps between two adjustments of p.
    """

    power: Tensor
    taps: Tensor
    filters: Tensor

    def __init__(
        self,
        *,
        operations: Preset | Operations = "bgc",
        probability: UnitFloat = 0.0,
        target: UnitFloat | None = 0.6,
        speed: PositiveFloat = 500_000,
        every: PositiveInt = 4,
    ) -> None:
        super().__init__()
        names = PRESETS[operations] if isinstance(operations, str) else operations
        self.operations = frozenset(names)
        self.controller = Controller(
            probability=probability, target=target, speed=speed, every=every
        )
        # Constants; buffers so that they lie on the images' device.
        self.register_buffer("taps", torch.tensor(SYM6), persistent=False)
        self.register_buffer("power", torch.tensor(POWER), persistent=False)
        self.register_buffer("filters", band_filters().float(), persistent=False)

    @property
    def probability(self) -> Tensor:
        """The present p, a scalar on the device."""
        return self.controller.probability

    def observe(self, real_scores: Tensor, *, batch: int) -> None:
        """Adapt p to D's scores of real images."""
        self.controller.observe(real_scores, batch=batch)

    def forward(self, images: Tensor, draws: Draws) -> Tensor:
        """Change ``images [N, C, H, W]``; twice differentiable.

        Raises:
            ConfigError: the images are not a floating-point batch of four axes.
        """
        check_images(images)
        with without_autocast(images):
            changed = self._changed(widened(images), draws).to(images.dtype)
        return in_memory_format_of(images, changed)

    def _changed(self, images: Tensor, draws: Draws) -> Tensor:
        names, (channels, height, width) = self.operations, images.shape[1:]
        chances = Chances(draws, self.probability, images)
        if names & set(BLIT):
            images = blit(images, draw_blit(chances, names, (height, width)))
        if names & set(GEOMETRY):
            geometry = draw_geometry(chances, names, (height, width))
            images = transform(images, geometry, self.taps)
        if names & set(COLOUR):
            images = change_colour(images, *draw_colour(chances, names, channels))
        if "filter" in names:
            images = amplify(images, *draw_gains(chances, self.power), self.filters)
        if "noise" in names:
            images = add_noise(images, chances)
        if "cutout" in names:
            images = cut_rectangle(images, chances)
        return images
