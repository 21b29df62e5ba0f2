"""All pictures of a run in one folder, with the numbers behind them and what could not be made."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
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
from reacgan.pictures.features import balanced_choice
from reacgan.pictures.frequencies import spectra
from reacgan.pictures.near import neighbours
from reacgan.pictures.projection import projection_tsne
from reacgan.pictures.samples import interpolations, sheet
from reacgan.sampling import SamplingSettings

NUMBERS = "pictures.json"
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
    """Write ``<name>.png`` and ``pictures.json`` with their numbers and how they were made.

    Args:
        run: the folder of a run, or of a model (which has no discriminator).
        folder: where to write; files of the same names are replaced.
        reference: real images, as ``reacgan evaluate`` takes them; None for the run's own data, the
            test split where there is one.
        which: of :data:`PICTURES`; None for all.
        num: real and generated images, at most, for t-SNE and spectra.
        seed: of latents, choices and t-SNE.
        extractor: neighbours are looked for in its features too, beside pixels; a name (``domain``
            is trained now) or one that is on the device.
        device: as in :func:`reacgan.load`.

    Returns:
        What pictures.json holds: ``pictures`` by name (``file``, ``caption``, ``numbers``),
        ``skipped`` (why, by name), and the protocol.

    Raises:
        ConfigError: no generator there, a picture or value that is not known, or none can be made.
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
    skipped: dict[str, str] = {}
    studio = _Studio(Path(run), reference, num=num, seed=seed, looks=extractor, device=device)
    for name in wanted:
        try:
            drawn = PICTURES[name](studio)
        except ConfigError as error:
            skipped[name] = str(error)
            continue
        skipped |= drawn.pop("skipped", {})
        for stem, picture in drawn.items():
            _write_png(target / f"{stem}.png", picture.png)
            made[stem] = {
                "file": f"{stem}.png",
                "caption": picture.caption,
                "pixels": picture.pixels,
                "numbers": dict(picture.numbers),
            }
    if not made:
        told = "\n".join(f"  {name}: {reason}" for name, reason in skipped.items())
        raise ConfigError(f"no picture could be made:\n{told}")
    held = {"format": _FORMAT, **studio.protocol(), "pictures": made, "skipped": skipped}
    write_text(target / NUMBERS, json.dumps(held, indent=2, allow_nan=False) + "\n")
    return held


class _Studio:
    """What pictures are made of, opened when first asked for."""

    def __init__(
        self,
        run: Path,
        reference: Any,
        *,
        num: int,
        seed: int,
        looks: Extractor | str | None,
        device: Device,
    ) -> None:
        self.run = run
        self.named = reference
        self.num = num
        self.seed = seed
        self.looks = looks
        self.model: TrainedGenerator = hub.load(run, device=device)
        self.place = next(self.model.generator.parameters()).device
        self.config = self.model.experiment.data

    @cached_property
    def training(self) -> ImageData:
        """What the generator learned from."""
        try:
            return open_dataset(self.config, "train")
        except DataError:
            other = self.real.training if self.named is not None else None
            if other is None:
                raise ConfigError("the images that the run learned from are not there") from None
            return other

    @cached_property
    def real(self) -> Reference:
        """Real images with their facts."""
        named = self.config if self.named is None else self.named
        try:
            return open_reference(
                named, resolution=self.config.resolution, channels=self.config.channels
            )
        except DataError as error:
            if self.named is not None:
                raise
            raise ConfigError("no real images: the run's own are not there") from error

    @cached_property
    def real_images(self) -> ImageData:
        """The reference's images, classes numbered as the generator numbers them where both agree."""
        data = self.real.data
        if data is None:
            raise ConfigError("the reference holds statistics and no images")
        places, _ = match_classes(data.class_names, self.model.class_names)
        if data.class_names == self.model.class_names or places is None:
            return data
        labels = np.asarray(places, dtype=np.int64)[data.labels]
        return ImageData(data.images, labels, self.model.class_names, data.source)

    @cached_property
    def held_out(self) -> ImageData | None:
        """Real images that the run did not learn from, where the reference is such a set."""
        try:
            return self.real_images if self.real.facts.get("split") == "test" else None
        except ConfigError:
            return None

    @cached_property
    def extractor(self) -> Extractor | None:
        """Whose features are compared beside pixels."""
        if isinstance(self.looks, str):
            held_out = self.held_out
            if held_out is not None and held_out.class_names != self.training.class_names:
                held_out = None
            return build_extractor(
                self.looks, train=self.training, held_out=held_out, device=self.place
            )
        return self.looks

    @cached_property
    def discriminator(self) -> Discriminator:
        """Of the run's newest checkpoint."""
        if not hub.list_states(self.run):
            raise ConfigError(
                "no discriminator: there is no checkpoint, and a model folder holds the generator alone"
            )
        return hub.load_discriminator(self.run, device=self.place)

    def protocol(self) -> dict[str, Any]:
        """What all pictures depend on."""
        told: dict[str, Any] = {
            "experiment": self.model.experiment.name,
            "images_seen": self.model.images_seen,
            "weights": "moving average",
            "seed": self.seed,
            "num": self.num,
        }
        known = self.__dict__  # what was never asked for is not opened to be described
        if "real" in known:
            told["reference"] = self.real.describe()
        if "training" in known:
            held = known["training"]
            told["training"] = {"images": len(held), "digest": held.digest[:16]}
        if "discriminator" in known:
            told["discriminator_images_seen"] = hub.list_states(self.run)[-1]
        if known.get("extractor") is not None:
            told["extractor"] = known["extractor"].describe()
        return told


