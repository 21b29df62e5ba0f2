"""Sharing a generator: safetensors, its configuration, a card, and digests. Never a pickle.

A model folder holds ``model.safetensors`` (the averaged generator), ``config.json`` (the experiment,
class names and images seen, and the digest of the weights) and ``README.md`` (the card).
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from reacgan import __version__
from reacgan.config import ConfigError, Device, parse_experiment
from reacgan.models import build_generator, count_parameters
from reacgan.models.trained import TrainedGenerator

FORMAT = 1
_WEIGHTS = "model.safetensors"
_CONFIG = "config.json"


def save(model: TrainedGenerator, folder: str | Path) -> Path:
    """Write a model folder; an existing one is replaced as a whole.

    Raises:
        ConfigError: the folder exists and is something else than a model folder.
    """
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()) and not (folder / _CONFIG).exists():
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
    (writing / "README.md").write_text(card(model), encoding="utf-8")
    old = folder.with_name(f".old-{folder.name}")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    writing.rename(folder)
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
    folder = _model_folder(Path(path))
    config = _read_config(folder)
    experiment = parse_experiment(config["experiment"])
    names = tuple(config["class_names"])
    generator = build_generator(experiment.model.generator, experiment.data, len(names))
    if _digest(folder / _WEIGHTS) != config["sha256"]:
        raise ConfigError(f"{folder / _WEIGHTS}: damaged (its digest is not the one in {_CONFIG})")
    try:
        weights = load_file(folder / _WEIGHTS)
        generator.to(next(iter(weights.values())).dtype).load_state_dict(weights)
    except (SafetensorError, RuntimeError, StopIteration) as error:
        raise ConfigError(f"{folder / _WEIGHTS}: does not fit its {_CONFIG}: {error}") from None
    generator.to(_device(device)).eval().requires_grad_(False)
    return TrainedGenerator(generator, experiment, names, int(config["images_seen"]))


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

A class-conditional generator: {data.resolution} x {data.resolution} pixels,
{data.channels} channel(s), {len(model.class_names)} classes,
{count_parameters(model.generator):,} parameters, trained on {model.images_seen:,} real images
({data.name}; the images are not part of this model and keep their own licence).

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
    for folder in (path, path / "model", *(path.with_name(f".old-{name}") for name in ("model",))):
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
        missing = {"experiment", "class_names", "images_seen", "sha256"} - config.keys()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{folder / _CONFIG}: not readable ({error!r})") from None
    if made_with != FORMAT or missing:
        raise ConfigError(
            f"{folder / _CONFIG}: format {made_with}"
            + (f", without {', '.join(sorted(missing))}" if missing else "")
            + f"; this version reads format {FORMAT}"
        )
    return dict(config)


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
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ConfigError(f"{path}: not readable ({error})") from None
