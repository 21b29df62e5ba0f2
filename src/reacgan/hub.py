"""Sharing a generator: safetensors, its configuration, a card, and digests. Never a pickle.

A model folder holds ``model.safetensors`` (the averaged generator), ``config.json`` (the experiment,
class names and images seen, and the digest of the weights) and ``README.md`` (the card).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from reacgan import __version__
from reacgan.config import ConfigError, Device, parse_experiment
from reacgan.config.resolution import describe
from reacgan.files import digest_of, flush_folder
from reacgan.models import (
    Discriminator,
    build_discriminator,
    build_generator,
    count_parameters,
)
from reacgan.models.trained import TrainedGenerator

FORMAT = 1
_WEIGHTS = "model.safetensors"
_CONFIG = "config.json"
_STATES = "checkpoints"

AnyModule = TypeVar("AnyModule", bound=nn.Module)
_DISCRIMINATOR = "discriminator.safetensors"
_REMEDY = "copy the model again, or resume its run, which writes it anew"


def save(model: TrainedGenerator, folder: str | Path) -> Path:
    """Write a model folder; an existing one is replaced as a whole.

    Raises:
        ConfigError: the folder exists and is something else than a model folder.
    """
    folder = Path(folder).resolve()
    other = folder.exists() and not folder.is_dir()
    if other or (folder.exists() and any(folder.iterdir()) and not (folder / _CONFIG).exists()):
        raise ConfigError(f"{folder}: exists and is not a model folder; choose another place")
    folder.parent.mkdir(parents=True, exist_ok=True)
    writing = folder.with_name(f".writing-{folder.name}")
    shutil.rmtree(writing, ignore_errors=True)
    writing.mkdir()
    tensors = {
        name: value.detach().contiguous().cpu()
        for name, value in model.generator.state_dict().items()
    }
    save_file(tensors, writing / _WEIGHTS)
    config = {
        "format": FORMAT,
        "reacgan": __version__,
        "experiment": model.experiment.model_dump(),
        "class_names": list(model.class_names),
        "images_seen": model.images_seen,
        "sha256": _digest(writing / _WEIGHTS),
    }
    (writing / _CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    # A folder's name may hold bytes that are no UTF-8, and with it a class name.
    (writing / "README.md").write_text(card(model), encoding="utf-8", errors="replace")
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
    place = _device(device)
    folder = _model_folder(Path(path).resolve())
    config = _read_config(folder)
    if _digest(folder / _WEIGHTS) != config["sha256"]:
        raise ConfigError(
            f"{folder / _WEIGHTS}: damaged (its digest is not the one in {_CONFIG}); {_REMEDY}"
        )
    names = tuple(config["class_names"])
    try:
        experiment = parse_experiment(config["experiment"])
        model = experiment.model
        generator = _unfilled(
            lambda: build_generator(model.generator, experiment.data, len(names), model.codes)
        )
    except ConfigError as error:
        raise ConfigError(f"{folder / _CONFIG}: {error}") from None
    _fill(generator, folder / _WEIGHTS, _CONFIG)
    generator.to(place).eval().requires_grad_(False)
    return TrainedGenerator(generator, experiment, names, config["images_seen"])


def load_discriminator(path: str | Path, *, device: Device = "auto") -> Discriminator:
    """The discriminator of a run, from its newest whole checkpoint, in evaluation mode.

    Args:
        path: a run's folder, or its ``model``.
        device: as in :func:`load`.

    Raises:
        ConfigError: nothing to load there, such as in a model folder on its own, or damaged files.
    """
    place = _device(device)
    given = Path(path).resolve()
    folder = _model_folder(given)
    config = _read_config(folder)
    run = folder.parent if (folder.parent / _STATES).is_dir() else given
    file = _discriminator_file(run)
    try:
        experiment = parse_experiment(config["experiment"])
        model = experiment.model
        classes = len(config["class_names"])
        discriminator = _unfilled(
            lambda: build_discriminator(
                model.backbone, model.head, experiment.data, classes, model.codes
            )
        )
    except ConfigError as error:
        raise ConfigError(f"{folder / _CONFIG}: {error}") from None
    _fill(discriminator, file, _CONFIG)
    return discriminator.to(place).eval().requires_grad_(False)


def _unfilled(build: Callable[[], AnyModule]) -> AnyModule:
    """A module of shapes only: nothing is drawn, the weights come from a file.

    Constants that no file holds (buffers outside the state) are those of a module really built.
    """
    with torch.device("meta"):
        module = build()
    if any(part._non_persistent_buffers_set for part in module.modules()):
        with torch.random.fork_rng(devices=[]):
            return build()
    return module


def _discriminator_file(run: Path) -> Path:
    states = run / _STATES
    found = sorted(states.iterdir(), reverse=True) if states.is_dir() else []
    for state in found:
        file = state / _DISCRIMINATOR
        try:
            digests = json.loads((state / "state.json").read_text(encoding="utf-8"))["digests"]
            if state.name.isdigit() and digest_of(file) == digests[_DISCRIMINATOR]:
                return file
        except (OSError, ValueError, KeyError, TypeError):
            continue  # torn or damaged: the one before it
    raise ConfigError(
        f"{run}: no whole checkpoint with a discriminator; give the folder of a run. "
        "A model folder holds the generator alone"
    )


def _fill(network: nn.Module, file: Path, described_in: str) -> None:
    """Give a network without weights those of a file, under the same names."""
    try:
        tensors = load_file(file)
        for name in network.state_dict():
            # What was saved before there was a strength of the condition has the whole of it.
            if name.split(".")[-1] == "condition_strength" and name not in tensors:
                tensors[name] = torch.ones((), dtype=next(iter(tensors.values())).dtype)
        network.load_state_dict(tensors, assign=True)
    except (SafetensorError, OSError, StopIteration, RuntimeError) as error:
        raise ConfigError(f"{file}: does not fit its {described_in}; {_REMEDY}: {error}") from None


def card(model: TrainedGenerator) -> str:
    """The model card: what it is, what it was trained on, how to use it."""
    experiment = model.experiment
    data = experiment.data
    names = ", ".join(model.class_names[:20]) + (" ..." if len(model.class_names) > 20 else "")
    first = model.class_names[0]
    return f"""---
