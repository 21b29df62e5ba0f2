"""Trials at each scale: experiments as published, for two CPU cores, and as toys; rows of methods."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from reacgan.config import Experiment
from reacgan.experiments import experiment
from reacgan.experiments.digits import glyphs
from reacgan.experiments.small import small as small_of
from reacgan.models import BACKBONES, GENERATORS
from reacgan.suites.base import Scale, Trial
from reacgan.suites.work import Run

# Values for all options of these names.
SMALL: dict[str, Any] = {
    "width": 8,
    "latent_dim": 60,  # divisible by BigGAN's chunks for up to six layers
    "shared_dim": 8,
    "style_dim": 16,
    "mapping_layers": 2,
    "channel_base": 128,
    "channel_max": 16,
    "group": 2,
    "depth": 1,
    "blocks": 1,
    "embedding_dim": 16,
}
_TOY_BATCH = 32
_TOY_IMAGES = 640
CPU_IMAGES = {"cifar10": 16_000, "tiny_imagenet": 16_000}
"""Length of a trial of a real data set on a CPU, in images seen."""


def shrink(
    table: dict[str, Any],
    name: str,
    options: dict[str, Any],
    attention_after: tuple[int, ...] = (),
) -> dict[str, Any]:
    """The options of a generator or backbone at toy size; others are unchanged."""
    known = inspect.signature(table[name].__init__).parameters
    small: dict[str, Any] = {key: value for key, value in SMALL.items() if key in known}
    if "attention_after" in options:
        small["attention_after"] = attention_after
    return {"name": name, **options, **small}


def small_head(head: dict[str, Any]) -> dict[str, Any]:
    """A head with its name and options at toy size, including the inner head."""
    if isinstance(head.get("over"), dict):
        return {**head, "over": small_head(head["over"])}
    embeds = "embedding_dim" in head or head.get("name") in ("d2dce", "contrastive")
    return {**head, "embedding_dim": SMALL["embedding_dim"]} if embeds else head


def toy(published: Experiment, **changes: Any) -> Experiment:
    """The same members, losses and terms on the embedded digits: a second of one core."""
    model = published.model
    small = {
        "data.name": "digits",
        "data.path": None,
        "data.resolution": 8,
        "data.channels": 1,
        "data.flip": False,
        "data.crop": 0,
        "model.generator": shrink(GENERATORS, model.generator.name, model.generator.options),
        "model.backbone": shrink(BACKBONES, model.backbone.name, model.backbone.options),
        "model.head": small_head(model.head.model_dump()),
        "g_optimizer.lr": 1e-3,
        "d_optimizer.lr": 1e-3,
        "training.batch": _TOY_BATCH,
        "training.accumulate": 1,
        "training.d_steps": 1,
        "training.images": _TOY_IMAGES,
        "training.precision": "float32",
        "ema.start": 0,
        "ema.ramp": None,
        "ema.half_life": 200,
        "report.journal_every": _TOY_IMAGES // 4,
        "report.samples_every": 10_000_000,
        "report.checkpoint_every": 10_000_000,
        "watch.action": "off",
    }
    return published.replace(**{**small, "name": f"toy/{published.name}", **changes})


def on_cpu(published: Experiment) -> Experiment:
    """The method with the networks of ``cifar10-small``, on its own data set at 32 pixels."""
    data, _, method = published.name.partition("/")
    small = small_of(experiment(f"cifar10/{method}"))
    if data != "cifar10":
        other = {"name": f"{data}-32/{method}", "data.name": data, "data.resolution": 32}
        small = small.replace(**other)
    return small.replace(
        **{"training.images": CPU_IMAGES[data], "report.checkpoint_every": 10_000_000}
    )


def scaled(name: str, scale: Scale) -> Experiment:
    """An experiment of the table at a scale.

    Raises:
        ConfigError: an unknown name, or a method without a small size.
    """
    published = experiment(name)
    if scale == "full":
        return published
    return toy(published) if scale == "toy" else on_cpu(published)


# -- rows of methods

TOY_SCORING: dict[str, Any] = {
    "metrics": "fid, prdc",
    "num": 256,
    "extractor_options": {"epochs": 1},
}
CPU_SCORING: dict[str, Any] = {"metrics": "fid, prdc, ifid, accuracy"}
FULL_SCORING: dict[str, Any] = {"metrics": "fid, is, f_beta, prdc", "protocol": "paper"}
"""The protocol of the paper, which needs the weights of Inception."""
GLYPH_IMAGES = 64_000
GLYPH_CLASSES = 100

TITLES = {
    "sngan": "SNGAN",
    "biggan": "BigGAN",
    "contragan": "ContraGAN",
    "acgan": "ACGAN",
    "reacgan": "ReACGAN",
}
MAIN = tuple(TITLES)
DATA_TITLES = {
    "cifar10": "CIFAR10",
    "tiny_imagenet": "Tiny-ImageNet",
    "cub200": "CUB200",
    "imagenet": "ImageNet",
    "afhq": "AFHQ",
}


def trial_of(
    experiment: Experiment,
    row: str,
    scale: Scale,
    *,
    scoring: Mapping[str, Any] | None = None,
    **more: Any,
) -> Trial:
    """A trial with the scoring of the scale, named as its experiment; ``scoring`` overrides."""
    base = {"toy": TOY_SCORING, "cpu": CPU_SCORING, "full": FULL_SCORING}[scale]
    return Trial(experiment.name, row, Run(experiment, **{**base, **(scoring or {})}), **more)


def published_rows(names: Mapping[str, str], scale: Scale, **scoring: Any) -> tuple[Trial, ...]:
    """Trials of named experiments, ``{"cifar10/reacgan": "ReACGAN"}``, by data set.

    ``scoring`` applies to full scale. Scale ``cpu`` has the data sets in :data:`CPU_IMAGES`; the others
    are too large for two cores.
    """
    trials = []
    for name, row in names.items():
        data = experiment(name).data.name
        if scale == "cpu" and data not in CPU_IMAGES:
            continue
        own: dict[str, Any] = {"num": 5_000} if scale == "cpu" and data == "cifar10" else {}
        if scale == "full":
            own = {**_of_full(name), **scoring}
        column = DATA_TITLES.get(data, data)
        trials.append(
            trial_of(scaled(name, scale), row, scale, scoring=own, column=column, published=name)
        )
    return tuple(trials)


def _of_full(name: str) -> dict[str, Any]:
    """The protocol of an experiment's published scores, the same in all suites."""
    modern = name.partition("/")[2].startswith(("stylegan2", "r3gan"))
    return {"protocol": "benchmark"} if modern else {}