def _sheet(studio: _Studio) -> dict[str, Any]:
    return {"sheet": sheet(studio.model, seed=studio.seed)}


def _neighbours(studio: _Studio) -> dict[str, Any]:
    data = studio.training
    options: dict[str, Any] = {"k": min(8, len(data)), "seed": studio.seed, "device": studio.place}
    drawn: dict[str, Any] = {
        "neighbours-pixels": neighbours(studio.model, data, held_out=studio.held_out, **options)
    }
    try:
        network = studio.extractor
        if network is not None:
            drawn[f"neighbours-{_stem(network.name)}"] = neighbours(
                studio.model, data, extractor=network, held_out=studio.held_out, **options
            )
    except ConfigError as error:
        drawn["skipped"] = {"neighbours by features": str(error)}
    return drawn


def _interpolations(studio: _Studio) -> dict[str, Any]:
    made = interpolations(studio.model, seed=studio.seed)
    drawn: dict[str, Any] = {f"interpolations-{name}": held for name, held in made.items()}
    if "classes" not in made:
        drawn["skipped"] = {"interpolations between classes": "there is one class"}
    return drawn


def _tsne(studio: _Studio) -> dict[str, Any]:
    drawn = projection_tsne(
        studio.discriminator,
        studio.real_images,
        model=studio.model,
        num=studio.num,
        seed=studio.seed,
    )
    return {"tsne": drawn}


def _spectra(studio: _Studio) -> dict[str, Any]:
    data = studio.real_images
    places = balanced_choice(data.labels, studio.num, studio.seed)
    labels = torch.tensor(data.labels[places])
    if data.class_names != studio.model.class_names:
        labels = torch.arange(len(places)) % len(studio.model.class_names)
    fakes, _ = GeneratorSource(studio.model, labels, SamplingSettings(seed=studio.seed)).part(
        0, len(labels)
    )
    return {"spectra": spectra(torch.tensor(data.images[places]), fakes)}


PICTURES: Mapping[str, Callable[[_Studio], dict[str, Any]]] = {
    "sheet": _sheet,
    "neighbours": _neighbours,
    "interpolations": _interpolations,
    "tsne": _tsne,
    "spectra": _spectra,
}
"""What :func:`pictures` can make."""


def _write_png(path: Path, png: bytes) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(png)


def _stem(name: str) -> str:
    return "".join(mark if mark.isalnum() or mark in "-_" else "-" for mark in name)
