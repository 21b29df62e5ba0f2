"""Which files belong to which class, decided from names alone: nothing is opened here."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from reacgan.data.dataset import DataError

IMAGE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".dib", ".tif", ".tiff"} | {".npy"}
)
TRAIN_NAMES = ("train", "training")
TEST_NAMES = ("test", "testing", "val", "valid", "validation")

_IGNORED_NAMES = frozenset({"thumbs.db", "desktop.ini", "__macosx"})


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


@dataclass(frozen=True)
class Layout:
    """Where the class folders of each split are; ``test`` is None where none is held out."""

    root: Path
    train: Path
    test: Path | None
    notes: tuple[str, ...] = field(default=())


def is_hidden(name: str) -> bool:
    """Whether a name is one that systems leave behind, such as ``.DS_Store`` or ``Thumbs.db``."""
    return name.startswith(".") or name.casefold() in _IGNORED_NAMES


def readable_name(name: str) -> str:
    """The name with bytes that are not UTF-8 replaced, so that it can be stored and printed."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def unique_names(names: Sequence[str], tags: Sequence[str]) -> tuple[str, ...]:
    """The names, each with its tag in brackets where two classes share the name."""
    often = Counter(names)
    return tuple(
        name if often[name] == 1 else f"{name} ({tag})"
        for name, tag in zip(names, tags, strict=True)
    )


def read_lines(path: Path) -> list[str]:
    """The lines of a text file that hold something; raises DataError where it is not readable."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not readable: {error}") from None
    return [line for line in text.split("\n") if line.strip()]


def folders(path: Path) -> list[Path]:
    """Visible sub-folders, links followed, sorted by code point."""
    with os.scandir(path) as listed:
        names = [one.name for one in listed if not is_hidden(one.name) and _is_folder(one)]
    return [path / name for name in sorted(names)]


def find_layout(path: str | Path) -> Layout:
    """Find the class folders: ``PATH/<class>/...``, or ``PATH/train/<class>/...`` with a test part.

    The second form is taken where a folder called train (training) holds folders itself and
    either one called test (testing, val, valid, validation) does too or it stands alone.

    Raises:
        DataError: no such folder, or no class folders in it.
    """
    root = Path(path)
    if not root.exists():
        raise DataError(f"{root}: no such folder")
    if not root.is_dir():
        raise DataError(
            f"{root}: a file, needed: a folder with one sub-folder a class, or a packed file that "
            "`reacgan data prepare` wrote (an archive such as .zip or .tar is unpacked first)"
        )
    try:
        below = folders(root)
        nested = {one.name.casefold(): one for one in below if _holds_folders(one)}
    except OSError as error:
        raise DataError(f"{root}: not readable: {error.strerror}") from None
    train = next((nested[name] for name in TRAIN_NAMES if name in nested), None)
    tests = [nested[name] for name in TEST_NAMES if name in nested]
    if train is not None and (tests or len(below) == 1):
        unused = [one.name for one in below if one != train and one not in tests[:1]]
        notes = (f"folders beside the split are not read: {', '.join(unused)}",) if unused else ()
        return Layout(root, train, tests[0] if tests else None, notes)
    if not below:
        raise DataError(_no_classes(root))
    return Layout(root, root, None)


def list_split(layout: Layout, split: str) -> Listing:
    """List the files of a split, sorted by code point, without opening any.

    Raises:
        DataError: the split is ``test`` and the layout has none.
    """
    folder = layout.train if split == "train" else layout.test
    if folder is None:
        raise DataError(
            f"{layout.root}: has no test split; put held-out images in test/<class>/ beside "
            "train/<class>/"
        )
    class_folders = folders(folder)
    entries: list[Entry] = []
    ignored = 0
    for label, class_folder in enumerate(class_folders):
        found, skipped = walk_folder(class_folder, folder, label=label)
        entries.extend(found)
        ignored += skipped
    known = {one.name for one in class_folders}
    for loose in sorted(folder.iterdir(), key=lambda one: one.name):
        if loose.name in known or is_hidden(loose.name) or loose.is_dir():
            continue
        if loose.suffix.lower() in IMAGE_SUFFIXES:
            entries.append(Entry(loose.name, label=-1, problem="outside the class folders"))
        else:
            ignored += 1
    names = tuple(readable_name(one.name) for one in class_folders)
    return Listing(folder, split, names, tuple(entries), ignored, layout.notes)


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
    suffix = _suffix(path.name)
    problem = ""
    if not stat.S_ISREG(status.st_mode):
        problem = "not a regular file"
    elif suffix not in IMAGE_SUFFIXES:
        problem = f"not an image's extension ({suffix or 'none'})"
    elif status.st_size == 0:
        problem = "empty file"
    times = status.st_mtime_ns, status.st_ctime_ns
    return Entry(relative, label, status.st_size, times[0], problem, box, ctime_ns=times[1])


def walk_folder(class_folder: Path, root: Path, *, label: int) -> tuple[list[Entry], int]:
    """Every file below a class folder, sorted, and how many were ignored.

    Each real folder is visited once, so that loops of links end.
    """
    above = root.resolve().parents if class_folder == root else (root, *root.resolve().parents)
    seen = {_identity(one) for one in above}
    pending, entries, ignored = [class_folder], [], 0
    while pending:
        folder = pending.pop()
        try:
            identity = _identity(folder)
            with os.scandir(folder) as listed:  # what is a folder is known without asking again
                found = list(listed)
        except OSError as error:
            relative = folder.relative_to(root).as_posix()
            entries.append(Entry(relative, label, problem=f"not readable: {error.strerror}"))
            continue
        if identity in seen:
            ignored += 1
            continue
        seen.add(identity)
        prefix = folder.relative_to(root).as_posix()
        for one in found:
            if is_hidden(one.name):
                ignored += 1
            elif _is_folder(one):
                pending.append(folder / one.name)
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


def _holds_folders(path: Path) -> bool:
    with os.scandir(path) as listed:
        return any(_is_folder(one) and not is_hidden(one.name) for one in listed)


def _suffix(name: str) -> str:
    """The extension in lower case, with its dot; a dot at either end makes none."""
    place = name.rfind(".")
    return name[place:].lower() if 0 < place < len(name) - 1 else ""


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _no_classes(root: Path) -> str:
    files = [one.name for one in root.iterdir() if not is_hidden(one.name)]
    images = sum(Path(name).suffix.lower() in IMAGE_SUFFIXES for name in files)
    found = f"{images} images and {len(files) - images} other files directly in it" if files else ""
    return (
        f"{root}: no class folders; found {found or 'nothing'}. Needed: one sub-folder a class, "
        f"such as {root / 'cat' / '1.png'} and {root / 'dog' / '1.png'} (or the same below train/ "
        "and test/)"
    )
