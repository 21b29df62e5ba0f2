"""Shards of elsewhere on this disk: a bounded number of bytes, the least recently used go first."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from reacgan.data.dataset import DataError
from reacgan.data.shards.index import Shard
from reacgan.data.shards.places import INCOMING, always, check_wanted, fetch, joined
from reacgan.files import cache_root, is_free, locked, naming

LIMIT_VARIABLE = "REACGAN_SHARDS_GB"
DEFAULT_GB = 20.0
_ROOM = ".room"
_PAUSE_SECONDS = 0.02

logger = logging.getLogger("reacgan.data")


def shards_folder() -> Path:
    """``$REACGAN_CACHE/shards``; may be deleted at any time that nothing trains."""
    return cache_root() / "shards"


def limit_bytes() -> int:
    """Bytes of shards that are kept: ``$REACGAN_SHARDS_GB``, by default 20 GB.

    Raises:
        DataError: no positive number.
    """
    text = os.environ.get(LIMIT_VARIABLE) or str(DEFAULT_GB)
    try:
        limit = float(text) * 1e9
    except ValueError:
        limit = 0.0
    if not 1 <= limit < 1e18:
        raise DataError(f"{LIMIT_VARIABLE} is {text!r}; needed: a number of gigabytes, such as 20")
    return int(limit)


@dataclass(frozen=True)
class ShardCache:
    """Local copies of the shards of one set.

    Args:
        base: the address of the folder of the index.
        key: names the set here.
    """

    base: str
    key: str

    def path_of(self, shard: Shard) -> Path:
        """Where the copy of a shard is, or will be: by content, so that a changed one is another."""
        return shards_folder() / self.key / f"{shard.sha256[:32]}.tar"

    def address(self, shard: Shard) -> str:
        """Where a shard comes from."""
        return joined(self.base, shard.file)

    def has(self, shard: Shard) -> bool:
        """Whether it is here."""
        return self.path_of(shard).exists()

    def touch(self, shard: Shard) -> None:
        """Note that a shard is in use."""
        now = time.time_ns()  # the system's own stamps are of whole ticks
        with suppress(OSError):
            os.utime(self.path_of(shard), ns=(now, now))

    def get(self, shard: Shard, wanted: Callable[[], bool] = always) -> Path:
        """The copy of a shard, fetched now if it is missing; of several processes one fetches.

        Args:
            shard: which.
            wanted: whether to go on; asked often.

        Raises:
            DataError: unreachable, damaged, larger than all that may be kept, or no longer wanted.
        """
        path = self.path_of(shard)
        if path.exists():
            self.touch(shard)
            return path
        with locked(_lock_of(path), f"fetches {shard.file}"):
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                room = path.with_name(f"{path.name}{_ROOM}")
                try:
                    self._make_room(shard, room, wanted)
                    fetch(
                        self.address(shard),
                        path,
                        sha256=shard.sha256,
                        most=shard.bytes,
                        wanted=wanted,
                    )
                finally:
                    room.unlink(missing_ok=True)
        self.touch(shard)
        return path

    def drop(self, shard: Shard) -> None:
        """Forget a copy, which is fetched again when it is needed."""
        self.path_of(shard).unlink(missing_ok=True)

    def _make_room(self, shard: Shard, room: Path, wanted: Callable[[], bool]) -> None:
        """Wait until a shard fits beside those that are being fetched."""
        limit = limit_bytes()
        if shard.bytes > limit:
            raise DataError(
                f"{shard.file}: {shard.bytes:,} bytes, more than the {limit:,} bytes of shards that are "
                f"kept; set {LIMIT_VARIABLE} to more"
            )
        room.unlink(missing_ok=True)
        while not self._has_room(shard, room, limit):
            check_wanted(shard.file, wanted)
            time.sleep(_PAUSE_SECONDS)

    def _has_room(self, shard: Shard, room: Path, limit: int) -> bool:
        """Delete shards that were not used for longest, of any set, until this one fits; whether it does.

        A file that a process still reads stays readable for it. ``room`` stands for the shard in the count
        of others until it has been fetched.
        """
        with locked(cache_root() / "locks" / "shards.lock", "makes room for shards"):
            used, kept = _bytes_coming(), []
            for path in shards_folder().glob("*/*.tar"):
                with suppress(OSError):
                    status = path.stat()
                    kept.append((status.st_mtime_ns, status.st_size, path))
                    used += status.st_size
            for _, size, path in sorted(kept):
                if used + shard.bytes <= limit:
                    break
                path.unlink(missing_ok=True)
                used -= size
            if used + shard.bytes > limit:
                return False
            with naming(room), room.open("wb") as file:
                file.truncate(shard.bytes)  # takes no blocks
            return True


def _bytes_coming() -> int:
    """Bytes that other processes fetch now; what a killed one has left is removed."""
    used = 0
    for room in shards_folder().glob(f"*/*{_ROOM}"):
        path = room.with_name(room.name.removesuffix(_ROOM))
        if is_free(_lock_of(path)):
            room.unlink(missing_ok=True)
            for incoming in path.parent.glob(f"{path.name}{INCOMING}*"):
                incoming.unlink(missing_ok=True)
            continue
        with suppress(OSError):
            used += 0 if path.exists() else room.stat().st_size
    return used


def _lock_of(path: Path) -> Path:
    return cache_root() / "locks" / f"shard-{path.stem}.lock"
