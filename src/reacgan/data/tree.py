"""A folder on the disk as a :class:`~reacgan.data.layout.Tree`, and the layout found in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from reacgan.data.dataset import DataError
from reacgan.data.layout import decide
from reacgan.data.names import IMAGE_SUFFIXES, is_hidden, is_small_copies, suffix_of
from reacgan.data.shape import Decision, Tree

TABLE_SUFFIXES = frozenset(
    {
        ".csv",
        ".tsv",
        ".json",
        ".jsonl",
        ".xml",
        ".parquet",
        ".arrow",
        ".xlsx",
        ".xls",
        ".mat",
        ".h5",
    }
)
"""Of files that may say which class each image has, whether they can be read here or not."""


@dataclass(frozen=True)
class Layout:
    """Where the class folders of each split are; ``test`` is None where none is held out."""

    root: Path
    train: Path
    test: Path | None
    notes: tuple[str, ...] = field(default=())
    unused_test: str = ""
    """Why no test split is used though there are folders of one."""


def find_layout(path: str | Path) -> Layout:
    """Find the class folders: ``PATH/<class>/...``, or ``PATH/train/<class>/...`` with a test part.

    What else is a way to them, and what is none: ``data/layout.py``.

    Raises:
        DataError: no such folder, no class folders in it, or several ways to some.
    """
    root = Path(path)
    return layout_of(root, decide(read_tree(root)))


def layout_of(root: Path, decision: Decision) -> Layout:
    """The decision's folders below a root; its problem becomes an error."""
    if decision.train is None:
        raise DataError(explain(root, decision))
    test = None if decision.test is None else root.joinpath(*decision.test)
    return Layout(root, root.joinpath(*decision.train), test, decision.notes, decision.unused_test)


def explain(root: Path, decision: Decision) -> str:
    """A decision's problem with the paths to give, or what is needed."""
    if decision.choices:
        given = " or ".join(str(root.joinpath(*way)) for way in decision.choices[:6])
        return f"{root}: {decision.problem}. Give {given}"
    return (
        f"{root}: {decision.problem}. Needed: one sub-folder a class, such as "
        f"{root / 'cat' / '1.png'} and {root / 'dog' / '1.png'} (or the same below train/ and test/), "
        "or a table of files and classes (.csv, .jsonl)"
    )


def read_tree(root: Path) -> Tree:
    """The folder and all below it, links followed, each real folder once.

    Raises:
        DataError: no such folder, a file, or not readable.
    """
    if not root.exists():
        raise DataError(f"{root}: no such folder")
    if not root.is_dir():
        raise DataError(
            f"{root}: a file, needed: a folder with one sub-folder a class, or a packed file that "
            "`reacgan data prepare` wrote (an archive such as .zip or .tar is unpacked first)"
        )
    try:
        os.scandir(root).close()
    except OSError as error:
        raise DataError(f"{root}: not readable: {error.strerror}") from None
    return _read(root, "", _above(root))


def image_names(root: Path) -> Iterator[str]:
    """Every image's path below a folder, with slashes; hidden ones and small copies left out."""
    yield from _names(root, "", _above(root))


def _read(path: Path, name: str, above: frozenset[tuple[int, int]]) -> Tree:
    files, folders, readable = _look(path, above)
    images = sum(suffix_of(one) in IMAGE_SUFFIXES for one in files)
    stems = {Path(one).stem for one in files if suffix_of(one) in IMAGE_SUFFIXES}
    tables = sorted(
        one for one in files if suffix_of(one) in TABLE_SUFFIXES and Path(one).stem not in stems
    )
    below = tuple(
        _read(path / one, one, above | {identity})
        for one, identity in sorted(folders.items())
        if not (images and is_small_copies(one))
    )
    return Tree(name, images, below, tuple(tables), readable)


def _names(path: Path, prefix: str, above: frozenset[tuple[int, int]]) -> Iterator[str]:
    files, folders, _ = _look(path, above)
    images = [one for one in files if suffix_of(one) in IMAGE_SUFFIXES]
    yield from (f"{prefix}{one}" for one in sorted(images))
    for one, identity in sorted(folders.items()):
        if not (images and is_small_copies(one)):
            yield from _names(path / one, f"{prefix}{one}/", above | {identity})


def _look(
    path: Path, above: frozenset[tuple[int, int]]
) -> tuple[list[str], dict[str, tuple[int, int]], bool]:
    """Names of files, folders that do not lead back up, and whether it can be read."""
    files: list[str] = []
    folders: dict[str, tuple[int, int]] = {}
    try:
        with os.scandir(path) as listed:
            for one in listed:
                if is_hidden(one.name):
                    continue
                try:
                    if not one.is_dir():
                        files.append(one.name)
                        continue
                    identity = _identity(path / one.name)
                except OSError:
                    continue
                if identity not in above:
                    folders[one.name] = identity
    except OSError:
        return files, folders, False
    return files, folders, True


def _above(root: Path) -> frozenset[tuple[int, int]]:
    """The folder and all above it: a link to one of them leads nowhere new."""
    return frozenset(map(_identity, (root, *root.resolve().parents)))


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino
