"""Any experiment at a size that one core trains in a moment, whatever members it names."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from reacgan.config import Experiment, component, size_of
from reacgan.data import ImageData
from reacgan.models import BACKBONES, GENERATORS
from reacgan.suites.scales import shrink, small_head

# Networks of 16 pixels have a place for attention, those of 8 have none.
_small = partial(shrink, attention_after=(1,))


def toy(experiment: Experiment, resolution: Any = 16, **changes: Any) -> Experiment:
    """The same members and terms, tiny networks, batch 8 (in as many parts as it says)."""
    model = experiment.model
    small = {
        "data.resolution": resolution,
        "model.generator": _small(GENERATORS, model.generator.name, model.generator.options),
        "model.backbone": _small(BACKBONES, model.backbone.name, model.backbone.options),
        "model.head": small_head(model.head.model_dump()),
        "training.batch": 8,
        "training.d_steps": 1,
        "training.images": 16,
        "training.seed": 1,
        "ema.start": 0,
        "ema.half_life": 64,
        "report.journal_every": 8,
        "report.samples_every": 10_000,
        "report.checkpoint_every": 10_000,
    }
    return experiment.replace(**{**small, **changes})


def members(
    generator: str = "biggan", backbone: str = "biggan", head: str = "d2dce", **changes: Any
) -> Experiment:
    """A toy of these members with the options they have by themselves."""
    codes = {"model.codes": {"discrete": (3,), "continuous": 1}} if head == "infogan" else {}
    base = Experiment(name=f"toy/{generator}/{backbone}/{head}").replace(
        **{
            "model.generator": component(generator).model_dump(),
            "model.backbone": component(backbone).model_dump(),
            "model.head": component(head).model_dump(),
            **codes,
        }
    )
    return toy(base, **changes)


def pictures(experiment: Experiment, count: int = 24, classes: int = 3) -> ImageData:
    """Random pictures of the experiment's size."""
    generator = np.random.default_rng(0)
    shape = (count, experiment.data.channels, *size_of(experiment.data.resolution))
    names = tuple(f"class {label}" for label in range(classes))
    pixels = generator.integers(0, 256, shape, dtype=np.uint8)
    return ImageData(pixels, np.arange(count) % classes, names, "random pictures")
