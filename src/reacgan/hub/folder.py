"""What is in a model folder, and putting it into a network."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from reacgan.config import ConfigError, Device
from reacgan.files import digest_of

FORMAT = 1
WEIGHTS = "model.safetensors"
CONFIG = "config.json"
REMEDY = "copy the model again, or resume its run, which writes it anew"

AnyModule = TypeVar("AnyModule", bound=nn.Module)


def model_folder(path: Path) -> Path:
    """The folder of a model, given itself or its run; raises ConfigError that says what is there."""
    # A save that was cut off between its two renames leaves the old model under its second name.
    for folder in (path, path / "model", path.with_name(f".old-{path.name}"), path / ".old-model"):
        if (folder / CONFIG).is_file():
            return folder
    if not path.exists():
        raise ConfigError(f"{path}: no such folder; give a run's folder or a model folder")
    if (path / "experiment.json").exists():
        raise ConfigError(f"{path}: this run has not saved a generator yet; let it train longer")
    raise ConfigError(
        f"{path}: neither a run's folder nor a model folder (which holds {CONFIG} and {WEIGHTS})"
    )


def read_config(folder: Path) -> dict[str, Any]:
    """Its configuration, every key checked; raises ConfigError."""
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        made_with = config["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{folder / CONFIG}: not readable ({error!r}); {REMEDY}") from None
    if made_with != FORMAT:
        raise ConfigError(
            f"{folder / CONFIG}: is of format {made_with}, this version reads {FORMAT}; "
            "load it with the version that wrote it"
        )
    wrong = [key for key, fits in _KEYS.items() if not fits(config.get(key))]
    if wrong:
        raise ConfigError(
            f"{folder / CONFIG}: damaged (missing or wrong: {', '.join(wrong)}); {REMEDY}"
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


def unfilled(build: Callable[[], AnyModule]) -> AnyModule:
    """A module of shapes only: nothing is drawn, the weights come from a file.

    Constants that no file holds (buffers outside the state) are those of a module really built.
    """
    with torch.device("meta"):
        module = build()
    if any(part._non_persistent_buffers_set for part in module.modules()):
        with torch.random.fork_rng(devices=[]):
            return build()
    return module


def fill(network: nn.Module, file: Path, described_in: str) -> None:
    """Give a network without weights those of a file, under the same names."""
    try:
        tensors = load_file(file)
        for name in network.state_dict():
            # What was saved before there was a strength of the condition has the whole of it.
            if name.split(".")[-1] == "condition_strength" and name not in tensors:
                tensors[name] = torch.ones((), dtype=next(iter(tensors.values())).dtype)
        network.load_state_dict(tensors, assign=True)
    except (SafetensorError, OSError, StopIteration, RuntimeError) as error:
        raise ConfigError(f"{file}: does not fit its {described_in}; {REMEDY}: {error}") from None


def find_device(device: Device) -> torch.device:
    """The device that a word stands for; raises ConfigError where it is not usable here."""
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


def digest(path: Path) -> str:
    """SHA-256 of a file; raises ConfigError."""
    try:
        return digest_of(path)
    except OSError as error:
        raise ConfigError(f"{path}: not readable ({error}); {REMEDY}") from None
