"""A generator as one safetensors file: weights by name, and all else in its metadata.

Spectral norms are folded into the weights. Their singular vectors are stored too, for which the largest
singular value of a folded weight is 1: the file loads into the same network as a model folder.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from reacgan.config import ConfigError
from reacgan.files import without_paths
from reacgan.hub.folder import FORMAT, check_config
from reacgan.models.spectral import SpectralNorm, weight_of
from reacgan.models.trained import TrainedGenerator
from reacgan.records import parse_json, sealed
from reacgan.tensors import packed, read_metadata, read_tensors

SUFFIX = ".safetensors"
KEY = "reacgan"
"""Of the metadata: JSON with the keys of a folder's ``config.json``."""
_MOVING = "moving/"
"""Prefix of the averages of training, where the weights hold other statistics."""


def write_single(
    model: TrainedGenerator, path: Path, metadata: Mapping[str, Any], *, half: bool = False
) -> None:
    """Write the file, without paths of this machine.

    Args:
        model: the generator.
        path: the file.
        metadata: further keys, plain JSON.
        half: float16 for learned weights; buffers, such as statistics, stay float32.
    """
    generator = model.generator
    learned = {name for name, _ in generator.named_parameters()}
    tensors = {name: value.detach() for name, value in generator.state_dict().items()}
    for name, layer in generator.named_modules():
        if isinstance(layer, SpectralNorm):
            tensors[f"{name}.weight"] = weight_of(layer)
    norms = model.norms
    if norms is not None:
        tensors |= {_MOVING + name: value for name, value in norms.moving.items()}
    for name, value in tensors.items():
        kind = torch.float16 if half and name in learned else torch.float32
        kind = kind if value.is_floating_point() else value.dtype
        tensors[name] = value.to("cpu", kind).contiguous()
    config: dict[str, Any] = {
        **metadata,
        "format": FORMAT,
        "experiment": without_paths(model.experiment.model_dump()),
        "class_names": list(model.class_names),
        "images_seen": model.images_seen,
        "sha256": _digest(tensors),
    }
    if model.white is not None:
        config["white"] = model.white
    if norms is not None:
        config["statistics"] = {"kind": norms.kind, "distance": norms.distance}
    text = json.dumps(sealed(config), ensure_ascii=False)
    path.write_bytes(packed(tensors, {KEY: text}))


def read_single(file: Path) -> tuple[dict[str, Any], dict[str, Tensor], dict[str, Tensor]]:
    """The configuration, the weights, and the averages of training where they are others.

    Raises:
        ConfigError: another file, or a damaged one.
    """
    try:
        config = parse_json(read_metadata(file)[KEY])
        tensors = read_tensors(file)
    except (OSError, ValueError, KeyError, AttributeError, SafetensorError) as error:
        raise ConfigError(
            f"{file}: neither a run's folder nor a model folder, nor a file that reacgan export --to "
            f"safetensors wrote ({error!r})"
        ) from None
    config = check_config(config, file)
    if _digest(tensors) != config["sha256"]:
        raise ConfigError(
            f"{file}: checksum mismatch: its weights are not those written; export it again"
        )
    moving = {
        name.removeprefix(_MOVING): tensors.pop(name)
        for name in list(tensors)
        if name.startswith(_MOVING)
    }
    return config, tensors, moving


def _digest(tensors: Mapping[str, Tensor]) -> str:
    return hashlib.sha256(packed(tensors)).hexdigest()
