"""Feature extractors, by name or from a file."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from reacgan.config import ConfigError, Device, check_options, lookup, path_of
from reacgan.data import ImageData
from reacgan.devices import find_device
from reacgan.extractors.base import Extracted, Extractor
from reacgan.extractors.classifier import Expect, classify, train_classifier
from reacgan.extractors.classifier_file import holds_classifier, load_classifier, save_classifier
from reacgan.extractors.classifier_network import Classifier
from reacgan.extractors.in_domain import FileClassifier, InDomain
from reacgan.extractors.inception import Inception
from reacgan.extractors.pretrained import Clip, Dino, DinoV2, ResNet50
from reacgan.extractors.swav import Swav
from reacgan.files import cache_root, not_kept

EXTRACTORS: dict[str, type[Extractor]] = {
    "inception": Inception,
    "domain": InDomain,
    "resnet50": ResNet50,
    "swav": Swav,
    "dino": Dino,
    "dinov2": DinoV2,
    "clip": Clip,
}
"""Weights are loaded by the constructor, not on import."""

_ENDINGS = (".safetensors", ".pth", ".pt")
_GIVEN = ("train", "held_out", "cache", "device", "expect")
_FILES = (
    "a classifier saved by reacgan (.safetensors), or weights of Inception as pytorch-fid publishes "
    "them (.pth, .safetensors)"
)


def build_extractor(
    name_or_path: str,
    options: Mapping[str, Any] | None = None,
    *,
    train: ImageData | None = None,
    held_out: ImageData | None = None,
    cache: Path | None = None,
    device: Device = "cpu",
    expect: Expect | None = None,
) -> Extractor:
    """The extractor of a name in :data:`EXTRACTORS`, or of a file.

    Args:
        name_or_path: a name, or a classifier's or Inception's file.
        options: keyword-only parameters of the constructor.
        train: the real images that ``domain`` is trained on.
        held_out: real images for its accuracy.
        cache: a folder for the classifiers of ``domain``; by default ``extractors`` in the package's cache.
        device: of the network, see :func:`reacgan.devices.find_device`.
        expect: told how many seconds the training of ``domain`` will take, once that is known.

    Raises:
        ConfigError: an unknown name or option, ``domain`` without images, a file of another kind, or
            unavailable weights.
    """
    options = dict(options or {})
    if name_or_path not in EXTRACTORS and _is_path(name_or_path):
        extractor = _of_file(path_of(name_or_path), options)
        extractor.to(find_device(device))
        return extractor
    member: Any = lookup("extractor", EXTRACTORS, name_or_path)
    checked = check_options(member, options, where="extractor", given=_GIVEN)
    wanted = set(inspect.signature(member).parameters)
    if "train" in wanted and train is None:
        raise ConfigError(
            f"the extractor {name_or_path!r} is trained on real images, and there are none; name "
            "the training images, the file of a classifier, or another extractor"
        )
    given = {
        "train": train,
        "held_out": held_out,
        "cache": cache or _usual_cache(),
        "device": device,
        "expect": expect,
    }
    made: Extractor = member(**checked, **{key: given[key] for key in given if key in wanted})
    made.to(find_device(device))
    return made


def _usual_cache() -> Path | None:
    """The folder for classifiers; None, with a warning, where it is not writable."""
    folder = cache_root() / "extractors"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        usable = os.access(folder, os.W_OK)
        reason: OSError | str = "no permission"
    except OSError as error:
        usable, reason = False, error
    if not usable:
        not_kept(folder, reason, "classifiers are kept in memory and trained again next time")
    return folder if usable else None


def _is_path(text: str) -> bool:
    separators = {os.sep, os.altsep} - {None}
    return (
        text.endswith(_ENDINGS)
        or any(str(separator) in text for separator in separators)
        or Path(text).exists()
    )


def _of_file(path: Path, options: Mapping[str, Any]) -> Extractor:
    if not path.is_file():
        raise ConfigError(
            f"{path}: no such file. Give {_FILES}, or one of the extractors "
            f"{', '.join(sorted(EXTRACTORS))}"
        )
    if path.suffix == ".safetensors" and holds_classifier(path):
        check_options(lambda: None, options, where="extractor")
        return FileClassifier(path)
    if path.suffix not in _ENDINGS or (path.suffix == ".safetensors" and not _of_inception(path)):
        raise ConfigError(f"{path}: no extractor. Give {_FILES}")
    checked = check_options(Inception, options, where="extractor", given=("weights",))
    return Inception(**checked, weights=str(path))


def _of_inception(path: Path) -> bool:
    """Whether the names of a safetensors file are those of the public port of Inception."""
    try:
        with safe_open(path, "pt") as file:
            return any(name.startswith("Conv2d_1a_3x3") for name in file.keys())  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ConfigError(
            f"{path}: not an intact safetensors file ({error}); fetch it again"
        ) from None


__all__ = [
    "EXTRACTORS",
    "Classifier",
    "Extracted",
    "Extractor",
    "build_extractor",
    "classify",
    "load_classifier",
    "save_classifier",
    "train_classifier",
]
