"""Derive an experiment from a folder of images; each choice has a reason."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from reacgan.config import DataConfig, Device, Experiment, Resolution, grid_of, size_of
from reacgan.data import (
    PUBLISHED_SHAPES,
    ImageData,
    Scan,
    balance_of,
    find_dataset,
    survey_usable,
)
from reacgan.data.cropping import Sizes, advice, cut_in_words
from reacgan.data.names import plural
from reacgan.experiments import experiment
from reacgan.experiments.networks import Attention
from reacgan.outlook import stages


@dataclass(frozen=True)
class Size:
    """Networks that two CPU cores train within hours at a resolution; a GPU takes twice the width."""

    generator: int
    backbone: int
    latent_dim: int
    attention: Attention


_SIZES = {
    8: Size(16, 32, 40, ((), ())),
    16: Size(24, 32, 60, ((), ())),
    32: Size(24, 32, 80, ((2,), (1,))),
    64: Size(12, 16, 100, ((3,), (1,))),
    128: Size(8, 8, 120, ((4,), (1,))),
    256: Size(8, 8, 140, ((5,), (2,))),
}
_BASE, _NETWORK = "cifar10-small/reacgan", "biggan"
_OF_FILES = ("folder", "archive", "csv", "jsonl", "shards")
_ENDINGS = (".csv", ".tsv", ".jsonl", ".json", ".npz", ".npy", ".zip", ".tar", ".safetensors")
"""Of files of images, which a run is not called by."""


@dataclass(frozen=True)
class Preset:
    """What the number of images decides, for sets below ``below`` images."""

    below: float
    augment: str
    why: str
    """Reason for the augmentation, after the number of images."""
    least: int = 400_000
    """Fewest images to see, so that small sets are learned at all; fewer where more adds little."""


PRESETS = (
    Preset(100, "diffaug", "without it D knows each by heart at once", 200_000),
    Preset(1_000, "diffaug", "without it D knows them by heart within minutes"),
    Preset(10_000, "diffaug", "without it D memorises them"),
    Preset(100_000, "diffaug", "it still helps below 100,000"),
    Preset(1e12, "identity", "enough to do without it"),
)
"""From 30 images to a million. Without augmentation D tells small sets by heart, and G gets no help from
it any more (Zhao et al. 2020, "Differentiable augmentation"); the more passes, the more is copied."""
_PASSES = 40
_SAID = "as you say"
_LONGEST = {True: 20_000_000, False: 2_000_000}
"""Images to see at most, with a GPU and without: days."""
_SMALLEST_BATCH = 8


@dataclass(frozen=True)
class ImageFacts:
    """Facts that the choices depend on."""

    path: str | None
    dataset: str
    """The registered data set that opens the path."""
    images: int
    classes: tuple[str, ...]
    side: int
    """Median of the shorter sides, pixels."""
    grey: bool
    accelerator: bool
    """Whether the run will use a GPU."""
    size: Resolution | None = None
    """Resolution of a packed file, which is not resized again."""
    channels: int = 3
    """Channels of the images, where they are not grey."""
    sizes: Sizes = field(default_factory=dict)
    """How many images have which (width, height); empty where they are not cropped as a whole."""
    notes: tuple[str, ...] = ()
    """Notes of the scan: where its classes were found, what is not read."""
    given: Mapping[str, Any] = field(default_factory=dict)
    """Values set by the user, by dotted keys; the other choices follow from them."""
    counts: tuple[int, ...] = ()
    """Images of each class; empty where the classes count as equal."""
    source: str | None = None
    """Weights that the run starts from."""
    of_source: Mapping[str, Any] = field(default_factory=dict)
    """Values that those weights need, by dotted keys."""


@dataclass(frozen=True)
class Choice:
    """A chosen value and its reason."""

    key: str
    value: Any
    reason: str


@dataclass(frozen=True)
class Derived:
    """The experiment and its reasons."""

    experiment: Experiment
    choices: tuple[Choice, ...]
    notes: tuple[str, ...] = ()
    """Notes on the images for the user."""


def derive_experiment(
    path: str | Path, *, device: Device = "auto", given: Mapping[str, Any] | None = None
) -> Derived:
    """Survey a folder of labelled images (or a packed file) and choose an experiment for it.

    Args:
        path: one sub-folder a class, or ``train/`` with those, a packed file, a table
            (.csv, .jsonl), or a registered data set as NAME or NAME:PATH.
        device: where it will be trained; ``auto`` takes an accelerator if there is one.
        given: fixed values by dotted keys, such as ``{"data.resolution": 16}``; the other choices
            follow from them.

    Raises:
        ConfigError: a value that cannot be used.
        DataError: images that cannot be used, or too many of them.
    """
    options = options_in(given or {})
    facts = find_facts(str(path), accelerator=has_accelerator(device), options=options)
    return derive(replace(facts, given=dict(given or {})))


def derive(facts: ImageFacts) -> Derived:
    """The choices for these facts: a pure function."""
    base = experiment(_BASE)
    rows = [
        row
        for row in (*_data_choices(facts), *_method_choices(facts), *_run_choices(facts))
        if _counts(row[0], facts)
    ]
    choices = tuple(_chosen(*row, facts=facts) for row in rows)
    size = _size(facts)
    follows = {
        "name": _name(facts),
        "data.name": facts.dataset,
        "data.path": facts.path,
        "model.generator.attention_after": size.attention[0],
        "model.backbone.attention_after": size.attention[1],
        "model.generator.latent_dim": size.latent_dim,
    }
    chosen = {**follows, **{choice.key: choice.value for choice in choices}}
    made = base.replace(**chosen).replace(**facts.of_source).replace(**facts.given)
    listed = {choice.key for choice in choices}
    others = [Choice(key, facts.given[key], _SAID) for key in facts.given if key not in listed]
    return Derived(made, (*choices, *others), facts.notes)


def _chosen(key: str, value: Any, reason: str, *, facts: ImageFacts) -> Choice:
    if key in facts.given:
        cut = cut_in_words(facts.sizes, _resolution(facts)) if key == "data.resolution" else ""
        return Choice(key, facts.given[key], f"{_SAID}; {cut}" if cut else _SAID)
    if key in facts.of_source and key.startswith("data."):
        return Choice(key, facts.of_source[key], f"as {facts.source}, whose weights it starts from")
    return Choice(key, value, reason)


def _counts(key: str, facts: ImageFacts) -> bool:
    """Whether a choice applies: not an option of a network that the user has replaced."""
    part = key.rpartition(".")[0]
    if part in facts.of_source:
        return False
    member = facts.given.get(f"{part}.name", _NETWORK)
    return key in facts.given or not part.startswith("model.") or member == _NETWORK


def _name(facts: ImageFacts) -> str:
    if facts.path is None:
        return facts.dataset
    text = facts.path.partition("?")[0].removesuffix("/index.json").rstrip("/")
    path = Path(text).resolve()
    known = path.suffix.lower() in _ENDINGS and not path.is_dir()
    name = (path.stem if known else path.name) or facts.dataset
    if facts.dataset == "shards":  # an address with a port, or a pattern of names
        name = re.sub(r"[^\w. -]+", "-", name).strip("-")
    return name if facts.dataset in _OF_FILES else f"{facts.dataset}-{name}"


def _resolution(facts: ImageFacts) -> Resolution:
    fixed = {**facts.of_source, **facts.given}
    if "data.resolution" in fixed:
        wanted = {"data.resolution": fixed["data.resolution"]}
        return experiment(_BASE).replace(**wanted).data.resolution
    if facts.dataset == "archive" or (facts.dataset == "shards" and facts.size is not None):
        return facts.side if facts.size is None else facts.size
    most = 128 if facts.accelerator else 32
    return max(side for side in _SIZES if side <= min(max(facts.side, 8), most))


def _size(facts: ImageFacts) -> Size:
    return _SIZES[min(grid_of(_resolution(facts)).square, max(_SIZES))]


def _data_choices(facts: ImageFacts) -> list[tuple[str, Any, str]]:
    resolution = _resolution(facts)
    why = f"shorter sides are about {facts.side} px"
    shorter = min(size_of(resolution))
    if facts.dataset == "archive":
        packed = facts.side if facts.size is None else facts.size
        why = f"packed at {' x '.join(map(str, dict.fromkeys(size_of(packed))))} px"
    elif shorter < facts.side // 2 + 1:
        why += f"; larger is slow here: --set data.resolution={2 * shorter} if you have the time"
    if facts.size is None and facts.sizes and (cut := advice(facts.sizes, shorter)):
        why += f"; {cut}"
    balance = balance_of(facts.classes, np.array(facts.counts)) if facts.counts else None
    unequal: list[tuple[str, Any, str]] = []
    # Shards are read in their order, where no class can be shown more often.
    if balance is not None and balance.wants_balancing and facts.dataset != "shards":
        largest, smallest = max(balance.counts), min(balance.counts)
        share = f"the largest class has {plural(largest, 'image')}, the smallest {smallest:,}"
        unequal = [("data.balanced", True, f"{share}: each class is shown equally often")]
    mirrored = not all(len(name) == 1 for name in facts.classes)
    return [
        ("data.resolution", resolution, why),
        ("data.channels", *_channels(facts)),
        ("data.flip", mirrored, "mirrored images keep their class")
        if mirrored
        else (
            "data.flip",
            mirrored,
            "one-character classes: mirrored letters and digits are other signs",
        ),
        *unequal,
    ]


def _method_choices(facts: ImageFacts) -> list[tuple[str, Any, str]]:
    """The head where the usual one has nothing to do, and the weights to start from."""
    rows: list[tuple[str, Any, str]] = []
    if len(facts.classes) == 1 and not any(key.startswith("model.head") for key in facts.given):
        rows.append(("model.head.name", "unconditional", "one class: there is no label to learn"))
    if facts.source is not None:
        frozen = facts.of_source["training.freeze_d"]
        kept = f"{facts.images:,} images are few: the first stages of D stay as they are (FreezeD)"
        rows.append(
            (
                "training.start_from",
                facts.of_source["training.start_from"],
                "as you ask: begins there",
            )
        )
        rows.append(
            (
                "training.freeze_d",
                frozen,
                kept if frozen else "all of D learns: the set is not small",
            )
        )
    return rows


def _channels(facts: ImageFacts) -> tuple[int, str]:
    if facts.grey:
        return 1, "all grey"
    pictures = facts.channels == 3
    return facts.channels, "colour images" if pictures else f"arrays of {facts.channels} channels"


def _run_choices(facts: ImageFacts) -> list[tuple[str, Any, str]]:
    size, images = _size(facts), facts.images
    wider = 2 if facts.accelerator else 1
    device = "a GPU" if facts.accelerator else "two CPU cores"
    preset = next(preset for preset in PRESETS if images < preset.below)
    *_, best = stages(min(size_of(_resolution(facts))), images, len(facts.classes))
    useful = max(_PASSES * images, min(preset.least, best.images_seen))
    length = min(useful, _LONGEST[facts.accelerator])
    passes = f"{length / images:,.0f} passes over {plural(images, 'image')}"
    if length == _LONGEST[facts.accelerator]:
        passes += f", which takes {device} long; --images changes it"
    return [
        ("augment.name", preset.augment, f"{plural(images, 'image')}: {preset.why}"),
        ("model.generator.width", wider * size.generator, f"what {device} train in time"),
        ("model.backbone.width", wider * size.backbone, f"what {device} train in time"),
        ("training.batch", *_batch(facts, 64 * wider)),
        ("training.images", length, passes),
    ]


def _batch(facts: ImageFacts, usual: int) -> tuple[int, str]:
    """The usual batch, or what a small set fills without showing an image twice."""
    most = max(_SMALLEST_BATCH, 1 << (max(facts.images, 1).bit_length() - 1))
    if most < usual:
        if most > facts.images:
            return most, "fewer are too few to compare"
        return most, f"of {facts.images:,} images, so that none is in a batch twice"
    return usual, "more pairs a step" if facts.accelerator else "short steps on a CPU"


def options_in(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a data set among values by dotted keys: ``data.options.label`` and the like."""
    start = "data.options."
    return {key.removeprefix(start): given[key] for key in given if key.startswith(start)}


