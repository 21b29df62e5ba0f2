"""Small experiments that exercise everything a run can hold."""

from __future__ import annotations

import numpy as np

from reacgan.config import Experiment, component
from reacgan.data import ImageData

HEADS = ("unconditional", "projection", "auxiliary", "contrastive", "d2dce")


def experiment(head: str = "d2dce", **changes: object) -> Experiment:
    """8 x 8 RGB, width 4, batch 8, two D steps, DiffAug, flips and crops, EMA with a ramp."""
    options = {"embedding_dim": 12} if head in ("contrastive", "d2dce") else {}
    base = Experiment(name=f"tiny/{head}").replace(
        **{
            "data.resolution": 8,
            "data.crop": 1,
            "model.generator.width": 4,
            "model.generator.latent_dim": 8,
            "model.generator.shared_dim": 8,
            "model.generator.attention_after": (1,),
            "model.backbone.width": 4,
            "model.backbone.attention_after": (1,),
            "model.head": component(head, **options).model_dump(),
            "augment.name": "diffaug",
            "ema.half_life": 64,
            "g_optimizer.lr": 1e-3,
            "d_optimizer.lr": 1e-3,
            "d_optimizer.decay_from": 16,
            "d_optimizer.decay_to": 1000,
            "training.batch": 8,
            "training.d_steps": 2,
            "training.images": 160,
            "training.precision": "float32",  # on every processor
            "report.journal_every": 32,
            "report.samples_every": 10_000,
            "report.checkpoint_every": 10_000,
        }
    )
    return base.replace(**changes)


def images(count: int = 50, classes: int = 3) -> ImageData:
    """Random pictures; as many of each class as possible."""
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (count, 3, 8, 8), dtype=np.uint8)
    names = tuple(f"class {label}" for label in range(classes))
    return ImageData(pixels, np.arange(count) % classes, names, "random pictures")
