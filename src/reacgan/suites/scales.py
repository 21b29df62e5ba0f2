"""The same experiment at three scales: as published, for two CPU cores, and as a toy."""

from __future__ import annotations

import inspect
from typing import Any

from reacgan.config import Experiment
from reacgan.experiments import experiment as named
from reacgan.experiments.small import small as small_of
from reacgan.models import BACKBONES, GENERATORS
from reacgan.suites.base import Scale

# Whatever option of this name a member has gets this value.
SMALL: dict[str, Any] = {
    "width": 8,
    "latent_dim": 60,  # a chunk for up to six places of BigGAN's
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
"""How long a trial of a real data set is on a CPU, images seen."""


def shrink(
    table: dict[str, Any],
    name: str,
    options: dict[str, Any],
    attention_after: tuple[int, ...] = (),
) -> dict[str, Any]:
    """The options of a generator or backbone at toy size; what has no small value stays."""
    known = inspect.signature(table[name].__init__).parameters
    places = {} if "attention_after" not in options else {"attention_after": attention_after}
    small = {key: value for key, value in SMALL.items() if key in known}
    return {"name": name, **options, **small, **places}


def toy(published: Experiment, **changes: Any) -> Experiment:
    """The same members, losses and terms on the embedded digits: a second of one core."""
    model, head = published.model, published.model.head.options
    if "embedding_dim" in head or model.head.name in ("d2dce", "contrastive"):
        head = {**head, "embedding_dim": SMALL["embedding_dim"]}
    small = {
        "data.name": "digits",
        "data.path": None,
        "data.resolution": 8,
        "data.channels": 1,
        "data.flip": False,
        "data.crop": 0,
        "model.generator": shrink(GENERATORS, model.generator.name, model.generator.options),
        "model.backbone": shrink(BACKBONES, model.backbone.name, model.backbone.options),
        "model.head": {"name": model.head.name, **head},
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


def on_cpu(published: Experiment, data: str, **changes: Any) -> Experiment:
    """The method at the size of ``cifar10-small``, on ``cifar10`` or the same networks on another set."""
    method = published.name.partition("/")[2]
    of_cifar = named(f"cifar10/{method}")
    small = small_of(of_cifar)
    if data != "cifar10":
        small = small.replace(
            **{
                "name": f"{data}-32/{method}",
                "data.name": data,
                "data.resolution": 32,
            }
        )
    lasts = {"training.images": CPU_IMAGES[data], "report.checkpoint_every": 10_000_000}
    return small.replace(**{**lasts, **changes})


def scaled(name: str, scale: Scale, *, data: str | None = None) -> Experiment:
    """An experiment of the table at a scale; ``data`` says whose images it uses on a CPU.

    Raises:
        ConfigError: an unknown name, or a method without a small size.
    """
    published = named(name)
    if scale == "full":
        return published
    if scale == "toy":
        return toy(published)
    return on_cpu(published, data or published.data.name)
