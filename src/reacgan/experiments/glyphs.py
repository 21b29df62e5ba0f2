"""Experiments on rendered signs: as many classes as one likes, 16 x 16 grey, minutes on a laptop."""

from __future__ import annotations

from reacgan.config import Experiment
from reacgan.experiments.digits import ACGAN, REACGAN
from reacgan.experiments.parts import Changes

_SIGNS: Changes = {
    "data.name": "glyphs",
    "data.path": "100",
    "data.resolution": 16,
    "data.options": {"colours": False},
    "model.generator.latent_dim": 48,
    "training.images": 150_000,
}


def glyphs(method: Experiment, classes: int) -> Experiment:
    """A method of the digits on ``classes`` signs, white on black."""
    name = method.name.partition("/")[2]
    return method.replace(**{**_SIGNS, "name": f"glyphs/{name}", "data.path": str(classes)})


GLYPHS = tuple(glyphs(method, 100) for method in (REACGAN, ACGAN))
