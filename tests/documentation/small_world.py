"""A folder in which the pages' commands can be typed, and each of them at a size that takes a moment."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from PIL import Image

import reacgan

NETWORKS = ["model.generator.width=4", "model.backbone.width=4", "training.batch=16"]
_STYLES = {"name": "stylegan2", "channel_base": 32, "channel_max": 8}
CLASSES = ("bird", "cat", "dog")
PLACES = {"RUN": "runs/photos", "TINY": "tiny", "CIFAR10": "photos"}
"""What stands for a reader's own path in the pages, and what it is here."""


def build(folder: Path) -> Path:
    """Photos of three classes, tiny runs on them under the names that the pages use, and samples."""
    numbers = np.random.default_rng(0)
    for split, count in (("train", 24), ("test", 16)):
        for shade, name in enumerate(CLASSES):
            place = folder / "photos" / split / name
            place.mkdir(parents=True)
            for index in range(count):
                pixels = numbers.integers(60 * shade, 60 * shade + 90, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(place / f"{index:02}.png")
    derived = reacgan.derive_experiment(folder / "photos", device="cpu").experiment
    small = derived.replace(
        **{
            **dict(assignment.split("=") for assignment in NETWORKS),
            "training.images": 128,
            "model.head.embedding_dim": 8,
        }
    )
    runs = folder / "runs"
    reacgan.train(small, runs / "photos", device="cpu", quiet=True)
    for name in ("pets", "acgan", "reacgan"):
        shutil.copytree(runs / "photos", runs / name)
    shutil.copytree(folder / "photos" / "test", folder / "samples")
    return folder


def add_digits(folder: Path) -> None:
    """A run on the embedded digits."""
    changes = dict(assignment.split("=") for assignment in NETWORKS)
    digits = reacgan.experiment("digits/reacgan").replace(**changes, **{"training.images": 64})
    reacgan.train(digits, folder / "runs" / "digits-reacgan", device="cpu", quiet=True)


def add_faces(folder: Path) -> None:
    """A run with styles, in eight layers."""
    parts = {"generator": _STYLES | {"latent_dim": 8, "style_dim": 8}, "backbone": _STYLES}
    faces = reacgan.derive_experiment(
        folder / "photos", device="cpu", given={"data.resolution": 32}
    ).experiment.replace(
        **{
            "training.images": 16,
            "training.batch": 16,
            **{f"model.{part}": options for part, options in parts.items()},
        }
    )
    reacgan.train(faces, folder / "runs" / "faces", device="cpu", quiet=True)


def add_tiny_imagenet(folder: Path) -> None:
    """Two classes in Tiny-ImageNet's official layout."""
    wnids = ("n01", "n02")
    (folder / "tiny" / "val" / "images").mkdir(parents=True)
    for shade, wnid in enumerate(wnids):
        place = folder / "tiny" / "train" / wnid / "images"
        place.mkdir(parents=True)
        picture = Image.new("RGB", (64, 64), (200 * shade, 90, 90))
        picture.save(place / f"{wnid}_0.JPEG")
        picture.save(folder / "tiny" / "val" / "images" / f"val_{shade}.JPEG")
    lines = {
        "wnids.txt": wnids,
        "words.txt": ("n01\tcrane", "n02\tdog"),
        "val/val_annotations.txt": [f"val_{k}.JPEG\t{w}\t0\t0\t9\t9" for k, w in enumerate(wnids)],
    }
    for name, text in lines.items():
        (folder / "tiny" / name).write_text("\n".join(text))


def small(words: list[str], key: str) -> list[str]:
    """The words of a ``reacgan`` command with a budget of seconds; what is asked for stays."""
    words = [PLACES.get(word, word) for word in words]
    words = [_replaced(word) for word in words]
    if words[0] == "train":
        return _small_training(words, key)
    if words[0] == "evaluate":
        return _small_evaluation(words)
    if words[0] == "new":
        return [*words, "--seconds", "0", "--force"]
    if words[0] == "generate":
        return [*_without(words, "--num"), "--num", "3", "--quiet"]
    if words[0] == "augment-study":
        tiny = ["--steps", "4", "--repeats", "2", "--width", "4", "--quiet"]
        return [*_without(_without(words, "--repeats"), "--steps"), *tiny]
    if words[:2] == ["experiments", "run"]:
        return [*words, "--dry-run"]
    return words


def _replaced(word: str) -> str:
    name, separator, value = word.partition("=")
    return f"{name}={PLACES[value]}" if separator and value in PLACES else word


def _small_training(words: list[str], key: str) -> list[str]:
    of_ours = any(word.startswith("cifar10") for word in words[1:2])
    for option in ("--minutes", "--images", "--out"):
        words = _without(words, option)
    words = [*words, "--out", f"trained/{key}"]
    if of_ours:  # as published: resolved, not run
        return [*words, "--dry-run"]
    sizes = [*NETWORKS, "training.images=64"]
    return [*words, "--device", "cpu", "--quiet", "--set", *sizes]


def _small_evaluation(words: list[str]) -> list[str]:
    if "--extractor" not in words:
        words = [*words, "--extractor", "domain"]
    words = _without(words, "--num")
    quick = ["--set", "extractor.epochs=1", "extractor.width=8"]
    return [*words, "--num", "48", "--device", "cpu", "--quiet", *quick]


def _without(words: list[str], option: str) -> list[str]:
    if option not in words:
        return words
    index = words.index(option)
    return words[:index] + words[index + 2 :]