library_name: reacgan
tags: [gan, class-conditional, {experiment.model.head.name}]
---
# {experiment.name}

A class-conditional generator: {describe(data.resolution)} pixels,
{data.channels} channel(s), {len(model.class_names)} classes,
{count_parameters(model.generator):,} parameters, trained until {model.images_seen:,} real
images had been seen (repeats counted; {data.name}; the images are not part of this model and keep
their own licence).

Classes: {names}

```python
import reacgan

model = reacgan.load(".")
for sample in reacgan.sample(model, {first!r}, num=4, seed=0):
    print(sample.class_name, sample.seed, sample.image.shape)
```

`config.json` holds the whole training configuration and the digest of the weights. These weights are
the exponential moving average of the generator's. No score is given here unless its protocol is
given with it.
"""


def _model_folder(path: Path) -> Path:
    # A save that was cut off between its two renames leaves the old model under its second name.
    for folder in (path, path / "model", path.with_name(f".old-{path.name}"), path / ".old-model"):
        if (folder / _CONFIG).is_file():
            return folder
    if not path.exists():
        raise ConfigError(f"{path}: no such folder; give a run's folder or a model folder")
    if (path / "experiment.json").exists():
        raise ConfigError(f"{path}: this run has not saved a generator yet; let it train longer")
    raise ConfigError(
        f"{path}: neither a run's folder nor a model folder (which holds {_CONFIG} and {_WEIGHTS})"
    )


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
        made_with = config["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{folder / _CONFIG}: not readable ({error!r}); {_REMEDY}") from None
    if made_with != FORMAT:
        raise ConfigError(
            f"{folder / _CONFIG}: is of format {made_with}, this version reads {FORMAT}; "
            "load it with the version that wrote it"
        )
    wrong = [key for key, fits in _KEYS.items() if not fits(config.get(key))]
    if wrong:
        raise ConfigError(
            f"{folder / _CONFIG}: damaged (missing or wrong: {', '.join(wrong)}); {_REMEDY}"
        )
    return dict(config)


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(name, str) for name in value)


# What the configuration holds, and whether a value can be it.
_KEYS: dict[str, Callable[[Any], bool]] = {
    "experiment": lambda value: isinstance(value, dict),
    "class_names": _are_names,
    "images_seen": lambda value: type(value) is int and value >= 0,
    "sha256": lambda value: isinstance(value, str),
}


def _device(device: Device) -> torch.device:
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    available = {"cpu": True, "cuda": torch.cuda.is_available()}.get(
        device, torch.backends.mps.is_available()
    )
    if not available:
        raise ConfigError(f"device is {device}, which is not usable here; use auto or cpu")
    return torch.device(device)


def _digest(path: Path) -> str:
    try:
        return digest_of(path)
    except OSError as error:
        raise ConfigError(f"{path}: not readable ({error}); {_REMEDY}") from None
