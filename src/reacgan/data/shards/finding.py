"""Find a set of shards at a path or address: by our index, or by one that is made of others' tar files."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from reacgan.config import with_home
from reacgan.data.dataset import DataError, MissingSplitError
from reacgan.data.decode import decoding_rules
from reacgan.data.names import is_hidden, split_of
from reacgan.data.packed_cache import cache_key
from reacgan.data.shards.cache import ShardCache, limit_bytes, shards_folder
from reacgan.data.shards.images import ShardFiles
from reacgan.data.shards.index import (
    INDEX,
    KIND,
    MOST_INDEX_BYTES,
    ROW,
    ShardIndex,
    Split,
    members_of,
    parse_index,
)
from reacgan.data.shards.indexing import make_index
from reacgan.data.shards.places import NotThereError, fetch, is_address, joined, listed
from reacgan.files import cache_root, locked, read_regular

_CLASS_LISTS = ("classnames.txt", "classes.txt", "class_names.txt")
_BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}")
_MOST_SHARDS = 10**6


class PlacedShards:
    """A set of shards: its index, where its files are, and the folder of its tables of members."""

    def __init__(
        self, index: ShardIndex, base: str, where: str, tables: Path | None = None
    ) -> None:
        self.index, self.base, self.where, self.tables = index, base, where, tables

    @property
    def folder(self) -> Path | None:
        """The folder of the shards; None where they are elsewhere."""
        return None if is_address(self.base) else Path(self.base)

    def split(self, name: str) -> Split:
        """The shards of train or test.

        Raises:
            MissingSplitError: there is no test split.
        """
        if name not in self.index.splits:
            raise MissingSplitError(f"{self.where}: the shards have no {name} split")
        return self.index.splits[name]

    def rows(self, split: Split) -> npt.NDArray[Any]:
        """The table of members, mapped into memory.

        Raises:
            DataError: missing or damaged.
        """
        most = split.images * ROW.itemsize
        path = (self.tables or Path(self.base)) / split.members
        if self.folder is None and self.tables is None:
            path = shards_folder() / "tables" / f"{split.members_sha256}.members"
            if not path.exists():
                address = joined(self.base, split.members)
                fetch(address, path, sha256=split.members_sha256, most=most)
        try:
            if not path.is_file():
                raise OSError("missing")
            content = np.memmap(path, dtype=np.uint8, mode="r")
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: not readable ({error}); the set is incomplete") from None
        return members_of(content, split, str(path))

    def images(self, name: str) -> ShardFiles:
        """The files of the images of a split."""
        split = self.split(name)
        cache = None if self.folder is not None else ShardCache(self.base, self.index.digest[:32])
        return ShardFiles(split, self.rows(split), folder=self.folder, cache=cache)


def find_shards(path: str | None) -> PlacedShards:
    """The set of shards at a path or address, with its index.

    Raises:
        DataError: there is none, or it is damaged or unreachable.
    """
    if path is None:
        raise DataError(
            "data.path is missing; give the folder of the shards, or the address of their index.json"
        )
    text = with_home(path)
    if _BRACES.search(text) or text.partition("?")[0].endswith(".tar"):
        return _of_others(*_relative(_expanded(text)), where=text)
    if is_address(text):
        return _at_address(text)
    root = Path(text)
    file = root if root.name == INDEX else root / INDEX
    if not file.exists():
        names = _tars_below(root)
        if not names:
            raise DataError(
                f"{text}: no folder of shards: it has neither an {INDEX} nor tar files"
                if root.exists()
                else f"{text}: no such folder"
            )
        return _of_others(names, str(root), where=text)
    try:
        content = read_regular(file, most=MOST_INDEX_BYTES)
    except OSError as error:
        raise DataError(f"{file}: not readable: {error.strerror}") from None
    return PlacedShards(parse_index(content, str(file)), str(file.parent), str(file.parent))


def is_shards(text: str) -> bool:
    """Whether a path or address is that of a set of shards, by a look at names alone."""
    if is_address(text) or _BRACES.search(text):
        return True
    root = Path(text)
    if root.is_file():
        return root.name == INDEX and _is_ours(root)
    return _is_ours(root / INDEX) or bool(_tars_below(root))


def _is_ours(file: Path) -> bool:
    try:
        if not file.is_file():
            return False
        with file.open("rb") as opened:
            return KIND.encode() in opened.read(200)
    except OSError:
        return False


def _tars_below(root: Path) -> list[str]:
    """Tar files in a folder, or in folders of splits in it; none where it has other folders, too."""
    try:
        children = sorted(child for child in root.iterdir() if not is_hidden(child.name))
        folders = [child for child in children if child.is_dir()]
        if not all(split_of(folder.name)[0] for folder in folders):
            return []
        below = [child for folder in folders for child in sorted(folder.iterdir())]
    except OSError:
        return []
    tars = [path for path in (*children, *below) if path.suffix == ".tar" and path.is_file()]
    return [path.relative_to(root).as_posix() for path in tars]


def _at_address(address: str) -> PlacedShards:
    whole, mark, parameters = address.partition("?")
    if not whole.endswith(f"/{INDEX}"):
        try:
            return _at_address(f"{whole.rstrip('/')}/{INDEX}{mark}{parameters}")
        except NotThereError:
            return _of_others(*_relative(listed(address)), where=address)
    base = whole.removesuffix(f"/{INDEX}") + mark + parameters
    key = hashlib.sha256(base.encode()).hexdigest()[:16]
    file = shards_folder() / "tables" / f"{key}.{os.getpid()}.json"
    try:
        fetch(joined(base, INDEX), file, sha256=None, most=MOST_INDEX_BYTES)
        content = file.read_bytes()
    finally:
        file.unlink(missing_ok=True)
    return PlacedShards(parse_index(content, whole), base, base)


def _expanded(text: str) -> list[str]:
    """The names that a pattern like ``shard-{000000..000099}.tar`` stands for."""
    match = _BRACES.search(text)
    if match is None:
        return [text]
    first, last = int(match[1]), int(match[2])
    if not first <= last < first + _MOST_SHARDS:
        raise DataError(f"{text}: {match[0]} names no shards; needed: {{000000..000099}}")
    names = (f"{number:0{len(match[1])}d}" for number in range(first, last + 1))
    return [name for number in names for name in _expanded(text.replace(match[0], number, 1))]


def _relative(paths: Sequence[str]) -> tuple[list[str], str]:
    """The names of shards below the folder that holds all of them, and that folder."""
    if not paths:
        raise DataError("there is no tar file")
    whole, mark, parameters = paths[0].partition("?")
    scheme = whole[: whole.index("://") + 3] if is_address(whole) else ""
    plain = [path.partition("?")[0].removeprefix(scheme) for path in paths]
    base = os.path.commonpath([os.path.dirname(path) for path in plain])  # noqa: PTH120 - text
    names = [path.removeprefix(base).lstrip("/") for path in plain]
    return names, f"{scheme}{base or '.'}{mark}{parameters}"


def _of_others(names: Sequence[str], base: str, *, where: str) -> PlacedShards:
    """The set of tar files without an index of ours, which is made once and kept in the cache."""
    folder = None if is_address(base) else Path(base)
    stamps: list[Any] = [base, list(names), decoding_rules()]
    for name in names if folder is not None else ():
        assert folder is not None
        try:
            status = (folder / name).stat()
        except OSError as error:
            raise DataError(f"{folder / name}: not readable: {error.strerror}") from None
        stamps.append([status.st_size, status.st_mtime_ns])
    tables = shards_folder() / "indexes" / cache_key("shards", *stamps)
    opening = partial(_local, folder) if folder is not None else partial(_fetched, base)
    with locked(cache_root() / "locks" / f"{tables.name}.lock", f"indexes the shards of {where}"):
        try:
            index = parse_index(read_regular(tables / INDEX), str(tables / INDEX))
        except (OSError, DataError):
            index = make_index(names, opening, tables, source=where, listed=_class_list(folder))
    return PlacedShards(index, base, where, tables)


@contextmanager
def _local(folder: Path, name: str) -> Iterator[Path]:
    yield folder / name


@contextmanager
def _fetched(base: str, name: str) -> Iterator[Path]:
    """A shard of elsewhere for the time of the block."""
    path = shards_folder() / "indexes" / f"incoming.{os.getpid()}.tar"
    try:
        fetch(joined(base, name), path, sha256=None, most=limit_bytes())
        yield path
    finally:
        path.unlink(missing_ok=True)


def _class_list(folder: Path | None) -> list[str]:
    """Names of classes, one a line, in a file beside the shards, as on the Hugging Face hub."""
    for name in _CLASS_LISTS if folder is not None else ():
        assert folder is not None
        try:
            text = read_regular(folder / name, most=2**24).decode("utf-8")
        except (OSError, ValueError):
            continue
        return [line.strip() for line in text.splitlines()]
    return []
