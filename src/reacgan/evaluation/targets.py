"""What is scored: existing images or a generator; each gives a source of images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from reacgan.config import ConfigError, DataConfig, Device, size_of, with_home
from reacgan.data import DataError, ImageData, find_dataset, open_dataset
from reacgan.evaluation.evaluate import Facts
from reacgan.evaluation.image_files import MOST_UNREADABLE, READ, is_sample_file, open_images
from reacgan.evaluation.reference import Reference, ShapeWish
from reacgan.evaluation.sources import DataSource, GeneratorSource, Source, choose_labels
from reacgan.extractors.fitting import Shape
from reacgan.models.trained import TrainedState
from reacgan.outlook import HARDLY_BEGUN, hardly_begun, share_of, stages
from reacgan.sampling import SamplingSettings


@dataclass(frozen=True, eq=False)
class ImageTarget:
    """An existing set of images.

    Args:
        name: for messages.
        images: the set.
        labelled: whether it has classes.
        warnings: what was left out of a folder, and why.
    """

    name: str
    images: ImageData
    labelled: bool = True
    warnings: tuple[str, ...] = ()

    @property
    def config(self) -> None:
        """None: the generator's training data is unknown."""

    @property
    def shape(self) -> Shape:
        """(channels, height, width)."""
        return self.images.channels, *self.images.size

    def check(self, settings: SamplingSettings, num: int | None) -> None:
        """Refuse settings that would be ignored.

        Raises:
            ConfigError: settings of a generator, or more images than there are.
        """
        values = settings.named()
        if settings.langevin is not None:
            values["langevin"] = settings.langevin.steps
        for name, value in values.items():
            raise ConfigError(
                f"{name} is {value!r}, which only a generator has; {self.name} holds images "
                f"already: leave {', '.join(values)} out"
            )
        if num is not None and num > len(self.images):
            raise ConfigError(f"num is {num:,}, but {self.name} holds {len(self.images):,} images")

    def resolved(
        self, settings: SamplingSettings, num: int, reference: Reference
    ) -> tuple[Source, Facts]:
        """``num`` evenly spaced images, so that all classes are among them, and their facts."""
        del settings, reference
        count = len(self.images)
        spread = np.linspace(0, count - 1, num).round().astype(np.int64)
        chosen = self.images if num == count else self.images.subset(spread)
        labels = "as given" if self.labelled else "none"
        facts = Facts(subject=self.name, labels=labels, warnings=self.warnings)
        return DataSource(chosen, labelled=self.labelled), facts


@dataclass(frozen=True, eq=False)
class GeneratorTarget:
    """A generator whose images are scored."""

    state: TrainedState

    @property
    def name(self) -> str:
        """For people."""
        return self.state.name

    @property
    def config(self) -> DataConfig:
        """The configuration of the generator's own data."""
        return self.state.model.experiment.data

    @property
    def shape(self) -> Shape:
        """(channels, height, width)."""
        return self.config.channels, *size_of(self.config.resolution)

    def early(self, training: Callable[[], ImageData | None]) -> str:
        """A warning where it has hardly begun to learn, so that scores say little; else nothing.

        Args:
            training: gives what it learned from, where that is at hand; called only if it matters.
        """
        model, planned = self.state.model, self.state.model.experiment.training.images
        seen, side = model.images_seen, min(size_of(self.config.resolution))
        classes = len(model.class_names)
        if seen >= planned or not hardly_begun(seen, side, None, classes):
            return ""
        data = training()  # of fewer images shapes come earlier
        learnt = None if data is None else len(data), classes
        if not hardly_begun(seen, side, *learnt):
            return ""
        return (
            f"{self.name} {HARDLY_BEGUN}: {seen:,} images seen, "
            f"{share_of(seen, planned)}; shapes come at about "
            f"{stages(side, *learnt)[0].images_seen:,}. Scores say little until then"
        )

    def resolved(
        self, settings: SamplingSettings, num: int, reference: Reference
    ) -> tuple[Source, Facts]:
        """``num`` images generated with these settings, and their facts.

        The rule ``reference`` becomes ``balanced`` for a reference without classes.
        """
        state, chain = self.state, settings.langevin
        if chain is not None and chain.discriminator is None:
            if state.load_discriminator is None:
                raise ConfigError(f"langevin: no discriminator is known for {state.name}")
            chain = replace(chain, discriminator=state.load_discriminator())
            settings = replace(settings, langevin=chain)
        counts = _class_counts(state.model.class_names, reference)
        rule = settings.labels or "reference"
        if rule == "reference" and not any(counts):
            rule = "balanced"
        labels = choose_labels(rule, num, counts, seed=settings.seed or 0)
        settings = settings.on(next(state.model.generator.parameters()).device)
        source = GeneratorSource(state.model, labels, settings)
        return source, Facts(
            subject=state.name,
            images_seen=state.model.images_seen,
            generator=settings.facts(),
            selection=state.selection,
            labels=rule,
            seed=settings.seed or 0,
            notes=(*state.notes, *settings.notes_on(source.model)),
        )


