"""All pictures of a run in one folder, with their numbers and the skipped ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from reacgan import hub
from reacgan.config import ConfigError, DataConfig, Device
from reacgan.data import DataError, ImageData, open_dataset
from reacgan.evaluation.plan import match_classes
from reacgan.evaluation.reference import Reference, open_reference
from reacgan.evaluation.sources import GeneratorSource
from reacgan.extractors import Extractor, build_extractor
from reacgan.files import replacing, write_text
from reacgan.models import Discriminator
from reacgan.models.trained import TrainedGenerator
from reacgan.pictures.discriminator_view import balanced_choice, projection_tsne
from reacgan.pictures.frequencies import spectra
from reacgan.pictures.near import neighbours
from reacgan.pictures.samples import Picture, interpolations, sheet
from reacgan.progress import stage
from reacgan.reports.record import PICTURE_NUMBERS
from reacgan.sampling import SamplingSettings
from reacgan.text import file_stem

_FORMAT = 1


def pictures(
    run: str | Path,
    folder: str | Path,
    *,
    reference: str | Path | ImageData | DataConfig | Reference | None = None,
    which: Sequence[str] | None = None,
    num: int = 2000,
    seed: int = 0,
    extractor: Extractor | str | None = None,
    device: Device = "auto",
) -> dict[str, Any]:
    """Write ``<name>.png`` and ``pictures.json`` with their numbers and settings.

    Args:
        run: the folder of a run, or of a model (which has no discriminator).
        folder: where to write; files of the same names are replaced.
        reference: real images, as ``reacgan evaluate`` takes them; None for the run's own data, the
            test split where there is one.
        which: of :data:`PICTURES`; None for all.
        num: maximum number of real and of generated images for t-SNE and spectra.
        seed: of latents, choices and t-SNE.
        extractor: also search nearest images by its features; a name (``domain`` is trained
            now) or an extractor on the device.
        device: as in :func:`reacgan.load`.

    Returns:
        The content of pictures.json: ``pictures`` by name (``file``, ``caption``, ``numbers``),
        ``skipped`` (why, by name), and the protocol.

    Raises:
        ConfigError: no generator, an unknown picture or value, or no picture can be drawn.
    """
    wanted = list(PICTURES) if which is None else list(dict.fromkeys(which))
    unknown = [name for name in wanted if name not in PICTURES]
    if unknown or not wanted:
        named = ", ".join(unknown) or "nothing"
        raise ConfigError(f"no such picture: {named}; known: {', '.join(PICTURES)}")
    if num < 1 or seed < 0:
        raise ConfigError(f"num is {num}, seed is {seed}; allowed: 1 or more, 0 or more")
    target = Path(folder)
    made: dict[str, Any] = {}
    material = _Material(Path(run), hub.load(run, device=device), reference, num, seed, extractor)
    for name in wanted:
        try:
            with stage(f"drawing {name}"):
                drawn = PICTURES[name](material)
        except ConfigError as error:
            material.skipped[name] = str(error)
            continue
        for stem, picture in drawn.items():
            with replacing(target / f"{stem}.png") as temporary:
                temporary.write_bytes(picture.png)
            made[stem] = {
                "file": f"{stem}.png",
                "caption": picture.caption,
                "pixels": picture.pixels,
                "numbers": dict(picture.numbers),
            }
    skipped = material.skipped
    if not made:
        reasons = "\n".join(f"  {name}: {reason}" for name, reason in skipped.items())
        raise ConfigError(f"no picture could be drawn:\n{reasons}")
    content = {"format": _FORMAT, **material.protocol(), "pictures": made, "skipped": skipped}
    write_text(target / PICTURE_NUMBERS, json.dumps(content, indent=2, allow_nan=False) + "\n")
    return content


@dataclass
class _Material:
    """The inputs of pictures, opened on first use."""

    run: Path
    model: TrainedGenerator
    named: str | Path | ImageData | DataConfig | Reference | None
    """The requested reference; None for the run's own data."""
    num: int
    seed: int
    network: Extractor | str | None
    skipped: dict[str, str] = field(default_factory=dict)
    """Reasons for skipped pictures, by name."""

    @property
    def data(self) -> DataConfig:
        """The run's training data."""
        return self.model.experiment.data

    @property
    def device(self) -> torch.device:
        """Where the generator is."""
        return next(self.model.generator.parameters()).device

    @cached_property
    def training(self) -> ImageData:
        """The training images."""
        try:
            return open_dataset(self.data, "train").excerpt
        except DataError:
            other = self.real.training if self.named is not None else None
            if other is None:
                raise ConfigError("the training images of the run are missing") from None
            return other

    @cached_property
    def real(self) -> Reference:
        """Real images with their facts."""
        named = self.data if self.named is None else self.named
        try:
            return open_reference(
                named, resolution=self.data.resolution, channels=self.data.channels
            )
        except DataError as error:
            if self.named is not None:
                raise
            raise ConfigError("no real images: the run's own are missing") from error

    @cached_property
    def real_images(self) -> ImageData:
        """The reference's images, classes numbered as the generator numbers them where both agree."""
        data = self.real.data
        if data is None:
            raise ConfigError("the reference holds statistics, no images")
        order, _ = match_classes(data.class_names, self.model.class_names)
        if data.class_names == self.model.class_names or order is None:
            return data
        labels = np.asarray(order, dtype=np.int64)[data.labels]
        return ImageData(data.images, labels, self.model.class_names, data.source)

    @cached_property
    def held_out(self) -> ImageData | None:
        """Real images that the run was not trained on, where the reference is such a set."""
        try:
            return self.real_images if self.real.facts.get("split") == "test" else None
        except ConfigError:
            return None

    @cached_property
    def extractor(self) -> Extractor | None:
        """The extractor whose features are compared besides pixels."""
        if not isinstance(self.network, str):
            return self.network
        held_out = self.held_out
        if held_out is not None and held_out.class_names != self.training.class_names:
            held_out = None
        return build_extractor(
            self.network, train=self.training, held_out=held_out, device=self.device
        )

    @cached_property
    def discriminator(self) -> Discriminator:
        """Of the run's newest checkpoint."""
        if not hub.list_states(self.run):
            raise ConfigError(
                "no discriminator: there is no checkpoint, and a model folder holds the generator alone"
            )
        return hub.load_discriminator(self.run, device=self.device)

    def protocol(self) -> dict[str, Any]:
        """The settings of all pictures."""
        facts: dict[str, Any] = {
            "experiment": self.model.experiment.name,
            "images_seen": self.model.images_seen,
            "weights": "moving average",
            "seed": self.seed,
            "num": self.num,
        }
        opened = self.__dict__  # unused inputs are not opened to be described
        if "real" in opened:
            facts["reference"] = self.real.describe()
        if "training" in opened:
            images = self.training
            facts["training"] = {"images": len(images), "digest": images.digest[:16]}
        if "discriminator" in opened:
            facts["discriminator_images_seen"] = hub.list_states(self.run)[-1]
        if opened.get("extractor") is not None:
            facts["extractor"] = opened["extractor"].describe()
        return facts


