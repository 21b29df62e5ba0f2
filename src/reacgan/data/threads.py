"""Process many files in order, in threads where that is faster."""

from __future__ import annotations

import os
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_TRIAL = 16
SLOW_SECONDS = 2e-4
"""Of one image, from which threads are worth it."""
_PIECE = 16


def ordered_map(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Result]:
    """Yield ``work(item)`` of every item in order, with a bounded number of pending items.

    Threads speed up large images and slow disks, since decoding and reading release the GIL. Small
    images spend most of their time in the interpreter, so threads slow them down. The first items are
    timed without threads to choose.
    """
    total = len(items)
    times: list[float] = []
    for item in items[:_TRIAL]:
        start = time.perf_counter()
        result = work(item)
        times.append(time.perf_counter() - start)
        yield result
    rest = items[_TRIAL:]
    slow = bool(rest) and statistics.median(times) > SLOW_SECONDS
    for done, result in enumerate(
        _in_threads(work, rest) if slow else map(work, rest), start=len(times) + 1
    ):
        yield result
        if progress is not None and done % 512 == 0 and done < total:
            progress(done, total)
    if progress is not None and total:
        progress(total, total)


def _in_threads(work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    threads = min(32, 2 * usable_cores())
    pending: deque[Future[list[Result]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for start in range(0, len(items), _PIECE):
                piece = items[start : start + _PIECE]
                pending.append(pool.submit(lambda piece: list(map(work, piece)), piece))
                if len(pending) >= 2 * threads:
                    yield from pending.popleft().result()
            while pending:
                yield from pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def usable_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
