"""Which files belong to which class, decided from names alone: nothing is opened here."""

from __future__ import annotations

import codecs
import os
import stat
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reacgan.data.dataset import DataError, MissingSplitError
from reacgan.data.names import (
    BESIDE_SUFFIXES,
    IMAGE_SUFFIXES,
    class_name_of,
    is_hidden,
    is_small_copies,
    shown,
    suffix_of,
)
from reacgan.data.tree import Layout


@dataclass(frozen=True)
class Entry:
    """A file and its class; ``problem`` says why it is not even worth opening.

    ``box`` is the part to take, as (left, top, width, height) in pixels; None takes all. ``ctime_ns``
    is when the system last saw it change, which no program can set back as it can ``mtime_ns``.
    """

    relative: str
    label: int
    size: int = 0
    mtime_ns: int = 0
    problem: str = ""
    box: tuple[float, float, float, float] | None = None
    ctime_ns: int = 0


@dataclass(frozen=True)
class Listing:
    """The files of one split in a fixed order, with their labels."""

    root: Path
    split: str
    class_names: tuple[str, ...]
    entries: tuple[Entry, ...]
    ignored: int = 0
    notes: tuple[str, ...] = ()


def read_text(path: Path, *, may_be_wide: bool = False) -> str:
    """A text file in UTF-8, or perhaps in UTF-16 with the mark that spreadsheets write first.

    Raises:
        DataError: not readable, or another encoding.
    """
    try:
        content = path.read_bytes()
        wide = may_be_wide and content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        return content.decode("utf-16" if wide else "utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: not readable: {error}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not readable: {error}; save it as UTF-8") from None


def read_lines(path: Path) -> list[str]:
    """The lines of a text file that hold something; raises DataError where it is not readable."""
    return [line for line in read_text(path).replace("\r\n", "\n").split("\n") if line.strip()]


def folders(path: Path) -> list[Path]:
    """Visible sub-folders, links followed, sorted by code point."""
    with os.scandir(path) as listed:
        names = [one.name for one in listed if not is_hidden(one.name) and _is_folder(one)]
    return [path / name for name in sorted(names)]


def list_split(layout: Layout, split: str) -> Listing:
    """List the files of a split, sorted by code point, without opening any.

    Files that lie beside images (.txt, .json, .xml, ...) are counted, not refused.

    Raises:
        DataError: the split is ``test`` and the layout has none.
    """
    folder = layout.train if split == "train" else layout.test
    if folder is None and layout.unused_test:
        raise DataError(f"{layout.root}: {layout.unused_test}")
    if folder is None:
        raise MissingSplitError(
            f"{layout.root}: has no test split; put held-out images in test/<class>/ beside "
            "train/<class>/"
        )
    class_folders = folders(folder)
    names = sorted({class_name_of(one.name) for one in class_folders})
    places = {name: label for label, name in enumerate(names)}
    entries: list[Entry] = []
    beside: Counter[str] = Counter()
    ignored = 0
    for class_folder in class_folders:
        label = places[class_name_of(class_folder.name)]
        files, skipped = walk_folder(class_folder, folder, label=label, beside=beside)
        entries.extend(files)
        ignored += skipped
    known = {one.name for one in class_folders}
    for loose in sorted(folder.iterdir(), key=lambda one: one.name):
        if loose.name in known or is_hidden(loose.name) or loose.is_dir():
            continue
        if loose.suffix.lower() in IMAGE_SUFFIXES:
            entries.append(Entry(loose.name, label=-1, problem="outside the class folders"))
        else:
            ignored += 1
    notes = layout.notes + _notes_of(class_folders, names, beside)
    return Listing(folder, split, tuple(names), tuple(entries), ignored, notes)


def _notes_of(
    class_folders: Sequence[Path], names: Sequence[str], beside: Mapping[str, int]
) -> tuple[str, ...]:
    notes = []
    if len(names) < len(class_folders):
        often = Counter(class_name_of(one.name) for one in class_folders)
        twice = [name for name in names if often[name] > 1]
        notes.append(f"folders of one name in two Unicode forms are one class: {shown(twice)}")
    return (*notes, *beside_note(beside))


def beside_note(beside: Mapping[str, int]) -> tuple[str, ...]:
    """A line with the count of files that lie beside images and are none."""
    if not beside:
        return ()
    ordered = sorted(beside.items(), key=lambda pair: (-pair[1], pair[0]))
    kinds = shown([f"{count:,} {suffix}" for suffix, count in ordered], 8)
    return (f"{sum(beside.values()):,} files beside the images are ignored: {kinds}",)


def describe_file(
    path: Path, relative: str, label: int, box: tuple[float, float, float, float] | None = None
) -> Entry:
    """Look a file up without opening it (a pipe would hang, a device would never end)."""
    return _describe(path, relative, label, box)


def _describe(
    path: Path | os.DirEntry[str],
    relative: str,
    label: int,
    box: tuple[float, float, float, float] | None = None,
) -> Entry:
    try:
        status = path.stat()
    except OSError as error:
        broken = "broken link" if path.is_symlink() else f"not readable: {error.strerror}"
        return Entry(relative, label, problem=broken)
    suffix = suffix_of(path.name)
    problem = ""
    if not stat.S_ISREG(status.st_mode):
        problem = "not a regular file"
    elif suffix not in IMAGE_SUFFIXES:
        problem = f"not an image's extension ({suffix or 'none'})"
    elif status.st_size == 0:
        problem = "empty file"
    times = status.st_mtime_ns, status.st_ctime_ns
    return Entry(relative, label, status.st_size, times[0], problem, box, ctime_ns=times[1])


def walk_folder(
    class_folder: Path, root: Path, *, label: int, beside: Counter[str] | None = None
) -> tuple[list[Entry], int]:
    """Every file below a class folder, sorted, and how many were ignored.

    Each real folder is visited once, so that loops of links end. What lies beside images and is none
    is counted in ``beside`` by its extension.
    """
    beside = Counter() if beside is None else beside
    above = root.resolve().parents if class_folder == root else (root, *root.resolve().parents)
    seen = {_identity(one) for one in above}
    pending, entries, ignored = [class_folder], [], 0
    while pending:
        folder = pending.pop()
        try:
            identity = _identity(folder)
            with os.scandir(folder) as listed:  # what is a folder is known without asking again
                listed_here = list(listed)
        except OSError as error:
            relative = folder.relative_to(root).as_posix()
            entries.append(Entry(relative, label, problem=f"not readable: {error.strerror}"))
            continue
        if identity in seen:
            ignored += 1
            continue
        seen.add(identity)
        prefix = folder.relative_to(root).as_posix()
        holds_images = any(suffix_of(one.name) in IMAGE_SUFFIXES for one in listed_here)
        for one in listed_here:
            if is_hidden(one.name):
                ignored += 1
            elif _is_folder(one):
                if holds_images and is_small_copies(one.name):
                    beside[f"folder {one.name}"] += 1
                else:
                    pending.append(folder / one.name)
            elif suffix_of(one.name) in BESIDE_SUFFIXES:
                beside[suffix_of(one.name)] += 1
            else:
                relative = one.name if prefix == "." else f"{prefix}/{one.name}"
                entries.append(_describe(one, relative, label))
    return sorted(entries, key=lambda entry: entry.relative), ignored


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder or a link to one; what cannot be looked up is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino
