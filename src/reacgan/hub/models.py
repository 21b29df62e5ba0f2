"""Sharing a generator: safetensors, its configuration, a card, and digests. Never a pickle.

A model folder holds ``model.safetensors`` (the averaged generator), ``config.json`` (the experiment,
class names and images seen, and the digest of the weights) and ``README.md`` (the card).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from reacgan import __version__
from reacgan.config import ConfigError, Device, parse_experiment
from reacgan.files import flush_folder
from reacgan.hub.card import card
from reacgan.hub.folder import (
    CONFIG,
    FORMAT,
    REMEDY,
    WEIGHTS,
    digest,
    fill,
    find_device,
    model_folder,
    read_config,
    unfilled,
)
from reacgan.models import build_generator
from reacgan.models.trained import TrainedGenerator


def save(
    model: TrainedGenerator,
    folder: str | Path,
    *,
    beside: Mapping[str, str] | None = None,
    weights: Mapping[str, Tensor] | None = None,
) -> Path:
    """Write a model folder; an existing one is replaced as a whole.

    Args:
        model: whose weights, configuration and class names are written.
        folder: where to.
        beside: further text files by name.
        weights: a copy of the generator's state to write, while that goes on changing.

    Raises:
        ConfigError: the folder exists and is something else than a model folder.
    """
    folder = Path(folder).resolve()
    other = folder.exists() and not folder.is_dir()
    if other or (folder.exists() and any(folder.iterdir()) and not (folder / CONFIG).exists()):
        raise ConfigError(f"{folder}: exists and is not a model folder; choose another place")
    folder.parent.mkdir(parents=True, exist_ok=True)
    writing = folder.with_name(f".writing-{folder.name}")
    shutil.rmtree(writing, ignore_errors=True)
    writing.mkdir()
    held = weights if weights is not None else model.generator.state_dict()
    tensors = {name: value.detach().contiguous().cpu() for name, value in held.items()}
    save_file(tensors, writing / WEIGHTS)
    config = {
        "format": FORMAT,
        "reacgan": __version__,
        "experiment": model.experiment.model_dump(),
        "class_names": list(model.class_names),
        "images_seen": model.images_seen,
        "sha256": digest(writing / WEIGHTS),
    }
    (writing / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    # A folder's name may hold bytes that are no UTF-8, and with it a class name.
    (writing / "README.md").write_text(card(model), encoding="utf-8", errors="replace")
    for name, text in (beside or {}).items():
        (writing / name).write_text(text, encoding="utf-8")
    flush_folder(writing)
    old = folder.with_name(f".old-{folder.name}")
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
    try:
        writing.rename(folder)
    except OSError:
        if old.exists():
            old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)
    return folder


def load(path: str | Path, *, device: Device = "auto") -> TrainedGenerator:
    """The generator of a run folder or model folder, in evaluation mode.

    Args:
        path: a run's folder, its ``model``, or any folder that :func:`save` wrote.
        device: ``auto`` takes CUDA, then MPS, then the CPU.

    Raises:
        ConfigError: nothing to load there, or a file that is damaged or of another version.
    """
    place = find_device(device)
    folder = model_folder(Path(path).resolve())
    config = read_config(folder)
    if digest(folder / WEIGHTS) != config["sha256"]:
        raise ConfigError(
            f"{folder / WEIGHTS}: damaged (its digest is not the one in {CONFIG}); {REMEDY}"
        )
    names = tuple(config["class_names"])
    try:
        experiment = parse_experiment(config["experiment"])
        model = experiment.model
        generator = unfilled(
            lambda: build_generator(model.generator, experiment.data, len(names), model.codes)
        )
    except ConfigError as error:
        raise ConfigError(f"{folder / CONFIG}: {error}") from None
    fill(generator, folder / WEIGHTS, CONFIG)
    generator.to(place).eval().requires_grad_(False)
    return TrainedGenerator(generator, experiment, names, config["images_seen"])
