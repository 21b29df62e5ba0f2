"""Whole files of every binary kind that is read, and how a user comes to read them."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

from reacgan import hub
from reacgan.data.archive import new_archive
from reacgan.data.arrays import decode_array
from reacgan.data.decode import decode_file
from reacgan.data.intact import checked
from reacgan.evaluation.cache import FeatureCache
from reacgan.evaluation.image_files import open_images
from reacgan.exporting import export
from reacgan.extractors.classifier_file import load_classifier, save_classifier
from reacgan.extractors.classifier_network import Classifier
from reacgan.extractors.weights import read_weights
from reacgan.hub.selection import read_selection
from reacgan.metrics.moments import Moments
from reacgan.records import sealed
from reacgan.tensors import tensors_digest


@dataclass(frozen=True)
class Kind:
    """A kind of file, or of folder."""

    make: Callable[[Path, Path], None]
    """Writes it into an empty folder; the second path is a run's folder."""
    files: tuple[str, ...]
    """Which of its files are damaged."""
    read: Callable[[Path], object]
    """What a user gets, to compare."""
    checked: bool = True
    """Whether a change of one bit is seen: plain pixels and tables hold no checksum."""
    fit: Callable[[Path], None] | None = None
    """Makes recorded digests fit what is there, as somebody hostile would."""


def _model(folder: Path) -> object:
    model = hub.load(folder, device="cpu", check=False)
    return _said(model), tensors_digest(model.generator.state_dict())


def _said(model) -> object:
    return model.images_seen, model.class_names, model.white, model.experiment.to_json()


def _make_model(folder: Path, run: Path) -> None:
    network = hub.load_discriminator(run, device="cpu")
    hub.save(hub.load(run, device="cpu"), folder / "model", discriminator=network)
    for file in (folder / "model").iterdir():
        shutil.move(file, folder)
    (folder / "model").rmdir()


def _fit_model(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    for name, key in (("model", "sha256"), ("discriminator", "discriminator_sha256")):
        content = (folder / f"{name}.safetensors").read_bytes()
        config[key] = hashlib.sha256(content).hexdigest()
    (folder / "config.json").write_text(json.dumps(sealed(config)))


def _discriminator(folder: Path) -> object:
    return tensors_digest(hub.load_discriminator(folder, device="cpu").state_dict())


def _make_single(folder: Path, run: Path) -> None:
    export(run, "safetensors", folder / "model.safetensors")


def _copy_run(folder: Path, run: Path) -> None:
    for name in ("checkpoints", "model"):
        shutil.copytree(run / name, folder / "run" / name)
    shutil.copy(run / "experiment.json", folder / "run")


def _state(folder: Path) -> object:
    run = folder / "run"
    model = hub.load_state(run, hub.list_states(run)[-1], device="cpu", check=False)
    return _said(model), tensors_digest(model.generator.state_dict()), _discriminator(run)


def _make_selection(folder: Path, run: Path) -> None:
    shutil.copytree(run / "model", folder / "best")
    content = {"images_seen": 256, "states": 3, "metric": "fid", "value": 1.5, "rule": "lowest"}
    (folder / "best" / "selection.json").write_text(json.dumps(sealed(content)))


def _images(count: int = 6, side: int = 8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), np.uint8)


def _make_packed(folder: Path, run: Path) -> None:
    options = {"shape": (3, 8, 8), "capacity": 6, "class_names": ("a", "b"), "metadata": {}}
    with new_archive(folder / "set.safetensors", **options) as writer:
        writer.add(_images().transpose(0, 3, 1, 2), np.array([0, 1] * 3))


def _packed(folder: Path) -> object:
    data = checked(folder / "set.safetensors", again=True)
    return data.digest, data.images.tobytes(), data.labels.tobytes(), data.class_names


def _make_statistics(folder: Path, run: Path) -> None:
    values = np.random.default_rng(0).normal(size=(40, 8))
    np.savez_compressed(
        folder / "statistics.npz", mu=values.mean(0), sigma=np.cov(values.T), count=40
    )


def _statistics(folder: Path) -> object:
    moments = Moments.read_npz(folder / "statistics.npz")
    return moments.count, moments.mean.numpy().tobytes(), moments.covariance.numpy().tobytes()


def _pixels_of(name: str) -> Callable[[Path], object]:
    def read(folder: Path) -> object:
        opened = open_images(folder / name, resolution=None, channels=None, most_refused=0.5)
        return np.ascontiguousarray(opened.images.images).tobytes()

    return read


def _make_arrays(folder: Path, run: Path) -> None:
    np.save(folder / "images.npy", _images())
    np.savez(folder / "images.npz", _images())
    torch.save(torch.from_numpy(_images().transpose(0, 3, 1, 2).copy()), folder / "images.pt")
    np.save(folder / "image.npy", _images(1, 12)[0])


