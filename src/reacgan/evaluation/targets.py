"""What is scored, as a person names it: a run, a model, a folder of images, a packed set."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from reacgan import hub
from reacgan.config import ConfigError, DataConfig, Device, with_home
from reacgan.data import DataError, ImageData, find_dataset, open_dataset
from reacgan.evaluation.image_files import is_sample_file, open_images
from reacgan.evaluation.manner import Manner, notes_on
from reacgan.evaluation.own_shape import Wish
from reacgan.evaluation.reference import Reference, part_of
from reacgan.evaluation.sample_folders import MOST_UNREADABLE, READ
from reacgan.evaluation.sources import DataSource, GeneratorSource, Source, choose_labels
from reacgan.hub.folder import holds_generator
from reacgan.models.trained import TrainedGenerator
from reacgan.sampling import with_statistics

AS_IT_IS: Mapping[str, str] = {"checkpoint": "as it is"}
"""A state that no score has chosen."""

REPORT_SEED = 1
"""Of the report of a state that was chosen by scores of seed 0: other latents, as other images."""

BEST = "best"
"""The folder of a run with the best state of its periodic scores."""

_OF_PROTOCOL = ("checkpoint", "rule", "selected_on", "metric")

HALVES = ("every second image from the first", "every second image from the second")
"""Parts of a reference, where states are chosen on one half and reported on the other."""


@dataclass(frozen=True, eq=False)
class Subject:
    """Images to score and what is known of them.

    Args:
        name: for people.
        model: a generator, or None.
        images: a set that is there already, or None.
        labelled: whether its classes mean anything.
        config: where a generator's own data is.
    """

    name: str
    model: TrainedGenerator | None = None
    images: ImageData | None = None
    labelled: bool = True
    config: DataConfig | None = None
    selection: Mapping[str, Any] = field(default_factory=lambda: dict(AS_IT_IS))
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    """What was left out of a folder, and why."""

    @property
    def images_seen(self) -> int | None:
        """Of a generator."""
        return self.model.images_seen if self.model is not None else None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        if self.images is not None:
            return self.images.size
        if self.config is None:
            raise ConfigError(f"{self.name}: neither images nor a generator")
        resolution = self.config.resolution
        return resolution if isinstance(resolution, tuple) else (resolution, resolution)

    @property
    def channels(self) -> int:
        """Of its images."""
        if self.images is not None:
            return self.images.channels
        return self.config.channels if self.config is not None else 3

    def settled(self, manner: Manner) -> Subject:
        """The subject with a generator of the statistics that are wanted, and what these are."""
        if self.model is None:
            return self
        model = with_statistics(self.model, manner.statistics)
        return replace(self, model=model, notes=(*self.notes, *notes_on(model, manner.statistics)))

    def check_manner(self, given: Mapping[str, Any]) -> None:
        """What says how images are made would be passed over where they are there already.

        Raises:
            ConfigError: something of ``manner.OF_A_GENERATOR`` is given for a set of images.
        """
        told = [name for name, value in given.items() if value is not None]
        if self.model is None and told:
            raise ConfigError(
                f"{told[0]} is {given[told[0]]!r}, which only a generator has; {self.name} holds images "
                f"that are there already: leave {', '.join(told)} out"
            )

    def source(self, manner: Manner, num: int, reference: Reference) -> Source:
        """``num`` images: of a set evenly spaced ones, so that all classes are among them."""
        if self.images is not None:
            held = len(self.images)
            spread = np.linspace(0, held - 1, num).round().astype(np.int64)
            chosen = self.images if num == held else self.images.subset(spread)
            return DataSource(chosen, labelled=self.labelled)
        if self.model is None:
            raise ConfigError(f"{self.name}: neither images nor a generator")
        counts = _frequencies(self.model.class_names, reference)
        labels = choose_labels(self.rule(manner, reference), num, counts, seed=manner.seed)
        return GeneratorSource(
            self.model,
            labels,
            seed=manner.seed,
            truncation=manner.truncation,
            psi=manner.psi,
            layers=manner.layers,
            langevin=manner.langevin,
        )

    def rule(self, manner: Manner, reference: Reference) -> str:
        """How classes are chosen: ``balanced`` where the reference has none of the generator's."""
        names = self.model.class_names if self.model is not None else ()
        follows = manner.labels == "reference" and any(_frequencies(names, reference, missing=0))
        return "balanced" if manner.labels == "reference" and not follows else manner.labels


def _frequencies(
    names: Sequence[str], reference: Reference, *, missing: int | None = None
) -> list[int]:
    """Images of each of the generator's classes in the reference; 1 each where it has none of them."""
    data = reference.data if reference.labelled else None
    known = (
        dict(zip(data.class_names, data.counts.tolist(), strict=True)) if data is not None else {}
    )
    found = [int(known.get(name, 0)) for name in names]
    return found if any(found) or missing is not None else [1] * len(names)


