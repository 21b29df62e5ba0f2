"""``cifar10-small/...``: the methods of :mod:`cifar` at a size that two CPU cores train within hours.

All share length, batch, learning rates and average, so that methods can be compared; widths give about
the same cost.
"""

from __future__ import annotations

from reacgan.config import Experiment
from reacgan.experiments.parts import Changes

METHODS = (
    "dcgan",
    "wgan-gp",
    "sngan",
    "sagan",
    "projgan",
    "acgan",
    "tacgan",
    "adcgan",
    "mhgan",
    "mdgan",
    "biggan",
    "biggan-cr",
    "biggan-deep",
    "contragan",
    "reacgan",
    "reacgan-cr",
    "reacgan-diffaug",
    "reacgan-ada",
    "reacgan-tac",
    "reacgan-adc",
    "stylegan2",
    "stylegan2-d2dce",
    "r3gan",
    "r3gan-d2dce",
)

_ALL: Changes = {
    "training.batch": 64,
    "training.d_steps": 1,
    "training.images": 1_000_000,
    "ema.half_life": 50_000,
    "ema.start": 0,
    "ema.ramp": 0.1,
    "report.journal_every": 10_000,
    "report.samples_every": 50_000,
    "report.checkpoint_every": 50_000,
}
_RATES: Changes = {"g_optimizer.lr": 5e-4, "d_optimizer.lr": 1e-3}
_STYLES: Changes = {
    "model.generator.latent_dim": 64,
    "model.generator.style_dim": 64,
    "model.generator.channel_base": 1024,
    "model.generator.channel_max": 96,
    "model.backbone.channel_base": 1024,
    "model.backbone.channel_max": 96,
}
_WIDTHS: dict[str, Changes] = {
    "biggan": {**_RATES, "model.generator.width": 24, "model.backbone.width": 32},
    "resnet": {**_RATES, "model.generator.width": 24, "model.backbone.width": 32},
    "biggan_deep": {**_RATES, "model.generator.width": 32, "model.backbone.width": 32},
    "dcgan": {"model.generator.width": 32, "model.backbone.width": 32},
    "stylegan2": _STYLES,
    "r3gan": {"model.generator.width": 64, "model.backbone.width": 64},
}


def small(published: Experiment) -> Experiment:
    """The same method at the small size."""
    widths = _WIDTHS[published.model.generator.name]
    name = published.name.replace("cifar10/", "cifar10-small/")
    return published.replace(**{**_ALL, **widths, "name": name})


def small_rows(published: tuple[Experiment, ...]) -> tuple[Experiment, ...]:
    """Those of :data:`METHODS` at the small size."""
    by_method = {experiment.name.partition("/")[2]: experiment for experiment in published}
    return tuple(small(by_method[method]) for method in METHODS)
