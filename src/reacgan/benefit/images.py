"""The images of a study: real ones to learn from, generated ones, and real ones that nobody has seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from reacgan.config import ConfigError, DataConfig
from reacgan.data import DataError, ImageData, MissingSplitError, find_dataset, open_dataset
from reacgan.data.order import order_of, random_words
from reacgan.generated.sequence import sequence
from reacgan.metrics.cas import check_alike
from reacgan.metrics.order import digests
from reacgan.models.trained import TrainedGenerator
from reacgan.sampling.images import images_of
from reacgan.sampling.passes import Passes
from reacgan.sampling.settings import SamplingSettings

_MOST_SEEN = 0.5
"""Share of the held-out images that may have been seen; with more there is nothing to test on."""


@dataclass(frozen=True)
class RealImages:
    """What is learned from and what is tested on."""

    training: ImageData
    held_out: ImageData
    notes: tuple[str, ...] = ()
    """What was left out, and what could not be checked."""


def open_real(
    model: TrainedGenerator, data: str | Path | None, held_out: str | Path | None
) -> RealImages:
    """The training images and the held-out ones, at the generator's size.

    A held-out image whose pixels are also among the training images, or among those that the generator
    was trained on, is left out.

    Args:
        model: knows the size, and where its own training images are.
        data: a set with a training part; None takes the generator's own.
        held_out: a set to test on; None takes the test part of ``data``.

    Raises:
        ConfigError: no held-out images, other classes, or most of them were seen.
    """
    own = model.experiment.data
    config = own if data is None else _config(data, own)
    training = open_dataset(config, "train").excerpt
    try:
        tests = (
            open_dataset(config, "test").excerpt if held_out is None else _any_split(held_out, own)
        )
    except MissingSplitError as error:
        raise ConfigError(
            f"{error}. A study needs real images that neither the generator nor the classifier has "
            "learned from: give them as held_out, in folders of the same classes"
        ) from None
    check_alike(training, {"held-out": tests})
    unknown = [name for name in training.class_names if name not in model.class_names]
    if unknown:
        raise ConfigError(
            f"{training.source}: has the class {unknown[0]!r}, which the generator has not; its classes: "
            f"{', '.join(model.class_names[:12])}"
        )
    seen, notes = _seen_by(model, training, is_own=data is None)
    kept = np.array([digest not in seen for digest in digests(tests.images)])
    lost = int((~kept).sum())
    if lost > _MOST_SEEN * len(tests):
        raise ConfigError(
            f"{tests.source}: {lost:,} of {len(tests):,} held-out images are also among the training "
            "images; give others"
        )
    if lost:
        notes += (f"{lost:,} held-out images were also training images and are left out",)
    return RealImages(training, tests.subset(np.flatnonzero(kept)) if lost else tests, notes)


def _config(data: str | Path, own: DataConfig) -> DataConfig:
    """A set at the size of the generator's images."""
    shape = {"resolution": own.resolution, "channels": own.channels}
    return find_dataset(str(data)).model_copy(update=shape)


def _any_split(held_out: str | Path, own: DataConfig) -> ImageData:
    """The test part of a set, or all of it where it has none."""
    config = _config(held_out, own)
    try:
        return open_dataset(config, "test").excerpt
    except MissingSplitError:
        return open_dataset(config, "train").excerpt


def _seen_by(
    model: TrainedGenerator, training: ImageData, *, is_own: bool
) -> tuple[set[bytes], tuple[str, ...]]:
    """Digests of all images that were learned from, and what is not known of them."""
    seen = set(digests(training.images))
    if is_own:
        return seen, ()
    try:
        return seen | set(digests(open_dataset(model.experiment.data, "train").excerpt.images)), ()
    except (DataError, OSError) as error:
        first = str(error).splitlines()[0]
        return seen, (
            "whether the generator has seen held-out images could not be checked, since what it was "
            f"trained on is not here ({first})",
        )


def part_of(training: ImageData, size: int | None, *, seed: int, repeat: int) -> ImageData:
    """``size`` images of each class, another draw in each repeat; all of them for None."""
    if size is None:
        return training
    chosen: list[int] = []
    for label in range(training.num_classes):
        members = np.flatnonzero(training.labels == label)
        words = random_words(seed, f"benefit/real/{label}", repeat, count=len(members))
        chosen += members[order_of(words)[:size]].tolist()
    return training.subset(sorted(chosen))


def generated(
    model: TrainedGenerator,
    settings: SamplingSettings,
    counts: npt.NDArray[np.int64],
    class_names: Sequence[str],
    *,
    first: int,
) -> ImageData:
    """Generated images class by class, with the labels of ``class_names``.

    Args:
        model: the generator.
        settings: how images are generated.
        counts: images of each of ``class_names``.
        class_names: classes of the real images, by which the generator's are found.
        first: seed of the first image of each class.
    """
    own = [model.class_names.index(name) for name in class_names]
    pairs, passes = sequence(counts, seed=first), Passes(model.generator, settings)
    of_model = np.asarray(own)[pairs.labels]
    parts = [
        images_of(
            model,
            torch.from_numpy(of_model[at : at + passes.size].copy()),
            pairs.seeds[at : at + passes.size].tolist(),
            settings,
            passes,
        ).numpy()
        for at in range(0, len(of_model), passes.size)
    ]
    return ImageData(np.concatenate(parts), pairs.labels, tuple(class_names), "generated images")


def first_of_each(data: ImageData, counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Indices of the first ``counts[c]`` images of each class c."""
    return np.concatenate(
        [
            np.flatnonzero(data.labels == label)[:count]
            for label, count in enumerate(counts.tolist())
        ]
    ).astype(np.int64)


def together(real: ImageData, fake: ImageData) -> ImageData:
    """Both sets as one."""
    return replace(
        real,
        images=np.concatenate([real.images, fake.images]),
        labels=np.concatenate([real.labels, fake.labels]),
        known_digest=None,
        source=f"{real.source} and {fake.source}",
    )
