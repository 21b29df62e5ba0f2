"""The shape of a folder by names and counts, and what is decided of it: no disk, no decisions here."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from reacgan.data.names import class_name_of

Way = tuple[str, ...]
"""Names of folders from the root downwards."""


@dataclass(frozen=True)
class Tree:
    """A folder: images directly in it, its visible sub-folders, and files that may hold labels."""

    name: str
    images: int = 0
    folders: tuple[Tree, ...] = ()
    tables: tuple[str, ...] = ()
    readable: bool = True

    @cached_property
    def total(self) -> int:
        """Images in it and below; what cannot be read may hold one."""
        own = self.images if self.readable else 1
        return own + sum(folder.total for folder in self.folders)

    @cached_property
    def holding(self) -> tuple[Tree, ...]:
        """Its sub-folders that have an image somewhere."""
        return tuple(folder for folder in self.folders if folder.total)

    @property
    def is_deep(self) -> bool:
        """Whether it holds no image itself, only folders of images."""
        return self.readable and not self.images


@dataclass(frozen=True)
class Decision:
    """Where the class folders of each split are, or why that cannot be said."""

    train: Way | None = None
    classes: tuple[str, ...] = ()
    test: Way | None = None
    notes: tuple[str, ...] = ()
    problem: str = ""
    choices: tuple[Way, ...] = ()
    """Paths that a person could give instead."""
    unused_test: str = ""
    """Why no test split is used though there are folders of one."""
    levels: tuple[Way, ...] = ((),)
    """The folders passed through, where files with labels may lie, from the root down."""


@dataclass(frozen=True)
class Part:
    """The class folders of one split."""

    folder: Tree
    way: Way
    passed: tuple[tuple[Tree, Way], ...] = ()
    """Folders above it on the way."""

    problem: str = ""
    choices: tuple[Way, ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of its class folders."""
        return tuple(one.name for one in self.folder.holding or self.folder.folders)

    @property
    def levels(self) -> tuple[Way, ...]:
        """The folders on the way to them, and the last."""
        return (*(way for _, way in self.passed), self.way)


def with_problem(part: Part, text: str, choices: tuple[Way, ...] = ()) -> Part:
    """The part, which cannot be used as it is."""
    return Part(part.folder, part.way, part.passed, text, choices)


def same_name(first: str, second: str) -> bool:
    """Whether two names are one but for case and Unicode form."""
    return class_name_of(first).casefold() == class_name_of(second).casefold()


def count_of(count: int) -> str:
    """``1 image``, ``2 images``."""
    return f"{count:,} image{'' if count == 1 else 's'}"


def path_of(way: Way) -> str:
    """The way with slashes; nothing for the root."""
    return "".join(f"{one}/" for one in way)
