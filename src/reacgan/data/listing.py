"""List the files of a folder with their classes, by names alone: no file is opened."""

from __future__ import annotations

import codecs
import difflib
import os
import stat
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from reacgan.data.dataset import DataError, MissingSplitError
from reacgan.data.layout import Decision, Tree, decide
from reacgan.data.names import (
    BESIDE_SUFFIXES,
    IMAGE_SUFFIXES,
    TABLE_SUFFIXES,
    class_name_of,
    is_hidden,
    is_small_copies,
    not_an_image,
    plural,
    shown,
    suffix_of,
)
from reacgan.files import read_regular

_MOST_BYTES = 512 * 2**20
"""Of a table, which is read as a whole."""
NO_CLASS = "images"
"""The class of unlabelled images, such as samples of other generators."""

Identity = tuple[int, int]
"""Device and number of a real folder."""


@dataclass(frozen=True)
class Entry:
    """A file and its class; ``problem`` is the reason not to open it.

    ``box`` is the part to crop, (left, top, width, height) in pixels; None for all. ``ctime_ns`` is the
    time of the last change by the system, which programs cannot set, unlike ``mtime_ns``.
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
    table: Path | None = None
    """The table that names the files, where one was given instead of a folder."""

    @property
    def source(self) -> Path:
        """Where the images come from, for messages: the table, or the folder."""
        return self.table or self.root


def parts_up_to(split: str) -> tuple[str, ...]:
    """The splits to list for one: test has the classes of train."""
    return ("train",) if split == "train" else ("train", "test")


def read_text(path: Path, *, may_be_wide: bool = False, encoding: str | None = None) -> str:
    """A text file in UTF-8, or, with ``may_be_wide``, in UTF-16 with a byte order mark.

    Args:
        path: the file.
        may_be_wide: whether it may be in UTF-16, or in another encoding that the user names.
        encoding: that name, of Python's, such as cp1252.

    Raises:
        DataError: not readable, or another encoding.
    """
    try:
        content = read_regular(path, most=_MOST_BYTES)
        if encoding is not None:
            return content.decode(encoding).removeprefix("\ufeff")
        wide = may_be_wide and content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        return content.decode("utf-16" if wide else "utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: not readable: {error}") from None
    except LookupError:
        raise DataError(
            f"{path}: data.options.encoding is {encoding!r}; allowed: a name that Python knows, such as "
            "cp1252 (Western Europe), cp1250 (Central Europe), cp1251 (Cyrillic), shift_jis, gb18030"
        ) from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: {_undecodable(error, may_be_wide=may_be_wide)}") from None
    except ValueError as error:  # some encodings, such as idna, say no more
        raise DataError(f"{path}: not readable as {encoding}: {error}") from None


def _undecodable(error: UnicodeDecodeError, *, may_be_wide: bool) -> str:
    """Where a text is not in its encoding, and what to do."""
    line = error.object[: error.start].count(b"\n") + 1
    before = error.object[: error.start][-8:].rpartition(b"\n")[2]
    after = error.object[error.start :][:8].splitlines()[0]
    around = (before + after).decode("ascii", "replace")
    text = (
        f"not readable as {error.encoding}, line {line}, near {around!r}; save it as UTF-8 (in Excel: "
        "save as 'CSV UTF-8')"
    )
    named = ", or name its encoding, such as --set data.options.encoding=cp1252"
    return text + named * may_be_wide


def read_lines(path: Path) -> list[str]:
    """The non-empty lines of a text file; raises DataError where it is not readable."""
    return [line for line in read_text(path).replace("\r\n", "\n").split("\n") if line.strip()]


def folders(path: Path) -> list[Path]:
    """Visible sub-folders, links followed, sorted by code point."""
    return [path / name for name in sorted(entry.name for entry, is_dir in _look(path) if is_dir)]


def list_class_folders(root: Path, split: str) -> list[Listing]:
    """The class folders below a root: train, and test if requested.

    Raises:
        DataError: no such folder, no class folders, ambiguous ones, or no test split.
    """
    return list_decided(root, decide(read_tree(root)), split)


def list_decided(root: Path, decision: Decision, split: str) -> list[Listing]:
    """As :func:`list_class_folders`, with a known layout.

    Raises:
        DataError: likewise.
    """
    if decision.train is None:
        raise DataError(explain(root, decision))
    if split == "test" and decision.test is None:
        if decision.unused_test:
            raise DataError(f"{root}: {decision.unused_test}")
        raise MissingSplitError(
            f"{root}: has no test split; put held-out images in test/<class>/ beside train/<class>/"
        )
    ways = {"train": decision.train, "test": decision.test or ()}
    return [
        list_classes(root.joinpath(*ways[part]), part, decision.notes)
        for part in parts_up_to(split)
    ]


def list_classes(folder: Path, split: str = "train", notes: tuple[str, ...] = ()) -> Listing:
    """The files of class folders, sorted by code point, without opening any.

    Companion files of images (.txt, .json, .xml, ...) are counted, not refused.
    """
    class_folders = folders(folder)
    names = sorted({class_name_of(path.name) for path in class_folders})
    entries: list[Entry] = []
    beside: Counter[str] = Counter()
    ignored = 0
    for path in class_folders:
        label = names.index(class_name_of(path.name))
        files, skipped = walk_folder(path, folder, label=label, beside=beside)
        entries.extend(files)
        ignored += skipped
    known = {path.name for path in class_folders}
    for loose in sorted(folder.iterdir(), key=lambda path: path.name):
        if loose.name in known or is_hidden(loose.name) or loose.is_dir():
            continue
        if loose.suffix.lower() in IMAGE_SUFFIXES:
            entries.append(Entry(loose.name, label=-1, problem="outside the class folders"))
        else:
            ignored += 1
    if len(names) < len(class_folders):
        often = Counter(class_name_of(path.name) for path in class_folders)
        twice = [name for name in names if often[name] > 1]
        notes += (f"folders of one name in two Unicode forms are one class: {shown(twice)}",)
    notes += _beside_note(beside)
    return Listing(folder, split, tuple(names), tuple(entries), ignored, notes)


def is_flat(path: str | Path) -> bool:
    """Whether a folder holds files, and no visible sub-folder holds an image."""
    root = Path(path)
    if not root.is_dir() or not any(child.is_file() for child in root.iterdir()):
        return False
    return all(next(image_names(folder), None) is None for folder in folders(root))


def list_flat(path: str | Path) -> Listing:
    """Every image of a folder, as one class.

    Raises:
        DataError: not a folder.
    """
    root = Path(path)
    if not root.is_dir():
        raise DataError(f"{root}: no such folder")
    beside: Counter[str] = Counter()
    entries, ignored = walk_folder(root, root, label=0, beside=beside)
    return Listing(root, "train", (NO_CLASS,), tuple(entries), ignored, _beside_note(beside))


def _beside_note(beside: Mapping[str, int]) -> tuple[str, ...]:
    """A note with the count of companion files."""
    if not beside:
        return ()
    ordered = sorted(beside.items(), key=lambda pair: (-pair[1], pair[0]))
    kinds = shown([f"{count:,} {suffix}" for suffix, count in ordered], 8)
    return (f"{plural(sum(beside.values()), 'file')} beside the images ignored: {kinds}",)


def describe_file(
    path: Path | os.DirEntry[str],
    relative: str,
    label: int,
    box: tuple[float, float, float, float] | None = None,
) -> Entry:
    """Stat a file without opening it (a pipe would block, a device never end)."""
    try:
        status = path.stat()
    except OSError as error:
        broken = "broken link" if os.path.islink(path) else f"not readable: {error.strerror}"  # noqa: PTH114 - which never raises
        return Entry(relative, label, problem=broken)
    suffix = suffix_of(path.name)
    problem = ""
    if not stat.S_ISREG(status.st_mode):
        problem = "not a regular file"
    elif suffix not in IMAGE_SUFFIXES:
        problem = not_an_image(suffix)
    elif status.st_size == 0:
        problem = "empty file"
    times = status.st_mtime_ns, status.st_ctime_ns
    return Entry(relative, label, status.st_size, times[0], problem, box, ctime_ns=times[1])


def walk_folder(
    class_folder: Path, root: Path, *, label: int, beside: Counter[str] | None = None
) -> tuple[list[Entry], int]:
    """Every file below a class folder, sorted, and the number of ignored ones.

    Each real folder is visited once, so that loops of links end. Companion files are counted in
    ``beside`` by extension.
    """
    beside = Counter() if beside is None else beside
    above = root.resolve().parents if class_folder == root else (root, *root.resolve().parents)
    seen = {_identity(folder) for folder in above}
    pending, entries, ignored = [class_folder], [], 0
    while pending:
        folder = pending.pop()
        prefix = folder.relative_to(root).as_posix()
        try:
            identity = _identity(folder)
            with os.scandir(folder) as listed:  # gives file types without further calls
                children = list(listed)
        except OSError as error:
            entries.append(Entry(prefix, label, problem=f"not readable: {error.strerror}"))
            continue
        if identity in seen:
            ignored += 1
            continue
        seen.add(identity)
        holds_images = any(suffix_of(child.name) in IMAGE_SUFFIXES for child in children)
        for child in children:
            is_dir = _is_folder(child)
            if is_hidden(child.name):
                ignored += 1
            elif is_dir and holds_images and is_small_copies(child.name):
                beside[f"folder {child.name}"] += 1
            elif is_dir:
                pending.append(folder / child.name)
            elif suffix_of(child.name) in BESIDE_SUFFIXES:
                beside[suffix_of(child.name)] += 1
            else:
                relative = child.name if prefix == "." else f"{prefix}/{child.name}"
                entries.append(describe_file(child, relative, label))
    return sorted(entries, key=lambda entry: entry.relative), ignored


def explain(root: Path, decision: Decision) -> str:
    """A decision's problem with candidate paths, or with the required layout."""
    if decision.choices:
        paths = " or ".join(str(root.joinpath(*way)) for way in decision.choices[:6])
        return f"{root}: {decision.problem}. Give {paths}"
    return (
        f"{root}: {decision.problem}. Needed: one sub-folder a class, such as "
        f"{root / 'cat' / '1.png'} and {root / 'dog' / '1.png'} (or the same below train/ and test/), "
        "one sub-folder for all if they are one class, "
        "or a table of files and classes (.csv, .jsonl)"
    )


