"""Trained weights that a run begins with: what they need, and whether they fit a set of images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from reacgan import hub
from reacgan.config import ConfigError, DataConfig, parse_experiment, size_of
from reacgan.hub.folder import CONFIG, DISCRIMINATOR, model_folder, read_config
from reacgan.hub.places import line_of
from reacgan.models import build_discriminator

_FROZEN = 2
TRIED = "tiny-32-reacgan"
"""Of a checkout, for photos in colour: what a start from it gives was measured (docs/own-images.md)."""
MEASURED = (
    "of 60 photos of each of 10 classes, after 4,096 images seen, FID by a classifier of such photos was "
    "3.5 to 4.6 instead of 8.5 to 17.8 (three seeds)"
)
_FEW = 1_000
"""Images below which the first stages of a taken-over D stay as they are (FreezeD)."""


def described(source: str | Path) -> str:
    """What these weights are, in one line: the set they have seen, its shape, the images seen."""
    return line_of(model_folder(hub.locate(source)) / CONFIG)


def refuse_unlike(
    source: str | Path, needed: Mapping[str, Any], wanted: DataConfig, *, given: Mapping[str, Any]
) -> None:
    """See that weights have the channels of a set, and half of its resolution at least.

    Args:
        source: the weights, as they were named.
        needed: what they need (:func:`values_of`).
        wanted: what would be proposed without them.
        given: values set by the user, by dotted keys, which are not disputed.

    Raises:
        ConfigError: they do not; says what they are, and which values would take them all the same.
    """
    unlike = {
        "data.channels": needed["data.channels"] != wanted.channels,
        "data.resolution": _too_small(needed["data.resolution"], wanted),
    }
    refused = [key for key, is_unlike in unlike.items() if is_unlike and key not in given]
    if refused:
        shape = {key: _as_text(needed[key]) for key in refused}
        raise ConfigError(
            f"--from {source}: weights of other images ({described(source)}), which make "
            f"{_shape(needed['data.resolution'], needed['data.channels'])} images; here "
            f"{_shape(wanted.resolution, wanted.channels)} images are proposed. Leave --from out, or give "
            "a run of your own on similar images (--from runs/NAME); to train at their shape all the same: "
            f"--set {' '.join(f'{key}={value}' for key, value in shape.items())}"
        )


def fitting(wanted: DataConfig) -> Iterator[str]:
    """Names of models that have the channels of a set, and half of its resolution to all of it."""
    for name, folder in hub.known_models().items():
        try:
            learned = parse_experiment(read_config(folder)["experiment"]).data
        except ConfigError:
            continue
        fits = min(size_of(learned.resolution)) <= min(size_of(wanted.resolution))
        if learned.channels == wanted.channels and fits:
            if not _too_small(learned.resolution, wanted):
                yield name


def _too_small(resolution: Any, wanted: DataConfig) -> bool:
    return 2 * min(size_of(resolution)) < min(size_of(wanted.resolution))


def _shape(resolution: Any, channels: int) -> str:
    kind = {1: "grey", 3: "colour"}.get(channels, f"{channels}-channel")
    return f"{' x '.join(map(str, size_of(resolution)))} {kind}"


def _as_text(value: Any) -> str:
    return str(value) if isinstance(value, int) else "x".join(map(str, value))


def values_of(source: str | Path, *, images: int) -> dict[str, Any]:
    """The values, by dotted keys, that a run needs to begin with these weights.

    Args:
        source: a run, model folder or name of a model.
        images: of the new set; few of them keep the first stages of D as they are.

    Raises:
        ConfigError: no model there, or a damaged one.
    """
    folder = hub.locate(source)
    model = model_folder(folder)
    config = read_config(model)
    learned = parse_experiment(config["experiment"])
    has_d = (model / DISCRIMINATOR).is_file() or bool(hub.list_states(folder))
    with torch.device("meta"):
        networks = learned.model
        discriminator = build_discriminator(
            networks.backbone,
            networks.head,
            learned.data,
            len(config["class_names"]),
            networks.codes,
        )
    stages = len(discriminator.backbone.stages())
    frozen = min(_FROZEN, stages // 2) if has_d and images < _FEW else 0
    name = str(source)
    return {
        "data.resolution": learned.data.resolution,
        "data.channels": learned.data.channels,
        "model.generator": networks.generator.model_dump(),
        "model.backbone": networks.backbone.model_dump(),
        "model.head": networks.head.model_dump(),
        "model.codes": None if networks.codes is None else networks.codes.model_dump(),
        "loss": learned.loss.model_dump(),
        "training.start_from": str(folder) if Path(name).exists() else name,
        "training.freeze_d": frozen,
    }