def of_data(data: str, methods: Iterable[str], titles: Mapping[str, str]) -> dict[str, str]:
    """``{"cifar10/acgan": "ACGAN", ...}``."""
    return {f"{data}/{method}": titles.get(method, method) for method in methods}


def signs(
    method: str, scale: Scale, *, classes: int = GLYPH_CLASSES, name: str, **changes: Any
) -> Experiment:
    """A method of the digits on rendered signs, or on digits as a toy.

    Full scale has the same size but more images: this data set is made for two cores.
    """
    length = {"toy": 640, "cpu": GLYPH_IMAGES, "full": 5 * GLYPH_IMAGES}[scale]
    settings = {
        "name": f"glyphs-{classes}/{name}",
        "training.images": length,
        "report.journal_every": 10_000,
        "report.samples_every": 10_000_000,
        "report.checkpoint_every": 10_000_000,
        "report.diagnose_every": 1_280,
        "watch.every": 6_400,
    }
    chosen = glyphs(experiment(f"digits/{method}"), classes).replace(**{**settings, **changes})
    if scale != "toy":
        return chosen
    of_head = {key: value for key, value in changes.items() if key.startswith("model.head")}
    return toy(chosen, **{"report.diagnose_every": 64, **of_head})


def variant(
    method: str, scale: Scale, *, data: str, name: str, changes: Mapping[str, Any]
) -> Experiment:
    """A changed method: a published experiment on ``data`` at full scale, signs below.

    At full scale training is diagnosed, unlike in the published experiments, so it has a name of its own
    even without changes.
    """
    if scale != "full":
        return signs(method, scale, name=name, **changes)
    base = experiment(f"{data}/{method}")
    often = {"report.diagnose_every": 100 * base.cycle_images}
    return base.replace(**{**often, **changes, "name": f"{data}-diagnosed/{name}"})