def read_tree(root: Path) -> Tree:
    """The folder and all below it, links followed, each real folder once.

    Raises:
        DataError: no such folder, a file, or not readable.
    """
    if not root.exists():
        raise DataError(f"{root}: no such folder{_nearest(root)}")
    if not root.is_dir():
        raise DataError(
            f"{root}: a file, needed: a folder with one sub-folder a class, a table (.csv, .tsv, .jsonl), "
            f"or a packed file of `reacgan data prepare`{_remedy(root.suffix.lower())}"
        )
    try:
        os.scandir(root).close()
    except OSError as error:
        raise DataError(f"{root}: not readable: {error.strerror}") from None
    return _tree_of(root, "", _above(root))


def _remedy(suffix: str) -> str:
    """What to do with a file of a kind that is not read."""
    if suffix in (".xlsx", ".xls", ".ods", ".numbers"):
        return "; save the spreadsheet as CSV (in Excel: 'CSV UTF-8')"
    if suffix in (".parquet", ".arrow", ".feather"):
        return "; save the table as CSV or JSON lines, its pictures as files"
    return " (unpack archives such as .zip or .tar first)"


def _nearest(missing: Path) -> str:
    """What of a path is there, and a name like the one that is not."""
    above = missing.absolute()
    while not above.parent.is_dir():
        above = above.parent
    try:
        known = [path.name for path in folders(above.parent)]
    except OSError:
        known = []
    close = difflib.get_close_matches(above.name, known, n=1)
    where = f"; {above.parent} holds no {above.name!r}"
    if close:
        return f"{where}; did you mean {str(above.with_name(close[0]))!r}?"
    return f"{where}. Data sets by name: reacgan data list"