Target: TypeAlias = ImageTarget | GeneratorTarget

FindStates: TypeAlias = Callable[[str, str, Device], Sequence[TrainedState]]
"""(path, checkpoint, device) -> generators; none where the path is neither a run nor a model."""


def _class_counts(names: Sequence[str], reference: Reference) -> list[int]:
    """Images of each of the generator's classes in the reference."""
    data = reference.data if reference.labelled else None
    if data is None:
        return [0] * len(names)
    known = dict(zip(data.class_names, data.counts.tolist(), strict=True))
    return [int(known.get(name, 0)) for name in names]


def find_targets(
    path: str | Path,
    *,
    checkpoint: str = "last",
    resolution: Any = None,
    channels: int | None = None,
    device: Device = "auto",
    find_states: FindStates | None = None,
    options: Mapping[str, Any] | None = None,
) -> Sequence[Target]:
    """The targets of a path.

    Args:
        path: a run, a model folder or the name of a model, a folder of images (class folders or loose
            ones), or a file of images (:func:`open_images`, a table, a packed file).
        checkpoint: of a run: ``last`` (its saved generator), ``best`` (of its periodic scores), the
            images seen of a state it keeps, or ``all`` those states.
        resolution: to which images of a folder are cropped and resized; None if all have one size.
        channels: of a folder's images; None: unchanged.
        device: for generators.
        find_states: loads generators, such as :func:`reacgan.hub.find_states`; None for images alone.
        options: ``data.options`` of a table.

    Raises:
        ConfigError: nothing there, or images of many sizes.
    """
    text = with_home(str(path))
    if states := find_states(text, checkpoint, device) if find_states is not None else ():
        return [GeneratorTarget(state) for state in states]
    if checkpoint != "last":
        raise ConfigError(f"checkpoint is {checkpoint!r}, which only a run has; {text} is none")
    return [_image_target(text, resolution, channels, options)]


def _image_target(
    text: str, resolution: Any, channels: int | None, options: Mapping[str, Any] | None
) -> ImageTarget:
    """A folder's or file's images at one size, their own if they share one."""
    path = Path(text)
    name = str(path)  # two folders may have one name
    if not path.exists():
        raise DataError(
            f"{path}: no such folder or file; give a run, a model folder, or images. {READ}"
        )
    if path.is_file() and not is_sample_file(path):
        config = find_dataset(text, options=options)
        if config.name == "folder":  # an unknown kind of file
            raise DataError(f"{path}: no file of images. {READ}")
        config, _ = ShapeWish(resolution, channels).applied(config, "train")
        return ImageTarget(name, open_dataset(config).excerpt)
    opened = open_images(
        path, resolution=resolution, channels=channels, most_refused=MOST_UNREADABLE
    )
    return ImageTarget(name, opened.images, opened.labelled, opened.warnings)
