"""Image files in class folders, in a folder or in a zip."""

from __future__ import annotations

import csv
import io
import shutil
import zipfile
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from reacgan.files import as_file_name
from reacgan.generated.forms.base import (
    MANIFEST,
    Item,
    SetForm,
    appearing,
    as_json,
    parsed,
    rows_of,
)
from reacgan.sampling.grids import PICTURE_CHANNELS, class_folders

TABLE = "labels.csv"
"""File and class of each image: a class name need not be fit for a folder's name."""


class _Files(SetForm):
    """Names of files: ``<class>/<seed>.png``, as `reacgan sample` has them."""

    @cached_property
    def folders(self) -> tuple[str, ...]:
        """The folder of each class."""
        return class_folders(self.class_names)

    def name(self, label: int, seed: int) -> str:
        """The path of an image in the set."""
        return f"{self.folders[label]}/{seed}{self.suffix}"

    @property
    def suffix(self) -> str:
        """Of all images."""
        return ".png" if self.shape[0] in PICTURE_CHANNELS else ".npy"

    def table(self) -> bytes:
        """The content of :data:`TABLE`, class by class."""
        text = io.StringIO(newline="")
        usual = csv.writer(text, lineterminator="\n")
        quoting = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
        usual.writerow(("file", "class", "seed"))
        triples = zip(self.pairs.labels.tolist(), self.pairs.seeds.tolist(), strict=True)
        for label, seed in sorted(triples):
            name = self.class_names[label]
            # A carriage return ends a row for readers, and the usual way leaves it without quotes.
            writer = quoting if "\r" in name else usual
            writer.writerow((self.name(label, seed), name, seed))
        return text.getvalue().encode()


class FolderForm(_Files):
    """A folder for each class: what torchvision's ImageFolder and fastai read."""

    def has(self, part: int) -> bool:
        """Whether all of its files are there."""
        labels, seeds = self.pairs_of(part)
        return all(
            self._path(label, seed).is_file()
            for label, seed in zip(labels.tolist(), seeds.tolist(), strict=True)
        )

    def write(self, part: int, items: Iterable[Item]) -> None:
        """A file an image."""
        del part
        for row in rows_of(items):
            with appearing(self._path(row.label, row.seed)) as temporary:
                temporary.write_bytes(row.content)

    def finish(self, manifest: Mapping[str, Any]) -> None:
        """Write the table and the manifest."""
        with appearing(self.out / TABLE) as temporary:
            temporary.write_bytes(self.table())
        self.write_manifest(manifest)

    def _path(self, label: int, seed: int) -> Path:
        return self.out / as_file_name(self.name(label, seed))


class ZipForm(_Files):
    """The same folders in one file; images are stored, since PNG is compressed already."""

    ending = ".zip"

    @property
    def state(self) -> Path:
        """Beside the file."""
        return self.out.with_name(f".{self.out.name}.generating")

    def has(self, part: int) -> bool:
        """Whether it waits to be put together."""
        return self._waiting(part).is_file()

    def write(self, part: int, items: Iterable[Item]) -> None:
        """A zip of its own, until all are put together."""
        with appearing(self._waiting(part)) as temporary, _new_zip(temporary) as file:
            for row in rows_of(items):
                _put(file, self.name(row.label, row.seed), row.content)

    def finish(self, manifest: Mapping[str, Any]) -> None:
        """Put the parts together."""
        with appearing(self.out) as temporary, _new_zip(temporary) as file:
            for part in range(self.parts):
                with zipfile.ZipFile(self._waiting(part)) as waiting:
                    for name in waiting.namelist():
                        _put(file, name, waiting.read(name))
            _put(file, TABLE, self.table())
            _put(file, MANIFEST, as_json(manifest))
        shutil.rmtree(self.state, ignore_errors=True)

    def known_manifest(self) -> Mapping[str, Any] | None:
        """From the zip."""
        try:
            with zipfile.ZipFile(self.out) as file:
                return parsed(file.read(MANIFEST))
        except (OSError, KeyError, zipfile.BadZipFile):
            return None

    def is_foreign(self) -> bool:
        """Whether something else has the name."""
        return self.out.exists()

    def _waiting(self, part: int) -> Path:
        return self.state / f"part-{part:06d}.zip"


def _new_zip(path: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(path, "w", zipfile.ZIP_STORED)


def _put(file: zipfile.ZipFile, name: str, content: bytes) -> None:
    """Add a file, the same bytes whenever it is done."""
    entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    entry.external_attr = 0o644 << 16
    file.writestr(entry, content)
