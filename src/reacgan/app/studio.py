"""The models of a page, each loaded once, and what it shows of them; one image pass at a time."""

from __future__ import annotations

import threading
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reacgan import __version__
from reacgan.app import checks
from reacgan.config import ConfigError, Device
from reacgan.data import DataError, ImageData, offline, open_dataset
from reacgan.hub import load
from reacgan.hub.folder import model_folder
from reacgan.hub.places import locate
from reacgan.models import Generator
from reacgan.models.trained import TrainedGenerator
from reacgan.pictures import search
from reacgan.records import read_mapping
from reacgan.sampling import (
    Moves,
    SamplingSettings,
    generate,
    interpolate,
    latents_for,
    sample,
    semantic_directions,
    with_statistics,
)

MAX_DIRECTIONS = 5
FIRST_CLASSES = 10
"""Classes of the first sheet."""
_STILL = Moves()


@dataclass(frozen=True, eq=False)
class Exhibit:
    """A model of the page."""

    word: str
    """As the command line names it."""
    name: str
    """In the selector; unique."""
    model: TrainedGenerator
    digest: str = field(init=False)
    """:attr:`TrainedGenerator.digest`."""
    class_names: tuple[str, ...] = field(init=False)
    """For people: one line each, unique, at most 60 characters."""
    training_images: int = field(init=False)
    """That it learned from, as its run says; 0 where that is not known."""
    directions: int = field(init=False)
    """Directions of SeFa that have a slider; 0 where its layers are not known."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", self.model.digest)
        object.__setattr__(self, "class_names", shown_names(self.model.class_names))
        object.__setattr__(self, "training_images", _images_of(Path(self.word)))
        count = min(MAX_DIRECTIONS, self.model.latent_dim)
        try:
            semantic_directions(self.model.generator, count)
        except ConfigError:
            count = 0
        object.__setattr__(self, "directions", count)

    @property
    def has_styles(self) -> bool:
        """Whether psi truncates them."""
        return type(self.model.generator).truncated is not Generator.truncated

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        data = self.model.experiment.data
        side = data.resolution
        height, width = (side, side) if isinstance(side, int) else side
        return data.channels, height, width

    def affordable(self, name: str, count: int) -> int:
        """The number, unless that many images have too many pixels; raises ConfigError."""
        _, height, width = self.shape
        most = max(1, checks.SHEET_PIXELS // (height * width))
        if count > most:
            raise ConfigError(
                f"{name} is {count}; allowed for images of {height} x {width}: at most {most}"
            )
        return count


def _images_of(run: Path) -> int:
    """The number of training images in a run's record."""
    classes = (read_mapping(run / "images.json") or {}).get("classes")
    counts = classes.values() if isinstance(classes, dict) else ()
    return sum(count for count in counts if isinstance(count, int))


@dataclass(frozen=True)
class PictureRecipe:
    """What a picture is made of."""

    model: str
    """Its name on the page."""
    label: int
    seed: int
    truncation: float | None = None
    psi: float | None = None
    moves: Moves = _STILL

    def settings(self) -> SamplingSettings:
        """As ``reacgan sample`` takes them."""
        moves = self.moves if self.moves != _STILL else None
        return SamplingSettings(
            self.truncation, self.psi, seed=self.seed, precision="auto", moves=moves
        )


@dataclass(frozen=True, eq=False)
class Neighbour:
    """A training image near a picture."""

    image: Tensor
    """uint8 ``[C, H, W]``, mirrored where the mirrored one is nearer."""
    class_name: str
    distance: float
    """Root of the mean squared difference of pixels, 0 to 255."""