def _sheet(material: _Material) -> dict[str, Picture]:
    return {"sheet": sheet(material.model, seed=material.seed)}


def _neighbours(material: _Material) -> dict[str, Picture]:
    data = material.training
    k = min(8, len(data))

    def draw(extractor: Extractor | None = None) -> Picture:
        options: dict[str, Any] = {"k": k, "seed": material.seed, "device": material.device}
        options |= {"held_out": material.held_out, "extractor": extractor}
        return neighbours(material.model, data, **options)

    drawn = {"neighbours-pixels": draw()}
    try:
        network = material.extractor
        if network is not None:
            drawn[f"neighbours-{file_stem(network.name)}"] = draw(network)
    except ConfigError as error:
        material.skipped["neighbours by features"] = str(error)
    return drawn


def _interpolations(material: _Material) -> dict[str, Picture]:
    drawn = interpolations(material.model, seed=material.seed)
    if "classes" not in drawn:
        material.skipped["interpolations between classes"] = "there is one class"
    return {f"interpolations-{name}": picture for name, picture in drawn.items()}


def _tsne(material: _Material) -> dict[str, Picture]:
    network, data = material.discriminator, material.real_images
    options: dict[str, Any] = {"num": material.num, "seed": material.seed}
    return {"tsne": projection_tsne(network, data, model=material.model, **options)}


def _spectra(material: _Material) -> dict[str, Picture]:
    data, names = material.real_images, material.model.class_names
    chosen = balanced_choice(data.labels, material.num, material.seed)
    labels = torch.tensor(data.labels[chosen])
    if data.class_names != names:
        labels = torch.arange(len(chosen)) % len(names)
    fakes, _ = GeneratorSource(material.model, labels, SamplingSettings(seed=material.seed)).part(
        0, len(labels)
    )
    return {"spectra": spectra(torch.tensor(data.images[chosen]), fakes)}


PICTURES: Mapping[str, Callable[[_Material], dict[str, Picture]]] = {
    "sheet": _sheet,
    "neighbours": _neighbours,
    "interpolations": _interpolations,
    "tsne": _tsne,
    "spectra": _spectra,
}
"""The pictures that :func:`pictures` can draw."""