def find_facts(
    path: str, *, accelerator: bool, options: Mapping[str, Any] | None = None
) -> ImageFacts:
    """Scan a set's files, or open it; raises DataError where training would."""
    dataset = find_set(path, options=options)
    return facts_of(dataset, survey_usable(dataset), accelerator=accelerator)


def find_set(path: str, *, options: Mapping[str, Any] | None = None) -> DataConfig:
    """The set at a path or of a name, in its own shape where that is known without a look at it."""
    dataset = find_dataset(path, options=options)
    shape = PUBLISHED_SHAPES.get(dataset.name)
    own: dict[str, Any] = {}
    if shape is not None and shape.sizes:
        own = {"resolution": min(shape.sizes[0]), "channels": shape.channels}
    return dataset.model_copy(update=own)


def facts_of(
    dataset: DataConfig, survey: Scan | ImageData, *, accelerator: bool = False
) -> ImageFacts:
    """The facts of a survey of that set."""
    sizes = [survey.size] if isinstance(survey, ImageData) else survey.sizes
    return ImageFacts(
        path=dataset.path,
        dataset=dataset.name,
        images=int(survey.counts.sum()),
        classes=survey.class_names,
        side=int(median(min(size) for size in sizes)),
        grey=survey.channels == 1,
        accelerator=accelerator,
        size=survey.resolution if isinstance(survey, ImageData) else None,
        channels=survey.channels,
        sizes={} if isinstance(survey, ImageData) or survey.boxes else Counter(survey.sizes),
        notes=() if isinstance(survey, ImageData) else survey.notes,
        counts=tuple(int(count) for count in survey.counts),
    )


def has_accelerator(device: Device) -> bool:
    """Whether this device, or the one that ``auto`` takes, is a GPU."""
    if str(device) != "auto":
        return not str(device).startswith("cpu")
    import torch  # noqa: PLC0415

    return torch.cuda.is_available() or torch.backends.mps.is_available()
