"""Trained models by name: what there is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reacgan.hub.folder import CONFIG
from reacgan.hub.places import known_models


def pretrained() -> dict[str, str]:
    """Each model that has a name, with one line on what it is; nothing is loaded."""
    return {name: line_of(folder / CONFIG) for name, folder in known_models().items()}


def line_of(file: Path) -> str:
    """One line on what a model is, from its configuration, or that this is not readable."""
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
