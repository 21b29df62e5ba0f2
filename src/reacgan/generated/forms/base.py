"""The interface of a form: parts, each written as a whole or not at all, then an end."""

from __future__ import annotations

import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from torch import Tensor

from reacgan.config import ConfigError, path_of, refuse_unwritable
from reacgan.files import naming
from reacgan.generated.sequence import ClassSeeds, Order
from reacgan.records import parse_json, read_mapping
from reacgan.sampling.grids import PICTURE_CHANNELS, encoded
from reacgan.text import json_text

MANIFEST = "manifest.json"
_FILES = frozenset(
    (".zip", ".tar", ".gz", ".tgz", ".xz", ".bz2", ".7z", ".rar", ".parquet", ".arrow", ".csv", ".json",
     ".jsonl", ".npz", ".npy", ".pt", ".safetensors", ".png", ".jpg", ".jpeg", ".webp")
)  # fmt: skip
STATE = ".generating"
"""Folder of what an unfinished set remembers."""


class Item(NamedTuple):
    """A generated image and what it is."""

    label: int
    seed: int
    image: Tensor
    """uint8 [C, H, W]."""


class Encoded(NamedTuple):
    """An image as a file's content."""

    label: int
    seed: int
    content: bytes
    suffix: str
    """``.png`` or ``.npy``."""


def rows_of(items: Iterable[Item]) -> Iterator[Encoded]:
    """The items with their images encoded as `reacgan sample` writes them."""
    for item in items:
        yield Encoded(item.label, item.seed, *encoded(item.image))


@dataclass(frozen=True)
class SetForm(ABC):
    """Writes a data set part by part; a part that is there stays as it is.

    Args:
        out: the folder or file to write.
        class_names: in label order.
        pairs: class and seed of each position.
        shape: (channels, height, width) of an image.
        part: positions of a part; the last one may be shorter.
    """

    out: Path
    class_names: tuple[str, ...]
    pairs: ClassSeeds
    shape: tuple[int, int, int]
    part: int

    order: ClassVar[Order] = "classes"
    """The usual order: shuffled where readers go through shards in sequence."""
    sharded: ClassVar[bool] = False
    """Whether a part is a file that readers see, whose size a person chooses."""
    pictures_only: ClassVar[bool] = False
    ending: ClassVar[str] = ""
    """Of the name of a set that is a file; a folder has none of a file's."""

    @classmethod
    def check(cls, channels: int) -> None:
        """Refuse what this form cannot hold, and say which package is missing, before any image is made.

        Raises:
            ConfigError: either.
        """
        if cls.pictures_only and channels not in PICTURE_CHANNELS:
            raise ConfigError(
                f"the images have {channels} channels, and this form holds pictures of 1, 3 or 4; "
                "take folder, zip or webdataset, which hold arrays"
            )

    @classmethod
    def check_name(cls, out: str | Path) -> None:
        """Refuse a name that promises something else, and a place that cannot be written.

        Raises:
            ConfigError: either.
        """
        suffix = path_of(out).suffix.lower()
        if cls.ending:
            refuse_unwritable(out, "file", endings=(cls.ending,))
        elif suffix in _FILES and not path_of(out).is_dir():
            zipped = ", or take --to zip" if suffix == ".zip" else ""
            raise ConfigError(
                f"{out}: the name of a {suffix} file, but a folder is written; allowed: a name without "
                f"such an ending: --out {path_of(out).with_suffix('')}{zipped}"
            )
        else:
            refuse_unwritable(out, "folder")

    @property
    def state(self) -> Path:
        """The folder of what is remembered until the set is complete."""
        return self.out / STATE

    @cached_property
    def parts(self) -> int:
        """How many parts there are."""
        return -(-len(self.pairs.labels) // self.part)

    def pairs_of(self, part: int) -> ClassSeeds:
        """Class and seed of the positions of a part."""
        return self.pairs.part(part * self.part, (part + 1) * self.part)

    @abstractmethod
    def has(self, part: int) -> bool:
        """Whether the files of a part are there."""

    @abstractmethod
    def write(self, part: int, items: Iterable[Item]) -> None:
        """Write a part; if it is interrupted, what is left is written over later."""

    @abstractmethod
    def finish(self, manifest: Mapping[str, Any]) -> None:
        """Make the set complete; may be repeated after an interruption."""

    def known_manifest(self) -> Mapping[str, Any] | None:
        """The manifest of a complete set; None where there is none."""
        return read_mapping(self.out / MANIFEST)

    def is_foreign(self) -> bool:
        """Whether something else is there already."""
        if not self.out.is_dir():
            return self.out.exists()
        return any(self.out.iterdir()) and not self.state.is_dir()

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Write the manifest beside the images, which makes a folder complete, and forget the state."""
        with appearing(self.out / MANIFEST) as temporary:
            temporary.write_bytes(as_json(manifest))
        shutil.rmtree(self.state, ignore_errors=True)


def as_json(manifest: Mapping[str, Any]) -> bytes:
    """A manifest as the content of its file."""
    return f"{json_text(manifest, indent=2)}\n".encode()


def parsed(content: bytes) -> Mapping[str, Any] | None:
    """A JSON object; None where it is something else."""
    try:
        value = parse_json(content)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """A temporary name beside ``path``, the same at each try, so that nothing is left of a killed one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    try:
        with naming(path):
            yield temporary
        os.replace(temporary, path)  # noqa: PTH105 - as the name says
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
