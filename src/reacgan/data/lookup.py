"""Which file a table means: by its path, or by its name where no other file is called so."""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from functools import cached_property
from pathlib import Path, PurePosixPath

from reacgan.data.names import IMAGE_SUFFIXES, split_of, suffix_of
from reacgan.data.tree import image_names


class AmbiguousNameError(ValueError):
    """A name that several files have; the text names them and begins after the table's own name."""


class Files:
    """The files that a table in a folder may name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def exact(self, value: str) -> str | None:
        """The path relative to the folder, as written or with slashes for backslashes, if it is there."""
        for text in _spellings(value):
            place = self.folder / text
            if os.path.lexists(place) and not place.is_dir():
                return os.path.normpath(text)
        return None

    def by_name(self, value: str, split: str = "") -> str | None:
        """The one image below the folder whose path ends so, with or without its extension.

        Of several, the one in a folder that is called as the split.

        Raises:
            AmbiguousNameError: several, and the split does not say which.
        """
        alike = self._alike(value)
        if len(alike) > 1 and split:
            alike = [path for path in alike if split_of_path(path) == split] or alike
        if len(alike) > 1:
            raise AmbiguousNameError(
                f"names {value.strip()}, which may be {' or '.join(alike[:3])}; write the path with its "
                "folder in the table"
            )
        return alike[0] if alike else None

    def looks_like_one(self, value: str) -> bool:
        """Whether a value may name an image."""
        return suffix_of(value.strip()) in IMAGE_SUFFIXES or bool(self._alike(value))

    def _alike(self, value: str) -> list[str]:
        wanted = unicodedata.normalize("NFC", _spellings(value)[-1]).removeprefix("./")
        return [
            path
            for path in self._by_name.get(PurePosixPath(wanted).name, ())
            if f"/{_composed(path)}".endswith(f"/{wanted}")
            or f"/{PurePosixPath(_composed(path)).with_suffix('')}".endswith(f"/{wanted}")
        ]

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        known: dict[str, list[str]] = defaultdict(list)
        for path in image_names(self.folder):
            name = _composed(PurePosixPath(path).name)
            known[name].append(path)
            known[name[: name.rfind(".")]].append(path)
        return known


def split_of_table(file: Path) -> str:
    """Which split a table's name speaks of: ``test.csv``, ``trainLabels.csv``."""
    said = split_of(file.stem)[0]
    return said or ("train" if file.stem.casefold() == "trainlabels" else "")


def split_of_path(path: str) -> str:
    """Which split the folders of a path speak of, if one does."""
    kinds = {split_of(folder)[0] for folder in PurePosixPath(path).parts[:-1]} - {""}
    return kinds.pop() if len(kinds) == 1 else ""


def _spellings(value: str) -> list[str]:
    """As written, composed and decomposed, without spaces at the ends, with slashes."""
    texts = [value]
    for text in (value, value.strip()):
        slashes = text.replace("\\", "/")
        for form in (text, slashes):
            texts += [form, unicodedata.normalize("NFC", form), unicodedata.normalize("NFD", form)]
    last = value.strip().replace("\\", "/")
    return [*dict.fromkeys(text for text in texts if text), last]


def _composed(path: str) -> str:
    return unicodedata.normalize("NFC", path)
