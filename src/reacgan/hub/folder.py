"""Files of a model folder, and loading them into a network."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from reacgan.config import ConfigError
from reacgan.files import digest_of
from reacgan.records import SEAL, check_seal, read_json
from reacgan.tensors import describe_non_finite, non_finite, parsed_tensors, read_content

FORMAT = 1
WEIGHTS = "model.safetensors"
DISCRIMINATOR = "discriminator.safetensors"
MOVING = "moving.safetensors"
"""The averages of training of batch norms, where the weights hold the generator's own statistics."""
CONFIG = "config.json"
MOST_OF_CONFIG = 4 * 2**20
"""Bytes of a configuration: that of a thousand classes takes 0.03 million."""
REMEDY = "copy the model again, or resume its run, which writes it again"


def candidates(path: Path) -> tuple[Path, ...]:
    """Where the model of a path may be, the path being its folder or that of its run."""
    # A save that was interrupted between its two renames leaves the old model under its second name.
    return (path, path / "model", path.with_name(f".old-{path.name}"), path / ".old-model")


def model_folder(path: Path) -> Path:
    """The folder of a model, given itself or its run; raises ConfigError."""
    for folder in candidates(path):
        if (folder / CONFIG).is_file():
            return folder
    if not path.exists():
        raise ConfigError(f"{path}: no such folder; give a run's folder or a model folder")
    if (path / "experiment.json").exists():
        raise ConfigError(f"{path}: this run has not saved a generator yet; let it train longer")
    raise ConfigError(
        f"{path}: neither a run's folder nor a model folder (which holds {CONFIG} and {WEIGHTS})"
    )


def holds_generator(folder: Path) -> bool:
    """Whether it is the folder of a run or of a model, and not one of images."""
    files = (CONFIG, "experiment.json", f"model/{CONFIG}")
    return any((folder / name).exists() for name in files)


def read_config(folder: Path) -> dict[str, Any]:
    """The configuration of a folder, every key checked; raises ConfigError."""
    try:
        config = read_json(folder / CONFIG, most=MOST_OF_CONFIG)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{folder / CONFIG}: not readable ({error!r}); {REMEDY}") from None
    return check_config(config, folder / CONFIG)


def check_config(config: Any, file: Path) -> dict[str, Any]:
    """The configuration without its seal, once that and every key are checked.

    Raises:
        ConfigError: it is damaged, was changed, or is of another version; names the file.
    """
    if not isinstance(config, dict) or "format" not in config:
        raise ConfigError(f"{file}: not readable (it does not say its format); {REMEDY}")
    try:
        config = check_seal(config, required=False)
    except ValueError as error:
        raise ConfigError(
            f"{file}: {error}; {REMEDY}. If the change is yours, remove the entry {SEAL!r} from it"
        ) from None
    made_with = config.get("format")
    if made_with != FORMAT:
        raise ConfigError(
            f"{file}: is of format {made_with}, this version reads {FORMAT}; "
            "load it with the version that wrote it"
        )
    wrong = [key for key, fits in _KEYS.items() if not fits(config.get(key))]
    if wrong:
        raise ConfigError(f"{file}: damaged (missing or wrong: {', '.join(wrong)}); {REMEDY}")
    twice = [name for name, often in Counter(config["class_names"]).items() if often > 1]
    if twice:
        raise ConfigError(
            f"{file}: class_names has {twice[0]!r} more than once, so a class cannot be asked "
            "for by its name; give each its own name there"
        )
    return config


def _are_names(value: Any) -> bool:
    # Also of folders whose names are no UTF-8: whatever prints them escapes them.
    return isinstance(value, list) and bool(value) and all(isinstance(name, str) for name in value)


def _are_statistics(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.get("kind") in ("moving", "own", "standing")
        and "distance" in value
        and isinstance(value["distance"], int | float | None)
    )


_MOST_IMAGES = 2**53
"""Images seen: beyond it no whole number is exact in every reader of JSON."""
_MOST_WHITE = 1e38
"""Of the numbers of images."""

# Keys of the configuration, and whether a value is valid.
_KEYS: dict[str, Callable[[Any], bool]] = {
    "experiment": lambda value: isinstance(value, dict),
    "class_names": _are_names,
    "images_seen": lambda value: type(value) is int and 0 <= value < _MOST_IMAGES,
    "sha256": lambda value: isinstance(value, str),
    "statistics": lambda value: value is None or _are_statistics(value),
    "white": lambda value: (
        value is None or (isinstance(value, int | float) and 0 < value < _MOST_WHITE)
    ),
}