class Studio:
    """Makes what the page shows; any thread may call it."""

    def __init__(self, exhibits: Sequence[Exhibit]) -> None:
        self.exhibits = {exhibit.name: exhibit for exhibit in exhibits}
        self.lock = threading.Lock()
        """Taken for each pass of a generator and each search."""
        self._training: dict[str, ImageData] = {}

    def exhibit(self, name: object) -> Exhibit:
        """The model of a name; raises ConfigError."""
        return self.exhibits[checks.member("model", name, list(self.exhibits))]

    def sheet(self, recipes: Sequence[PictureRecipe], count: int) -> Tensor:
        """uint8 ``[rows, count, C, H, W]``: of each recipe and its next seeds.

        The recipes differ in their classes alone.
        """
        first = recipes[0]
        labels = [recipe.label for recipe in recipes]
        with self.lock:
            made = list(sample(self.exhibits[first.model].model, labels, count, first.settings()))
        return torch.stack([item.image for item in made]).unflatten(0, (len(recipes), count))

    def picture(self, recipe: PictureRecipe) -> Tensor:
        """uint8 ``[C, H, W]``."""
        return self.pictures([recipe])[0]

    def pictures(self, recipes: Sequence[PictureRecipe]) -> Tensor:
        """uint8 ``[N, C, H, W]``, of recipes of one model and psi."""
        model = self.exhibits[recipes[0].model].model
        rows = []
        for recipe in recipes:
            z = latents_for([recipe.seed], model.latent_dim, recipe.truncation)
            rows.append(recipe.moves.move(model.generator, z, recipe.truncation))
        labels = torch.tensor([recipe.label for recipe in recipes])
        seeds = [recipe.seed for recipe in recipes]
        with self.lock:
            return generate(
                model.generator,
                torch.cat(rows),
                labels,
                recipes[0].settings(),
                seeds=seeds,
                class_names=model.class_names,
            )

    def alike(self, recipe: PictureRecipe, share: float, count: int) -> list[PictureRecipe]:
        """Recipes of pictures a ``share`` of the way to the latents of the next seeds.

        Raises:
            ConfigError: the recipe has been moved this way too often.
        """
        moves = recipe.moves
        if len(moves.toward) >= checks.MAX_TOWARD:
            raise ConfigError(
                f'this picture is {checks.MAX_TOWARD} steps of "more like this" from its seed, which '
                "is the most; pick one of the sheet"
            )
        last = max([recipe.seed, *(seed for seed, _ in moves.toward)])
        return [
            replace(recipe, moves=replace(moves, toward=(*moves.toward, (last + step, share))))
            for step in range(1, count + 1)
        ]

    def walk(self, ends: tuple[PictureRecipe, PictureRecipe], steps: int) -> Tensor:
        """uint8 ``[steps, C, H, W]``: from one recipe to the other, which differ in class and seed."""
        first, last = ends
        with self.lock:
            return interpolate(
                self.exhibits[first.model].model,
                classes=(first.label, last.label),
                seeds=(first.seed, last.seed),
                steps=steps,
                truncation=first.truncation,
                psi=first.psi,
            )

    def near(self, recipe: PictureRecipe, count: int) -> list[Neighbour]:
        """The nearest training images of a picture, by pixels.

        Raises:
            DataError: the training images are not on this machine.
            ConfigError: they do not fit.
        """
        picture = self.picture(recipe)
        exhibit = self.exhibits[recipe.model]
        with self.lock:
            data = self._training_of(exhibit)
            mirror = exhibit.model.experiment.data.flip
            matches = search(picture[None], data, k=min(count, len(data)), mirror=mirror)
        rows = zip(
            *(part[0].tolist() for part in (matches.index, matches.distance, matches.mirrored)),
            strict=True,
        )
        names = shown_names(data.class_names)
        found_images = []
        for index, distance, mirrored in rows:
            image = torch.tensor(np.ascontiguousarray(data.images[index]))
            image = image.flip(-1) if mirrored else image
            found_images.append(Neighbour(image, names[int(data.labels[index])], distance))
        return found_images

    def _training_of(self, exhibit: Exhibit) -> ImageData:
        """The training images of a model, opened once; nothing is downloaded."""
        if exhibit.name not in self._training:
            try:
                with offline():
                    opened = open_dataset(exhibit.model.experiment.data, "train")
                    self._training[exhibit.name] = opened.excerpt
            except (DataError, OSError) as error:
                raise DataError(
                    f"the training images of {exhibit.name} are not here, so nothing can be compared: "
                    f"{error}"
                ) from None
        return self._training[exhibit.name]

    def facts(self, recipe: PictureRecipe) -> dict[str, Any]:
        """A picture's settings as plain JSON."""
        exhibit = self.exhibits[recipe.model]
        return {
            "reacgan": __version__,
            "model": exhibit.word,
            "model_digest": exhibit.digest,
            "class": exhibit.model.class_names[recipe.label],
            "label": recipe.label,
            "seed": recipe.seed,
            "truncation": recipe.truncation,
            "psi": recipe.psi,
            **recipe.moves.facts(),
        }


def open_studio(models: Sequence[str | Path], device: Device = "auto") -> Studio:
    """Load the models, each once.

    Raises:
        ConfigError: none named, or one that cannot be loaded.
    """
    if not models:
        raise ConfigError(
            "no model is named; give a run's folder, a model folder or a model's name"
        )
    folders: dict[Path, str] = {}
    for word in models:
        folders.setdefault(model_folder(locate(word)).resolve(), str(word))
    names = _unique([_short(word) for word in folders.values()])
    exhibits = []
    for name, (folder, word) in zip(names, folders.items(), strict=True):
        model = with_statistics(load(folder, device=device, check=False), "auto")
        exhibits.append(Exhibit(word, name, model))
    return Studio(exhibits)


def shown_names(class_names: Sequence[str]) -> tuple[str, ...]:
    """Class names for people: one line, at most 60 characters, control characters gone, unique."""
    kept = []
    for label, name in enumerate(class_names):
        plain = "".join(
            mark if unicodedata.category(mark) not in ("Cc", "Cs", "Co", "Cn") else " "
            for mark in name
            if unicodedata.category(mark) != "Cf" or mark in "\u200c\u200d"  # of emoji and scripts
        )
        plain = " ".join(plain.split())
        plain = plain if len(plain) <= 60 else f"{plain[:59]}…"
        kept.append(plain or f"class {label}")
    often = Counter(kept)
    return tuple(
        name if often[name] == 1 else f"{name} (class {label})" for label, name in enumerate(kept)
    )


def _short(word: str) -> str:
    """The last part of a path that says something: of runs/pets/model it is pets."""
    parts = [part for part in Path(word).parts if part not in ("/", ".", "..")]
    if len(parts) > 1 and parts[-1] == "model":
        parts.pop()
    return shown_names([parts[-1] if parts else word])[0]


def _unique(names: Sequence[str]) -> list[str]:
    often = Counter(names)
    return [
        name if often[name] == 1 else f"{name} ({number})" for number, name in enumerate(names, 1)
    ]
