"""Work on many files in order, in threads where that is faster."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_TRIAL = 128
_SLOW_SECONDS = 2e-4
_PIECE = 16


def ordered_map(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Result]:
    """Yield ``work(item)`` of every item in order, with a bounded number under way.

    Small images take some tens of microseconds, and there threads only fight for the interpreter
    (measured: 17,500 images/s of 32 px with one, 11,900 with two). Large ones and slow disks gain.
    So the first items are timed alone, and threads start only where one takes long.
    """
    total = len(items)
    spent: list[float] = []
    for done, item in enumerate(items[:_TRIAL], start=1):
        start = time.perf_counter()
        result = work(item)
        spent.append(time.perf_counter() - start)
        yield result
        if progress is not None and done == total:
            progress(done, total)
    rest = items[_TRIAL:]
    slow = bool(spent) and statistics.median(spent) > _SLOW_SECONDS
    done = total - len(rest)
    for results in _pieces(work, rest, threads=_threads() if slow else 1):
        yield from results
        before, done = done, done + len(results)
        if progress is not None and (done // 512 > before // 512 or done == total):
            progress(done, total)


def _pieces(
    work: Callable[[Item], Result], items: Sequence[Item], *, threads: int
) -> Iterator[list[Result]]:
    pieces = [items[place : place + _PIECE] for place in range(0, len(items), _PIECE)]

    def run(piece: Sequence[Item]) -> list[Result]:
        return [work(item) for item in piece]

    if threads == 1:
        yield from map(run, pieces)
        return
    window = 4 * threads
    with ThreadPoolExecutor(threads) as pool:
        for place in range(0, len(pieces), window):
            yield from pool.map(run, pieces[place : place + window])


def _threads() -> int:
    return min(32, 2 * (os.cpu_count() or 1))
