"""Classifiers of real, generated and mixed images, tested on real images that nobody has seen."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from reacgan import __version__
from reacgan.benefit.images import (
    RealImages,
    first_of_each,
    generated,
    open_real,
    part_of,
    together,
)
from reacgan.benefit.result import ArmResult, Interval, Study, compared, compared_by_class
from reacgan.config import ConfigError, Device, differing, path_of
from reacgan.data import ImageData, refuse_inside
from reacgan.data.order import apportion
from reacgan.devices import find_device
from reacgan.extractors.classifier import train_classifier
from reacgan.files import write_text
from reacgan.generated.dataset import prepared
from reacgan.metrics.cas import right_on
from reacgan.metrics.label_accuracy import class_shares
from reacgan.models.trained import TrainedGenerator
from reacgan.progress import stage
from reacgan.randomness import derive_seed
from reacgan.records import read_json
from reacgan.sampling.images import DEFAULTS
from reacgan.sampling.settings import SamplingSettings

STEPS = (300, 3000)
"""Fewest and most steps of a training by default: ten passes over the real images, between these."""
PLAN, RESULT, FOLDER = "plan.json", "study.json", "trainings"

Right = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Recipe:
    """How each classifier is trained; all of a study alike.

    Raises:
        ConfigError: a number out of range.
    """

    steps: int | None = None
    """Of each training, whatever the number of its images, so that more images alone are no longer
    training; None takes ten passes over the real images, 300 to 3,000 steps."""
    width: int = 16
    """Channels of the first stage."""
    batch: int = 64
    """Images of a step."""
    flip: bool = True
    """Mirror half of the training images."""

    def __post_init__(self) -> None:
        least = {"steps": 1, "width": 1, "batch": 2}
        for name, low in least.items():
            value = getattr(self, name)
            if value is not None and value < low:
                raise ConfigError(f"{name} is {value}; allowed: {low} or more")

    def resolved(self, real: int) -> Recipe:
        """With the number of steps for so many real images."""
        few, many = STEPS
        steps = self.steps or min(max(round(10 * real / self.batch), few), many)
        return replace(self, steps=steps)


class Arm(NamedTuple):
    """What classifiers learn from."""

    name: str
    real: bool
    amount: float
    """Generated images for each real one."""


def arms_of(amounts: Sequence[float]) -> list[Arm]:
    """Real images alone, as many generated ones alone, and the mixtures.

    Raises:
        ConfigError: an amount is not positive.
    """
    wrong = [amount for amount in amounts if not 0 < amount <= 100]
    if wrong:
        raise ConfigError(f"amounts: {wrong[0]:g}; allowed: above 0 to 100, such as 0.5")
    mixtures = [
        Arm(f"real + {amount:g}x generated", True, amount) for amount in sorted(set(amounts))
    ]
    return [Arm("real", True, 0), Arm("generated alone", False, 1), *mixtures]


def augment_study(
    model: TrainedGenerator | str | Path,
    data: str | Path | None = None,
    *,
    held_out: str | Path | None = None,
    out: str | Path | None = None,
    amounts: Sequence[float] = (0.5, 1, 2),
    sizes: Sequence[int] = (),
    repeats: int = 3,
    recipe: Recipe | None = None,
    settings: SamplingSettings = DEFAULTS,
    device: Device = "auto",
    progress: Callable[[int, int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Study:
    """Measure whether generated data helps a classifier of these images.

    The same small classifier learns from real images alone, from as many generated ones alone, and from
    mixtures, with equally many steps, and is tested on held-out real images that neither it nor the
    generator has learned from. Repeats differ in weights, order and generated images, and each mixture is
    compared with real images alone of the same seed. ``generated alone`` against ``real`` is the
    Classification Accuracy Score of :class:`reacgan.metrics.cas.Cas`.

    Args:
        model: from :func:`reacgan.load`, or what that takes.
        data: the real images, with a training part; None takes those of the generator.
        held_out: real images to test on; None takes the test part of ``data``.
        out: a folder for the result, and for what is finished: an interrupted study goes on there.
        amounts: generated images for each real one, in the mixtures.
        sizes: real images of each class to compare at, such as (10, 50); none takes all.
        repeats: of each training.
        recipe: of the classifier; None mirrors images if the generator's training did.
        settings: how images are generated.
        device: where classifiers are trained, and where a model that is named goes.
        progress: called with (trainings done, trainings in all).
        should_stop: asked before each training; True ends the study with what there is.

    Raises:
        ConfigError: a value out of range, no held-out images, other classes, or another study in ``out``.
    """
    if repeats < 1:
        raise ConfigError(f"repeats is {repeats}; allowed: 1 or more")
    if any(size < 1 for size in sizes):
        raise ConfigError(f"sizes: {min(sizes)}; allowed: 1 or more images of each class")
    arms = arms_of(amounts)
    model, settings = prepared(model, settings, device)
    images = open_real(model, data, held_out)
    largest = int(images.training.counts.max())
    if sizes and max(sizes) > largest:
        raise ConfigError(
            f"sizes: {max(sizes)}; allowed: up to {largest}, the real training images of the largest class"
        )
    recipe = (recipe or Recipe(flip=model.experiment.data.flip)).resolved(len(images.training))
    if out is not None:
        refuse_inside(out, data if data is not None else model.experiment.data.path)
    work = _Work(
        model=model,
        settings=settings,
        images=images,
        arms=arms,
        sizes=tuple(dict.fromkeys(sizes)) or (None,),
        repeats=repeats,
        recipe=recipe,
        device=find_device(device),
        folder=None if out is None else path_of(out),
    )
    work.begin()
    complete = work.run(progress, should_stop or (lambda: False))
    study = work.result(complete=complete)
    if work.folder is not None:
        write_text(work.folder / RESULT, json.dumps(study.to_json(), indent=2) + "\n")
    return study


@dataclass(frozen=True, kw_only=True)
class _Work:
    """The trainings of a study; each that is finished is kept."""

    model: TrainedGenerator
    settings: SamplingSettings
    images: RealImages
    arms: Sequence[Arm]
    sizes: tuple[int | None, ...]
    repeats: int
    recipe: Recipe
    device: torch.device
    folder: Path | None

    @cached_property
    def right(self) -> dict[tuple[int | None, str, int], Right]:
        """Whether each held-out image was classified rightly, by size, arm and repeat."""
        return {}

    @cached_property
    def facts(self) -> dict[str, Any]:
        """Everything that a training depends on but its arm and repeat."""
        langevin = self.settings.langevin
        return {
            "reacgan": __version__,
            "model": self.model.digest,
            "training": self.images.training.digest,
            "held_out": self.images.held_out.digest,
            "sampling": {
                **self.settings.named(),
                "langevin": None if langevin is None else langevin.facts(),
            },
            "classifier": dict(vars(self.recipe)),
            "device": self.device.type,
        }

    def begin(self) -> None:
        """Read what an earlier call has finished.

        Raises:
            ConfigError: the folder holds a study of something else.
        """
        if self.folder is None:
            return
        plan = self.folder / PLAN
        if plan.exists():
            known = read_json(plan)
            lines = [
                f"{key} {old!r} there, {new!r} now"
                for key, old, new in differing(known, self.facts)
            ]
            if lines:
                raise ConfigError(
                    f"{self.folder}: holds a study of something else ({'; '.join(lines[:3])}); choose "
                    "another place, or ask for the same"
                )
        else:
            write_text(plan, json.dumps(self.facts, indent=2))
        for key in self.trainings():
            kept = self._file(key)
            if kept is not None and kept.exists():
                packed = np.frombuffer(bytes.fromhex(kept.read_text(encoding="ascii")), np.uint8)
                bits = np.unpackbits(packed)[: len(self.images.held_out)]
                self.right[key] = bits.astype(bool)

    def trainings(self) -> Iterator[tuple[int | None, str, int]]:
        """Size, arm and repeat of each training, repeat by repeat."""
        for repeat in range(self.repeats):
            for size in self.sizes:
                yield from ((size, arm.name, repeat) for arm in self.arms)

    def run(
        self, progress: Callable[[int, int], None] | None, should_stop: Callable[[], bool]
    ) -> bool:
        """Train what is missing; whether all is there in the end."""
        total = self.repeats * len(self.sizes) * len(self.arms)
        with stage("studying", total, "trainings", start=len(self.right)) as task:

            def report() -> None:
                task.at(len(self.right))
                if progress is not None:
                    progress(task.done, total)

            report()
            self._missing(report, should_stop)
        return len(self.right) == total

    def _missing(self, report: Callable[[], None], should_stop: Callable[[], bool]) -> None:
        """The trainings that are not there yet."""
        for repeat in range(self.repeats):
            for size in self.sizes:
                missing = [arm for arm in self.arms if (size, arm.name, repeat) not in self.right]
                if not missing or should_stop():
                    continue
                real = part_of(self.images.training, size, seed=self._seed, repeat=repeat)
                fake = self._generated(real, missing, repeat)
                for arm in missing:
                    if should_stop():
                        return
                    self._train((size, arm.name, repeat), self._set(arm, real, fake))
                    report()

    def result(self, *, complete: bool) -> Study:
        """What the trainings have shown so far."""
        done = [self._arm(size, arm) for size in self.sizes for arm in self.arms]
        return Study(
            arms=tuple(arm for arm in done if arm is not None),
            held_out=len(self.images.held_out),
            repeats=self.repeats,
            settings=self.facts,
            notes=self.images.notes,
            complete=complete,
        )

    @property
    def _seed(self) -> int:
        return self.settings.seed or 0

    def _arm(self, size: int | None, arm: Arm) -> ArmResult | None:
        numbers = [n for n in range(self.repeats) if (size, arm.name, n) in self.right]
        if not numbers:
            return None
        right = [self.right[size, arm.name, number] for number in numbers]
        shared = [n for n in numbers if (size, self.arms[0].name, n) in self.right]
        shares = [float(each.mean()) for each in right]
        held_out = self.images.held_out
        difference, by_class = None, {}
        if arm.amount and shared:
            ours, theirs = (
                [self.right[size, name, number] for number in shared]
                for name in (arm.name, self.arms[0].name)
            )
            difference = compared(ours, theirs)
            by_class = compared_by_class(ours, theirs, held_out.labels, held_out.class_names)
        labels = torch.tensor(held_out.labels).repeat(len(right))
        real = len(part_of(self.images.training, size, seed=self._seed, repeat=0))
        return ArmResult(
            name=arm.name,
            size=size,
            real=real if arm.real else 0,
            generated=round(arm.amount * real),
            accuracy=Interval.of(shares),
            repeats=tuple(shares),
            classes=class_shares(torch.tensor(np.concatenate(right)), labels, held_out.class_names),
            difference=difference,
            class_differences=by_class,
        )

    def _generated(self, real: ImageData, arms: Sequence[Arm], repeat: int) -> ImageData | None:
        """As many images as the largest of these arms takes, other ones in each repeat."""
        largest = max(arm.amount for arm in arms)
        if not largest:
            return None
        counts = _counts(real, largest)
        apart = 10 * max(1, int(self.images.training.counts.max())) * max(1, round(largest))
        first = self._seed + repeat * apart
        names = real.class_names
        return generated(self.model, self.settings, counts, names, first=first)

    @staticmethod
    def _set(arm: Arm, real: ImageData, fake: ImageData | None) -> ImageData:
        """The images of an arm."""
        if not arm.amount or fake is None:
            return real
        chosen = fake.subset(first_of_each(fake, _counts(real, arm.amount)))
        return together(real, chosen) if arm.real else chosen

    def _train(self, key: tuple[int | None, str, int], images: ImageData) -> None:
        recipe = self.recipe
        classifier = train_classifier(
            images,
            epochs=(recipe.steps or STEPS[0]) * recipe.batch / len(images),
            batch=recipe.batch,
            width=recipe.width,
            seed=derive_seed(self._seed, "benefit", key[2]),
            flip=recipe.flip,
            device=self.device,
        )
        self.right[key] = right_on(classifier, self.images.held_out).numpy()
        kept = self._file(key)
        if kept is not None:
            write_text(kept, np.packbits(self.right[key]).tobytes().hex())

    def _file(self, key: tuple[int | None, str, int]) -> Path | None:
        """Where a finished training is kept."""
        if self.folder is None:
            return None
        size, name, repeat = key
        stem = f"{size or 'all'}-{name.replace(' ', '')}-{repeat}"
        return self.folder / FOLDER / f"{stem}.txt"


def _counts(real: ImageData, amount: float) -> npt.NDArray[np.int64]:
    """Generated images of each class: as often as in the real ones."""
    return apportion(round(amount * len(real)), real.counts)
