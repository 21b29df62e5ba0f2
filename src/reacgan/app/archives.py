"""Data sets of generated images: a folder a class, ``labels.csv`` and ``manifest.json``, also as a zip."""

from __future__ import annotations

import csv
import io
import json
import shutil
import zipfile
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from reacgan import __version__
from reacgan.app import checks
from reacgan.app.studio import Exhibit, Recipe, Studio
from reacgan.config import ConfigError
from reacgan.data import refuse_inside
from reacgan.sampling import class_folders, save_image

Put = Callable[[str, Path], None]
"""Takes a file under a name within the set."""


@dataclass(frozen=True)
class Order:
    """A data set that is asked for: ``count`` images of each recipe, from its seed on.

    Raises:
        ConfigError: more images or bytes than the limits of :mod:`reacgan.app.checks`.
    """

    exhibit: Exhibit
    recipes: Sequence[Recipe]
    """Differ in their classes alone."""
    count: int
    name: str

    def __post_init__(self) -> None:
        channels, height, width = self.exhibit.shape
        most = min(checks.MAX_SET, checks.SET_BYTES // (channels * height * width))
        if self.total > most:
            raise ConfigError(
                f"{self.count:,} images of {len(self.recipes):,} classes are {self.total:,}; allowed on "
                f"this page: {most:,} in all. `reacgan sample` has no such limit"
            )

    @property
    def total(self) -> int:
        """Images in all."""
        return self.count * len(self.recipes)


def write_zip(studio: Studio, order: Order, path: Path) -> Generator[int, None, None]:
    """Write ``path``, a zip whose content is one folder; yields the number of images written.

    A generator that is closed early leaves nothing.
    """
    writing = path.with_name(f".{path.name}")
    try:
        with zipfile.ZipFile(
            writing, "w", zipfile.ZIP_STORED
        ) as archive:  # PNGs are packed already

            def put(name: str, file: Path) -> None:
                archive.write(file, f"{order.name}/{name}")
                file.unlink()

            yield from _write(studio, order, path.parent, put)
        writing.replace(path)
    finally:
        writing.unlink(missing_ok=True)


def write_folder(studio: Studio, order: Order, folder: Path) -> Generator[int, None, None]:
    """Write a folder, which must not exist; otherwise as :func:`write_zip`.

    Raises:
        ConfigError: it exists, or lies inside the training images.
    """
    if folder.exists():
        raise ConfigError(f"{folder.name} exists already; give the data set another name")
    refuse_inside(folder, order.exhibit.model.experiment.data.path)
    writing = folder.with_name(f".{folder.name}")
    shutil.rmtree(writing, ignore_errors=True)
    try:

        def put(name: str, file: Path) -> None:
            target = writing / name
            target.parent.mkdir(parents=True, exist_ok=True)
            file.rename(target)

        yield from _write(studio, order, folder.parent, put)
        writing.rename(folder)
    finally:
        shutil.rmtree(writing, ignore_errors=True)


def _write(studio: Studio, order: Order, beside: Path, put: Put) -> Iterator[int]:
    exhibit = order.exhibit
    folders = class_folders(exhibit.model.class_names)
    rows: list[list[object]] = []
    labels = [recipe.label for recipe in order.recipes]
    with _scratch(beside, order.name) as scratch:
        for item in studio.samples(exhibit, labels, order.count, order.recipes[0].settings()):
            file = save_image(item.image, scratch, str(item.seed))
            name = f"{folders[item.label]}/{file.name}"
            put(name, file)
            rows.append([name, item.label, item.class_name, item.seed])
            yield len(rows)
        for name, content in (
            ("labels.csv", _table(rows)),
            ("manifest.json", _manifest(studio, order)),
        ):
            file = scratch / name
            file.write_text(content, encoding="utf-8", errors="replace", newline="")
            put(name, file)


@contextmanager
def _scratch(beside: Path, name: str) -> Iterator[Path]:
    folder = beside / f".{name}.files"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _table(rows: Sequence[Sequence[object]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["file", "label", "class", "seed"])
    writer.writerows(rows)
    return buffer.getvalue()


def _manifest(studio: Studio, order: Order) -> str:
    facts = studio.facts(order.recipes[0])
    for own in ("class", "label"):
        facts.pop(own)
    channels, height, width = order.exhibit.shape
    facts |= {
        "reacgan": __version__,
        "images": order.total,
        "images_a_class": order.count,
        "first_seed": facts.pop("seed"),
        "channels": channels,
        "height": height,
        "width": width,
        "classes": {
            str(recipe.label): order.exhibit.model.class_names[recipe.label]
            for recipe in order.recipes
        },
    }
    return json.dumps(facts, indent=2) + "\n"
