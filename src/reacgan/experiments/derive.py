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

_RESOLUTIONS = (8, 16, 32, 64, 128, 256)
# Multiples of the width that keep a network's cost near that of 32 pixels.
_WIDTHS = {8: 32, 16: 32, 32: 32, 64: 16, 128: 8, 256: 8}
_ATTENTION = {8: ((), ()), 16: ((), ()), 32: ((2,), (1,)), 64: ((3,), (1,)), 128: ((4,), (1,))}


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
    most = 128 if facts.accelerator else 32
    resolution = max(side for side in _RESOLUTIONS if side <= min(max(facts.side, 8), most))
    if facts.dataset == "archive":
        resolution = facts.side
    limit = "" if facts.side <= most else f", at most {most} on this device"
    channels = 1 if facts.grey else 3
    flip = not all(len(name) == 1 for name in facts.classes)
    small = facts.images < 100_000
    width = _WIDTHS[resolution] * (2 if facts.accelerator else 1)
    batch = 128 if facts.accelerator else 64
    length = min(max(40 * facts.images, 400_000), 20_000_000 if facts.accelerator else 2_000_000)
    choices = (
        Choice("data.resolution", resolution, f"shorter sides are about {facts.side} px{limit}"),
        Choice("data.channels", channels, "all images are grey" if facts.grey else "colour images"),
        Choice(
            "data.flip",
            flip,
            "mirrored images keep their class"
            if flip
            else "classes are single characters, which have a left and a right",
        ),
        Choice(
            "augment.name",
            "diffaug" if small else "identity",
            f"{facts.images:,} images: "
            + (
                "under 100,000, D would learn them by heart"
                if small
                else "enough without augmentation"
            ),
        ),
        Choice("model.generator.width", width, "what this device trains in reasonable time"),
        Choice("model.backbone.width", width, "as the generator"),
        Choice(
            "training.batch",
            batch,
            "more other-class pairs in a batch" if facts.accelerator else "a CPU step stays short",
        ),
        Choice(
            "training.images",
            length,
            f"about {length / facts.images:.0f} passes over {facts.images:,} images",
        ),
    )
    changes = {choice.key: choice.value for choice in choices}
    return Derived(SMALL_REACGAN.replace(**_what_follows(facts, resolution), **changes), choices)


def _what_follows(facts: Facts, resolution: int) -> dict[str, Any]:
    """Values that need no reason beside the choices: they follow from the path and resolution."""
    g_attention, d_attention = _ATTENTION.get(resolution, ((5,), (1,)))
    chunks = {8: 2, 16: 3, 32: 4, 64: 5, 128: 6, 256: 7}[resolution]
    return {
        "name": Path(facts.path).resolve().name,
        "data.name": facts.dataset,
        "data.path": facts.path,
        "model.generator.attention_after": g_attention,
        "model.backbone.attention_after": d_attention,
        "model.generator.latent_dim": 20 * chunks,
    }


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
