"""An experiment for images that nobody has configured: each choice from what the folder holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from reacgan.config import Experiment
from reacgan.data import inspect_data
from reacgan.data.archive import read_archive
from reacgan.experiments.cifar10 import SMALL_REACGAN


@dataclass(frozen=True)
class Size:
    """Networks that two CPU cores train within hours at a resolution; a GPU takes twice the width."""

    generator: int
    backbone: int
    latent_dim: int
    attention: tuple[tuple[int, ...], tuple[int, ...]]
    """Blocks of the generator and of the backbone after which attention stands."""


_SIZES = {
    8: Size(16, 32, 40, ((), ())),
    16: Size(24, 32, 60, ((), ())),
    32: Size(24, 32, 80, ((2,), (1,))),
    64: Size(12, 16, 100, ((3,), (1,))),
    128: Size(8, 8, 120, ((4,), (1,))),
    256: Size(8, 8, 140, ((5,), (2,))),
}
_SMALL_SET = 100_000


@dataclass(frozen=True)
class Facts:
    """What the choices depend on."""

    path: str
    dataset: str
    """The registered data set that opens the path."""
    images: int
    classes: tuple[str, ...]
    side: int
    """Median of the shorter sides, pixels."""
    grey: bool
    accelerator: bool
    """Whether the run will have a GPU."""


@dataclass(frozen=True)
class Choice:
    """One value that was chosen, and why."""

    key: str
    value: Any
    reason: str


@dataclass(frozen=True)
class Derived:
    """The experiment and its reasons."""

    experiment: Experiment
    choices: tuple[Choice, ...]


def derive_experiment(path: str | Path, *, device: str = "auto") -> Derived:
    """Look at a folder of labelled images (or a packed file) and choose an experiment for it.

    Args:
        path: one sub-folder a class, or ``train/`` with those, or what ``prepare_data`` wrote.
        device: where it will be trained; ``auto`` looks.

    Raises:
        DataError: images that cannot be used.
    """
    return derive(find_facts(str(path), accelerator=_has_accelerator(device)))


def derive(facts: Facts) -> Derived:
    """The choices for these facts; the same facts give the same experiment."""
    choices = tuple(Choice(*row) for row in (*_data_choices(facts), *_run_choices(facts)))
    size = _SIZES[_resolution(facts)]
    follows = {
        "name": Path(facts.path).resolve().name,
        "data.name": facts.dataset,
        "data.path": facts.path,
        "model.generator.attention_after": size.attention[0],
        "model.backbone.attention_after": size.attention[1],
        "model.generator.latent_dim": size.latent_dim,
    }
    changes = {**follows, **{choice.key: choice.value for choice in choices}}
    return Derived(SMALL_REACGAN.replace(**changes), choices)


def _resolution(facts: Facts) -> int:
    if facts.dataset == "archive":
        return facts.side
    most = 128 if facts.accelerator else 32
    return max(side for side in _SIZES if side <= min(max(facts.side, 8), most))


def _data_choices(facts: Facts) -> list[tuple[str, Any, str]]:
    resolution = _resolution(facts)
    why = f"shorter sides are about {facts.side} px"
    if resolution < facts.side // 2 + 1:
        why += f"; larger is slow here: --set data.resolution={2 * resolution} if you have the time"
    mirrored = not all(len(name) == 1 for name in facts.classes)
    return [
        ("data.resolution", resolution, why),
        ("data.channels", 1 if facts.grey else 3, "all grey" if facts.grey else "colour images"),
        ("data.flip", mirrored, "mirrored images keep their class")
        if mirrored
        else ("data.flip", mirrored, "one-character classes: letters and digits have a left"),
    ]


def _run_choices(facts: Facts) -> list[tuple[str, Any, str]]:
    size, images = _SIZES[_resolution(facts)], facts.images
    wider = 2 if facts.accelerator else 1
    device = "a GPU" if facts.accelerator else "two CPU cores"
    length = min(max(40 * images, 400_000), 20_000_000 if facts.accelerator else 2_000_000)
    small = images < _SMALL_SET
    augment = (
        ("diffaug", f"{images:,} images: without it D learns them by heart")
        if small
        else ("identity", f"{images:,} images are enough without augmentation")
    )
    return [
        ("augment.name", *augment),
        ("model.generator.width", wider * size.generator, f"what {device} train in time"),
        ("model.backbone.width", wider * size.backbone, "likewise"),
        ("training.batch", 64 * wider, "more pairs a step" if wider > 1 else "short steps"),
        ("training.images", length, f"{length / images:.0f} passes over {images:,} images"),
    ]


def find_facts(path: str, *, accelerator: bool) -> Facts:
    """Scan a folder, or open a packed file; raises DataError where neither is possible."""
    if Path(path).is_file():
        data = read_archive(path)
        return Facts(
            path=path,
            dataset="archive",
            images=len(data),
            classes=data.class_names,
            side=data.resolution,
            grey=data.channels == 1,
            accelerator=accelerator,
        )
    scan = inspect_data(path)
    return Facts(
        path=path,
        dataset="folder",
        images=len(scan.files),
        classes=scan.class_names,
        side=int(median(min(size) for size in scan.sizes)),
        grey=scan.grey,
        accelerator=accelerator,
    )


def _has_accelerator(device: str) -> bool:
    if device != "auto":
        return device != "cpu"
    import torch  # noqa: PLC0415

    return torch.cuda.is_available() or torch.backends.mps.is_available()
