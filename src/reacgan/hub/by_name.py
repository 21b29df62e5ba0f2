"""Trained models by name: what there is, and loading one with its discriminator."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, overload

from reacgan.config import Device
from reacgan.hub.folder import CONFIG
from reacgan.hub.models import load
from reacgan.hub.places import known_models, locate
from reacgan.hub.states import load_discriminator
from reacgan.models import Discriminator
from reacgan.models.trained import TrainedGenerator


def pretrained() -> dict[str, str]:
    """Each model that has a name, with one line on what it is; nothing is loaded."""
    return {name: _line(folder / CONFIG) for name, folder in known_models().items()}


@overload
def from_pretrained(
    named: str | Path,
    *,
    device: Device = ...,
    revision: str | None = ...,
    discriminator: Literal[False] = ...,
) -> TrainedGenerator: ...


@overload
def from_pretrained(
    named: str | Path,
    *,
    device: Device = ...,
    revision: str | None = ...,
    discriminator: Literal[True],
) -> tuple[TrainedGenerator, Discriminator]: ...


def from_pretrained(
    named: str | Path,
    *,
    device: Device = "auto",
    revision: str | None = None,
    discriminator: bool = False,
) -> TrainedGenerator | tuple[TrainedGenerator, Discriminator]:
    """A trained generator by path, by name, or from the Hugging Face hub, in evaluation mode.

    Args:
        named: the folder of a run or model; a name of :func:`pretrained`; or ``OWNER/NAME``, a
            repository of the hub, if no path or name matches.
        device: as in :func:`reacgan.load`.
        revision: of a repository: a branch, tag or commit.
        discriminator: whether to load it too.

    Returns:
        The generator; with ``discriminator`` it and the discriminator.

    Raises:
        ConfigError: nothing there, no network for a repository that is not in the cache, damaged files.
    """
    folder = locate(named, revision=revision, ids=True)
    generator = load(folder, device=device)
    return (generator, load_discriminator(folder, device=device)) if discriminator else generator


def _line(file: Path) -> str:
    """One line from a configuration, or that it is not readable."""
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
        experiment, classes = config["experiment"], len(config["class_names"])
        data, head = experiment["data"], _name(experiment["model"]["head"])
        size = data["resolution"]
        sides = size if isinstance(size, list) else [size, size]
        shape = " x ".join(str(side) for side in [*sides, data["channels"]])
        return f"{data['name']}, {shape}, {classes} classes, {head}, {config['images_seen']:,} images seen"
    except (OSError, ValueError, KeyError, TypeError):
        return f"{CONFIG} is not readable"


def _name(component: Any) -> str:
    return str(component["name"] if isinstance(component, Mapping) else component)
