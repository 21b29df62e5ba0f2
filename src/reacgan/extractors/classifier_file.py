"""Classifiers as files, to keep and share the extractor of scores.

One ``.safetensors`` file. Its header holds, under the key ``reacgan``, JSON: the kind of file, the
shape of the network, the digest of its tensors, and facts (``class_names``, digest of the data,
accuracy on held-out images, ...).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from reacgan.config import ConfigError
from reacgan.extractors.classifier_network import Classifier
from reacgan.files import replacing
from reacgan.records import parse_json
from reacgan.tensors import read_tensors, tensors_digest

KIND = "reacgan classifier 1"
_KEY = "reacgan"
_SHAPE = ("channels", "num_classes", "width")
_LARGEST = 2**31
_REMEDY = "copy it again, or train it again"


def save_classifier(classifier: Classifier, path: Path, facts: Mapping[str, Any]) -> None:
    """Write a classifier as one file, atomically.

    Args:
        classifier: the network.
        path: ends in ``.safetensors``.
        facts: plain JSON; ``class_names`` names each class.

    Raises:
        ConfigError: another extension, class names that do not match, or a path that is not writable.
    """
    if path.suffix != ".safetensors":
        raise ConfigError(f"{path}: a classifier is saved as .safetensors; choose such a name")
    names = facts.get("class_names")
    if not isinstance(names, list | tuple) or len(names) != classifier.num_classes:
        raise ConfigError(
            f"facts name {len(names) if isinstance(names, list | tuple) else 'no'} classes; "
            f"needed: class_names, one for each of {classifier.num_classes}"
        )
    tensors = {
        name: value.detach().cpu().contiguous() for name, value in classifier.state_dict().items()
    }
    header = {
        "kind": KIND,
        **{name: getattr(classifier, name) for name in _SHAPE},
        "size": list(classifier.size),
        "sha256": tensors_digest(tensors),
        "facts": dict(facts),
    }
    text = json.dumps(header, sort_keys=True, allow_nan=False)
    try:
        with replacing(path) as temporary:
            save_file(tensors, temporary, metadata={_KEY: text})
    except (OSError, SafetensorError) as error:
        raise ConfigError(f"{path}: cannot be written ({error}); choose another path") from None


def load_classifier(path: Path) -> tuple[Classifier, dict[str, Any]]:
    """The classifier of a file, frozen and on the CPU, and its facts.

    Raises:
        ConfigError: no such file, another kind of file, or a damaged one.
    """
    header = _header(path)
    if header is None:
        raise ConfigError(f"{path}: holds no classifier of reacgan (its header lacks {KIND!r})")
    shape, facts = _described(path, header)
    try:
        tensors = read_tensors(path)
        with torch.device("meta"):
            classifier = Classifier(**shape)
        classifier.load_state_dict(tensors, assign=True)
    except (SafetensorError, OSError, RuntimeError) as error:
        first = str(error).splitlines()[0]
        raise ConfigError(f"{path}: damaged ({first}); {_REMEDY}") from None
    values = [value for value in tensors.values() if value.is_floating_point()]
    if tensors_digest(tensors) != header.get("sha256") or not all(
        value.dtype == torch.float32 and bool(value.isfinite().all()) for value in values
    ):
        raise ConfigError(f"{path}: damaged (not the weights that its header names); {_REMEDY}")
    classifier.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return classifier.eval().requires_grad_(False), facts


def holds_classifier(path: Path) -> bool:
    """Whether the header of a ``.safetensors`` file is of this format; raises ConfigError if damaged."""
    return _header(path) is not None


def read_kept(path: Path, facts: Mapping[str, Any]) -> Classifier | None:
    """A classifier with exactly these facts; None where it is missing, damaged, or another."""
    if not path.is_file():
        return None
    try:
        classifier, recorded = load_classifier(path)
    except ConfigError:
        return None
    return classifier if recorded == facts else None


def _described(path: Path, header: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arguments of the network and the facts, each of the right type."""
    size, facts = header.get("size"), header.get("facts")
    names = facts.get("class_names") if isinstance(facts, dict) else None
    shape = {name: header.get(name) for name in _SHAPE}
    numbers = [*shape.values(), *(size if isinstance(size, list) else ())]
    if (
        not isinstance(facts, dict)
        or not isinstance(names, list)
        or not isinstance(size, list)
        or len(size) != 2
        or not all(type(number) is int and 0 < number < _LARGEST for number in numbers)
        or not all(isinstance(name, str) for name in names)
        or len(names) != shape["num_classes"]
    ):
        raise ConfigError(f"{path}: damaged (its header does not describe a classifier); {_REMEDY}")
    return {**shape, "size": (size[0], size[1])}, facts


def _header(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        raise ConfigError(f"{path}: no such file; needed: a classifier saved as .safetensors")
    try:
        with safe_open(path, "pt") as file:
            text = (file.metadata() or {}).get(_KEY)
    except (SafetensorError, OSError) as error:
        raise ConfigError(f"{path}: not an intact safetensors file ({error}); {_REMEDY}") from None
    if text is None:
        return None
    try:
        header = parse_json(text)
    except ValueError as error:
        raise ConfigError(f"{path}: damaged (header: {error}); {_REMEDY}") from None
    if not isinstance(header, dict) or header.get("kind") != KIND:
        kind = header.get("kind") if isinstance(header, dict) else None
        raise ConfigError(
            f"{path}: is of kind {kind!r}, this version reads {KIND!r}; read it with the version "
            "that wrote it"
        )
    return header