def find_subjects(
    path: str | Path,
    *,
    checkpoint: str = "last",
    resolution: Any = None,
    channels: int | None = None,
    device: Device = "auto",
) -> list[Subject]:
    """What a path names.

    Args:
        path: a run, a model folder or the name of a model, a folder of images (class folders or loose
            ones), or a file of images (:func:`open_sample_file`, a table, a packed file).
        checkpoint: of a run: ``last`` (its saved generator), ``best`` (of its periodic scores), the
            images seen of a state it keeps, or ``all`` those states.
        resolution: images of a folder are brought to it; None if all have one size.
        channels: of a folder's images; None as they are.
        device: where generators go.

    Returns:
        One subject, or with ``all`` one a state.

    Raises:
        ConfigError: nothing there, or images of many sizes.
    """
    path = with_home(str(path))
    place = Path(path)
    if not place.exists() and (path in hub.known_models() or path.startswith("hub:")):
        place = hub.locate(path)
    if holds_generator(place):
        return _generators(place, checkpoint, device)
    if checkpoint != "last":
        raise ConfigError(f"checkpoint is {checkpoint!r}, which only a run has; {place} is none")
    return [_folder(path, resolution, channels)]


def _generators(place: Path, checkpoint: str, device: Device) -> list[Subject]:
    if place.name == BEST and (place / "selection.json").exists():
        place, checkpoint = place.parent, BEST
    if checkpoint == "last":
        return [_generator(place, hub.load(place, device=device, check=False), AS_IT_IS)]
    if checkpoint == "best":
        if not (place / BEST / "config.json").exists():
            raise ConfigError(
                f"{place}: has no best/ state; train with --set scores.every=N to select one"
            )
        chosen, notes = told_apart(read_selection(place))
        model = hub.load(place / BEST, device=device, check=False)
        return [replace(_generator(place, model, chosen), notes=notes)]
    states = hub.list_states(place)
    if checkpoint != "all":
        if not re.fullmatch(r"[0-9][0-9_,]*", checkpoint):
            raise ConfigError(
                f"checkpoint is {checkpoint!r}; allowed: last, best, all, or the images seen of a state"
            )
        states = [int(re.sub("[_,]", "", checkpoint))]
    found = []
    for seen in states:
        model = hub.load_state(place, seen, device=device, check=False)
        found.append(_generator(place, model, AS_IT_IS))
    if not found:
        raise ConfigError(f"{place}: keeps no states; leave --checkpoint at last")
    return found


def read_selection(run: Path) -> dict[str, Any]:
    """How the best state was chosen, as the run wrote it.

    Raises:
        ConfigError: not there, or damaged.
    """
    file = run / BEST / "selection.json"
    try:
        held = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file}: not readable ({error})") from None
    if not isinstance(held, dict):
        raise ConfigError(f"{file}: not readable (it holds no mapping)")
    return held


def told_apart(selection: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What of a selection belongs in a protocol, and what beside the score in words."""
    kept = {key: selection[key] for key in _OF_PROTOCOL if key in selection}
    if "value" not in selection:
        return kept, ()
    on = selection.get("selected_on", {})
    where = f"the {on.get('split')} images ({on.get('part')}, {on.get('images')} of them)"
    return kept, (
        f"the state at {selection['images_seen']:,} images was chosen of {selection['states']} by "
        f"{selection['metric']} {selection['value']:.4g} on {where}",
    )


def _generator(place: Path, model: TrainedGenerator, selection: Mapping[str, Any]) -> Subject:
    name = place.resolve().name if place.resolve().name != "model" else place.resolve().parent.name
    return Subject(name, model=model, config=model.experiment.data, selection=selection)


def _folder(path: str, resolution: Any, channels: int | None) -> Subject:
    """A folder's or file's images at one size, their own if they share one."""
    place = Path(path)
    name = str(place)  # two folders may have one name
    if not place.exists():
        raise DataError(
            f"{place}: no such folder or file; give a run, a model folder, or images. {READ}"
        )
    if place.is_file() and not is_sample_file(place):
        config = find_dataset(path)
        if config.name == "folder":  # of no kind that is known
            raise DataError(f"{place}: no file of images. {READ}")
        changes, _ = Wish(resolution, channels).settle(config, "train")
        return Subject(name, images=open_dataset(config.model_copy(update=changes)))
    opened = open_images(
        place, resolution=resolution, channels=channels, most_refused=MOST_UNREADABLE
    )
    return Subject(name, images=opened.images, labelled=opened.labelled, warnings=opened.warnings)


def half_of(reference: Reference, half: int) -> Reference:
    """Every second image of each class: half 0 begins with the first, half 1 with the second."""
    if reference.data is None:
        raise ConfigError("a file of statistics cannot be divided; name the images instead")
    labels = reference.data.labels
    order = np.argsort(labels, kind="stable")
    counts = np.bincount(labels)
    place = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    return part_of(reference, HALVES[half], np.sort(order[place % 2 == half]))