def _make_pictures(folder: Path, run: Path) -> None:
    smooth = Image.fromarray(_images(1, 4)[0]).resize((24, 24))
    for name, options in (("png", {}), ("jpg", {}), ("webp", {}), ("bmp", {})):
        smooth.save(folder / f"image.{name}", **options)
    smooth.save(folder / "image.tif", compression="tiff_lzw")


def _picture(name: str) -> Callable[[Path], object]:
    options = {"resolution": 8, "channels": 3, "max_pixels": 1_000_000}
    decode = decode_array if name.endswith("npy") else decode_file
    return lambda folder: decode(folder / name, **options).tobytes()


def _make_features(folder: Path, run: Path) -> None:
    cache = FeatureCache(folder / "features", limit_bytes=10**9)
    cache.get({"of": "images"}, lambda: {"values": torch.arange(64.0).reshape(8, 8)})
    (file,) = (folder / "features").glob("*.safetensors")
    (folder / "name.txt").write_text(file.name)
    file.rename(folder / "features.safetensors")


def _features(folder: Path) -> object:
    shutil.rmtree(folder / "features", ignore_errors=True)
    (folder / "features").mkdir()
    shutil.copy(
        folder / "features.safetensors", folder / "features" / (folder / "name.txt").read_text()
    )
    cache = FeatureCache(folder / "features", limit_bytes=10**9)
    cache.entries()
    values = cache.get({"of": "images"}, lambda: {"values": torch.arange(64.0).reshape(8, 8)})
    return values["values"].numpy().tobytes()


def _make_classifier(folder: Path, run: Path) -> None:
    torch.manual_seed(0)
    network = Classifier(channels=1, num_classes=2, width=4, size=(8, 8))
    save_classifier(network, folder / "net.safetensors", {"class_names": ["a", "b"]})


def _classifier(folder: Path) -> object:
    network, facts = load_classifier(folder / "net.safetensors")
    return tensors_digest(network.state_dict()), json.dumps(facts, sort_keys=True)


_LAYOUT = {"a.weight": (8, 4), "a.bias": (8,)}


def _make_weights(folder: Path, run: Path) -> None:
    torch.manual_seed(0)
    tensors = {name: torch.randn(shape) for name, shape in _LAYOUT.items()}
    save_file(tensors, folder / "weights.safetensors")
    content = io.BytesIO()
    torch.save(tensors, content)
    (folder / "weights.pth").write_bytes(content.getvalue())


def _weights(name: str) -> Callable[[Path], object]:
    return lambda folder: read_weights(folder / name, "net", _LAYOUT).digest


_MODEL = ("config.json", "model.safetensors")
KINDS: dict[str, Kind] = {
    "model folder": Kind(_make_model, _MODEL, _model),
    "model folder, digests made to fit": Kind(_make_model, _MODEL, _model, False, _fit_model),
    "discriminator": Kind(_make_model, ("discriminator.safetensors",), _discriminator),
    "discriminator, digests made to fit": Kind(
        _make_model, ("config.json", "discriminator.safetensors"), _discriminator, False, _fit_model
    ),
    "single file": Kind(
        _make_single, ("model.safetensors",), lambda folder: _model(folder / "model.safetensors")
    ),
    "checkpoint": Kind(
        _copy_run,
        tuple(
            f"run/checkpoints/000000000256/{name}"
            for name in ("state.json", "average.safetensors", "discriminator.safetensors")
        ),
        _state,
    ),
    "selection": Kind(_make_selection, ("best/selection.json",), read_selection),
    "packed set": Kind(_make_packed, ("set.safetensors",), _packed),
    "statistics": Kind(_make_statistics, ("statistics.npz",), _statistics),
    "images as .npy": Kind(_make_arrays, ("images.npy",), _pixels_of("images.npy"), False),
    "images as .npz": Kind(_make_arrays, ("images.npz",), _pixels_of("images.npz")),
    "images as .pt": Kind(_make_arrays, ("images.pt",), _pixels_of("images.pt"), False),
    **{
        f"picture, {ending}": Kind(
            _make_arrays if ending == "npy" else _make_pictures,
            (f"image.{ending}",),
            _picture(f"image.{ending}"),
            False,
        )
        for ending in ("png", "jpg", "webp", "bmp", "tif", "npy")
    },
    "features": Kind(_make_features, ("features.safetensors",), _features),
    "classifier": Kind(_make_classifier, ("net.safetensors",), _classifier),
    "weights": Kind(
        _make_weights, ("weights.safetensors",), _weights("weights.safetensors"), False
    ),
    "weights, .pth": Kind(_make_weights, ("weights.pth",), _weights("weights.pth"), False),
}


def make(name: str, folder: Path, run: Path) -> None:
    """Write a whole file or folder of a kind."""
    folder.mkdir(parents=True)
    KINDS[name].make(folder, run)