def read_weights(file: Path, recorded: object, described_in: str) -> dict[str, Tensor]:
    """The tensors of a file, read once: what is compared with the recorded digest is what is loaded.

    Raises:
        ConfigError: it is not readable, no whole file of tensors, or not the one that was saved.
    """
    try:
        content = read_content(file)
    except OSError as error:
        raise ConfigError(f"{file}: not readable ({error}); {REMEDY}") from None
    except SafetensorError as error:
        raise ConfigError(f"{file}: damaged ({error}); {REMEDY}") from None
    try:
        if hashlib.sha256(content).hexdigest() != recorded:
            raise _mismatch(file)
        return parsed_tensors(content)
    except SafetensorError as error:
        raise ConfigError(f"{file}: does not fit its {described_in}; {REMEDY}: {error}") from None


def fill(network: nn.Module, tensors: Mapping[str, Tensor], file: Path, described_in: str) -> None:
    """Put the tensors of a file into a network without weights, by the same names.

    Tensors stored in 16 bits become float32, which is exact. The network does not depend on the file
    afterwards.

    Raises:
        ConfigError: the file does not fit, or holds numbers that are not finite (names them).
    """
    try:
        tensors = {
            name: value.float() if value.dtype in (torch.bfloat16, torch.float16) else value
            for name, value in tensors.items()
        }
        for name in network.state_dict():
            # Models saved before condition_strength existed have a strength of 1.
            if name.split(".")[-1] == "condition_strength" and name not in tensors:
                tensors[name] = torch.ones((), dtype=next(iter(tensors.values())).dtype)
        _check_types(network, tensors)
        network.load_state_dict(tensors, assign=True)
    except (StopIteration, RuntimeError) as error:
        raise ConfigError(f"{file}: does not fit its {described_in}; {REMEDY}: {error}") from None
    if wrong := non_finite(tensors):
        raise ConfigError(
            f"{file}: its weights are not finite (NaN or infinity): "
            f"{describe_non_finite(tensors, wrong)}; they generate no images. Take an earlier state of "
            "the run (its checkpoints/ or best/), or another model"
        )


def _check_types(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Raise RuntimeError where a tensor is of another kind of number than the network's."""
    floats: dict[torch.dtype, str] = {}
    for name, wanted in network.state_dict().items():
        kind = tensors[name].dtype if name in tensors else wanted.dtype
        if wanted.is_floating_point() and kind in (torch.float32, torch.float64):
            if name in tensors:
                floats.setdefault(kind, name)
        elif kind != wanted.dtype:
            raise RuntimeError(f"{name} is of {kind}; allowed: {wanted.dtype}, or 16 bits")
    if len(floats) > 1:
        raise RuntimeError(f"its numbers are of several types: {floats}")


def check_digests(folder: Path, config: Mapping[str, Any]) -> list[str]:
    """Compare every file that the configuration records with its digest; returns their names.

    Raises:
        ConfigError: one is missing or another than was saved.
    """
    recorded = {WEIGHTS: config["sha256"]}
    for name, key in ((DISCRIMINATOR, "discriminator_sha256"), (MOVING, "moving_sha256")):
        if config.get(key) is not None:
            recorded[name] = config[key]
    further = config.get("files", {})
    recorded.update(further if isinstance(further, Mapping) else {})
    for name, expected in recorded.items():
        if Path(name).name != name:
            raise ConfigError(f"{folder / CONFIG}: names a file {name!r} outside its folder")
        check_digest(folder / name, expected)
    return list(recorded)


def check_digest(file: Path, expected: object) -> None:
    """Raises ConfigError where a file is not the one that was saved."""
    if digest(file) != expected:
        raise _mismatch(file)


def _mismatch(file: Path) -> ConfigError:
    return ConfigError(
        f"{file}: checksum mismatch (its SHA-256 is not the one in {CONFIG}); {REMEDY}"
    )


def digest(path: Path) -> str:
    """SHA-256 of a file; raises ConfigError."""
    try:
        return digest_of(path)
    except OSError as error:
        raise ConfigError(f"{path}: not readable ({error}); {REMEDY}") from None
