"""Find a set of shards at a path or address: by our index, or by one that is made of others' tar files."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
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
from reacgan.data.pack import logger
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
from reacgan.data.shards.places import NotThereError, fetch, is_address, joined, listed, stamp_of
from reacgan.files import cache_root, locked, not_kept, read_regular, scratch_folder, write_text

_CLASS_LISTS = ("classnames.txt", "classes.txt", "class_names.txt")
_BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}")
_MOST_SHARDS = 10**6
_ASKED_TOGETHER = 16
_SAID: set[str] = set()
"""Sets of whose servers a person has been told."""


class PlacedShards:
    """A set of shards: its index, where its files are, and the folder of its tables of members.

    ``kept`` has the tables themselves, by name, where they cannot be written anywhere.
    """

    def __init__(
        self,
        index: ShardIndex,
        base: str,
        where: str,
        tables: Path | None = None,
        kept: Mapping[str, bytes] | None = None,
    ) -> None:
        self.index, self.base, self.where, self.tables = index, base, where, tables
        self.kept = kept or {}

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
        if split.members in self.kept:
            content = np.frombuffer(self.kept[split.members], dtype=np.uint8)
            return members_of(content, split, split.members)
        if self.folder is not None or self.tables is not None:
            return _table((self.tables or Path(self.base)) / split.members, split)
        path = shards_folder() / "tables" / f"{split.members_sha256}.members"
        if path.exists():
            try:
                return _table(path, split)
            except DataError as error:
                logger.warning("%s: fetching the table of members again: %s", self.where, error)
        address, most = joined(self.base, split.members), split.images * ROW.itemsize
        fetch(address, path, sha256=split.members_sha256, most=most)
        return _table(path, split)

    def images(self, name: str) -> ShardFiles:
        """The files of the images of a split."""
        split = self.split(name)
        cache = None if self.folder is not None else ShardCache(self.base, self.index.digest[:32])
        return ShardFiles(split, self.rows(split), folder=self.folder, cache=cache)


def _table(path: Path, split: Split) -> npt.NDArray[Any]:
    try:
        if not path.is_file():
            raise OSError("missing")
        content = np.memmap(path, dtype=np.uint8, mode="r")
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not readable ({error}); the set is incomplete") from None
    return members_of(content, split, str(path))


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
    classes = _class_list(folder)
    named = cache_key("shards", base, list(names), classes, decoding_rules())
    if folder is None:
        key = _key_of_elsewhere(base, names, named, where)
    else:
        key = cache_key(named, *_stamps(folder, names))
    tables = shards_folder() / "indexes" / key
    opening = partial(_local, folder) if folder is not None else partial(_fetched, base)
    make = partial(make_index, names, opening, source=where, listed=classes)
    try:
        with locked(cache_root() / "locks" / f"{key}.lock", f"indexes the shards of {where}"):
            placed = _made_before(tables, base, where)
            placed = placed or PlacedShards(make(tables), base, where, tables)
            if folder is None:
                write_text(_latest(named), key)
            return placed
    except (OSError, NotImplementedError) as error:
        if folder is None or _is_below(folder, error):
            raise
        reason = error
    not_kept(
        tables.parent, reason, "the index of shards is kept in memory and made again next time"
    )
    temporary = Path(tempfile.mkdtemp(prefix="reacgan-"))
    try:
        index = make(temporary)
        tables_of = [part.members for part in index.splits.values()]
        kept = {name: (temporary / name).read_bytes() for name in tables_of}
    finally:
        if not any(temporary.glob("*.refused.txt")):  # which messages name
            shutil.rmtree(temporary)
    return PlacedShards(index, base, where, kept=kept)


def _made_before(tables: Path, base: str, where: str) -> PlacedShards | None:
    """What is in the cache, as far as it is whole."""
    file = tables / INDEX
    if not file.exists():
        return None
    try:
        placed = PlacedShards(parse_index(read_regular(file), str(file)), base, where, tables)
        for part in placed.index.splits.values():
            placed.rows(part)
    except (OSError, DataError) as error:
        logger.warning("%s: indexing again, since the index is unfit: %s", where, error)
        return None
    return placed


def _stamps(folder: Path, names: Sequence[str]) -> list[list[int]]:
    stamps = []
    for name in names:
        try:
            status = (folder / name).stat()
        except OSError as error:
            raise DataError(f"{folder / name}: not readable: {error.strerror}") from None
        stamps.append([status.st_size, status.st_mtime_ns])
    return stamps


def _key_of_elsewhere(base: str, names: Sequence[str], named: str, where: str) -> str:
    """By what the server says of the files now; the last one where it cannot be asked."""
    try:
        with ThreadPoolExecutor(_ASKED_TOGETHER) as pool:
            stamps = list(pool.map(stamp_of, [joined(base, name) for name in names]))
    except (OSError, DataError) as error:
        try:
            key = read_regular(_latest(named)).decode("ascii")
        except (OSError, ValueError):
            key = named
        if (
            re.fullmatch(r"[0-9a-f]{32}", key) is None
            or not (shards_folder() / "indexes" / key).is_dir()
        ):
            raise DataError(f"{where}: not reachable: {error}") from None
        logger.warning("%s: not reachable, the index made before is used (%s)", where, error)
        return key
    vague = [stamp for stamp in stamps if all(part.startswith("Content-Length") for part in stamp)]
    if vague and named not in _SAID:
        _SAID.add(named)
        logger.warning(
            "%s: the server does not say when files change (neither ETag nor Last-Modified): replaced "
            "ones are %s. Give a changed set another address",
            where,
            "known by their size alone" if all(stamps) else "not noticed",
        )
    return cache_key(named, *stamps)


def _latest(named: str) -> Path:
    return shards_folder() / "indexes" / f"{named}.latest"


def _is_below(folder: Path, error: BaseException) -> bool:
    """Whether an error is of the shards themselves."""
    name = getattr(error, "filename", None)
    return name is not None and Path(str(name)).is_relative_to(folder)


@contextmanager
def _local(folder: Path, name: str) -> Iterator[Path]:
    yield folder / name


@contextmanager
def _fetched(base: str, name: str) -> Iterator[Path]:
    """A shard of elsewhere for the time of the block."""
    # A folder of its own, which no other process takes for a copy of a shard that may go.
    with scratch_folder(shards_folder() / "indexes" / "incoming", ".incoming.") as temporary:
        path = temporary / "shard.tar"
        fetch(joined(base, name), path, sha256=None, most=limit_bytes())
        yield path


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