def _tree_of(path: Path, name: str, above: frozenset[Identity]) -> Tree:
    files, below, readable = _contents(path, above)
    images = [file for file in files if suffix_of(file) in IMAGE_SUFFIXES]
    tables = sorted(file for file in files if suffix_of(file) in TABLE_SUFFIXES)
    if tables:  # one beside an image of the same name says something of that image
        stems = {Path(image).stem for image in images}
        tables = [file for file in tables if Path(file).stem not in stems]
    trees = [_tree_of(path / child, child, above | {identity}) for child, identity in below]
    return Tree(name, len(images), tuple(trees), tuple(tables), readable)


def image_names(root: Path) -> Iterator[str]:
    """Every image's path below a folder, with slashes, without hidden files and thumbnails."""
    pending = [(root, "", _above(root))]
    while pending:
        path, prefix, above = pending.pop()
        files, below, _ = _contents(path, above)
        yield from (
            f"{prefix}{file}" for file in sorted(files) if suffix_of(file) in IMAGE_SUFFIXES
        )
        pending += [
            (path / child, f"{prefix}{child}/", above | {identity})
            for child, identity in reversed(below)
        ]


def _contents(
    path: Path, above: frozenset[Identity]
) -> tuple[list[str], list[tuple[str, Identity]], bool]:
    """Names of files, sorted folders that are no loops, and whether it is readable.

    Folders of thumbnails beside images are left out.
    """
    try:
        children = _look(path)
    except OSError:
        return [], [], False
    files = [child.name for child, is_dir in children if is_dir is False]
    holds_images = any(suffix_of(file) in IMAGE_SUFFIXES for file in files)
    below = []
    for child in sorted(child.name for child, is_dir in children if is_dir):
        try:
            identity = _identity(path / child)
        except OSError:
            continue
        if identity not in above and not (holds_images and is_small_copies(child)):
            below.append((child, identity))
    return files, below, True


def _look(path: Path) -> list[tuple[os.DirEntry[str], bool | None]]:
    """Visible entries and whether each is a folder or a link to one; None if unknown."""
    with os.scandir(path) as listed:
        return [(entry, _is_folder(entry)) for entry in listed if not is_hidden(entry.name)]


def _is_folder(entry: os.DirEntry[str]) -> bool | None:
    try:
        return entry.is_dir()
    except OSError:
        return None


def _above(root: Path) -> frozenset[Identity]:
    """The folder and its parents; links to one of them are loops."""
    return frozenset(map(_identity, (root, *root.resolve().parents)))


def _identity(path: Path) -> Identity:
    status = path.stat()
    return status.st_dev, status.st_ino
