"""Files of a model folder, and loading them into a network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from reacgan.config import ConfigError
from reacgan.files import as_text, digest_of
from reacgan.records import SEAL, check_seal, read_json
from reacgan.tensors import describe_non_finite, non_finite, read_tensors

FORMAT = 1
WEIGHTS = "model.safetensors"
DISCRIMINATOR = "discriminator.safetensors"
MOVING = "moving.safetensors"
"""The averages of training of batch norms, where the weights hold the generator's own statistics."""
CONFIG = "config.json"
REMEDY = "copy the model again, or resume its run, which writes it again"

AnyModule = TypeVar("AnyModule", bound=nn.Module)


def model_folder(path: Path) -> Path:
    """The folder of a model, given itself or its run; raises ConfigError."""
    # A save that was interrupted between its two renames leaves the old model under its second name.
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


def holds_generator(folder: Path) -> bool:
    """Whether it is the folder of a run or of a model, and not one of images."""
    files = (CONFIG, "experiment.json", f"model/{CONFIG}")
    return any((folder / name).exists() for name in files)


def read_config(folder: Path) -> dict[str, Any]:
    """The configuration of a folder, every key checked; raises ConfigError."""
    try:
        config = read_json(folder / CONFIG)
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
    return isinstance(value, list) and bool(value) and all(map(_is_name, value))


def _is_name(value: Any) -> bool:
    """Whether it is a text that can be written: half a surrogate pair of JSON cannot."""
    return isinstance(value, str) and as_text(value) == value


def _are_statistics(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.get("kind") in ("moving", "own", "standing")
        and "distance" in value
        and isinstance(value["distance"], int | float | None)
    )


# Keys of the configuration, and whether a value is valid.
_KEYS: dict[str, Callable[[Any], bool]] = {
    "experiment": lambda value: isinstance(value, dict),
    "class_names": _are_names,
    "images_seen": lambda value: type(value) is int and value >= 0,
    "sha256": lambda value: isinstance(value, str),
    "statistics": lambda value: value is None or _are_statistics(value),
    "white": lambda value: value is None or (isinstance(value, int | float) and value > 0),
}


def unfilled(build: Callable[[], AnyModule]) -> AnyModule:
    """A module without weights, which come from a file; nothing is drawn.

    A module with constants outside its state (non-persistent buffers) is built with weights.
    """
    with torch.device("meta"), _Undrawn():
        module = build()
    if any(part._non_persistent_buffers_set for part in module.modules()):
        with torch.random.fork_rng(devices=[]):
            return build()
    return module


class _Undrawn(TorchFunctionMode):
    """Skips drawing and scaling of tensors on the meta device.

    torch implements some of these operations in Python, and the first call imports its compiler, which
    takes most of a second.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func in (torch.randn, torch.rand) and kwargs.get("device") is None:
            return torch.empty(*args, **kwargs)
        target = args[0] if args else kwargs.get("tensor")
        if isinstance(target, torch.Tensor) and target.is_meta and target.is_floating_point():
            name = getattr(func, "__name__", "")
            if name in _DRAWING:
                return target
            if name in _SCALING and not any(isinstance(value, torch.Tensor) for value in args[1:]):
                return torch.empty(target.shape, dtype=target.dtype)
        return func(*args, **kwargs)


_DRAWING = {
    *("normal_", "uniform_", "trunc_normal_", "orthogonal_"),
    *("kaiming_uniform_", "kaiming_normal_", "xavier_uniform_", "xavier_normal_"),
}
_SCALING = {"normalize", "div", "__truediv__", "true_divide"}


def fill(network: nn.Module, file: Path, described_in: str) -> None:
    """Load the tensors of a file into a network without weights; see :func:`fill_with`."""
    try:
        tensors = read_tensors(file)
    except (SafetensorError, OSError) as error:
        raise ConfigError(f"{file}: does not fit its {described_in}; {REMEDY}: {error}") from None
    fill_with(network, tensors, file, described_in)


def fill_with(
    network: nn.Module, tensors: Mapping[str, Tensor], file: Path, described_in: str
) -> None:
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
        raise ConfigError(
            f"{file}: checksum mismatch (its SHA-256 is not the one in {CONFIG}); {REMEDY}"
        )


def digest(path: Path) -> str:
    """SHA-256 of a file; raises ConfigError."""
    try:
        return digest_of(path)
    except OSError as error:
        raise ConfigError(f"{path}: not readable ({error}); {REMEDY}") from None
