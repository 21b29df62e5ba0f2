"""Orders of images as pure functions of (seed, stream, number), the same in every numpy.

One of them balances the classes; :class:`Balance` measures whether a set needs it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np
import numpy.typing as npt

LARGE_RATIO = 3.0
"""Ratio of largest to smallest class from which balancing is advised."""

_BLOCK = 4096


def random_words(seed: int, stream: str, number: int, *, count: int) -> npt.NDArray[np.uint64]:
    """Raw 64-bit words of a Philox generator, uint64 ``[count]``."""
    from reacgan.randomness import derive_seed  # noqa: PLC0415 - imports torch

    return np.random.Philox(derive_seed(seed, stream, number)).random_raw(count)


def order_of(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """The stable order of the words, int64 ``[count]``.

    Distinct words have one order, so numpy's fastest sort is used (a fifth of the stable sort's time for
    a million), and the stable sort only for words with duplicates.
    """
    order = np.argsort(words)
    placed = words[order]
    if (placed[1:] == placed[:-1]).any():
        order = np.argsort(words, kind="stable")
    return order.astype(np.int64, copy=False)


class BalancedOrder:
    """The image at each position of a run with balanced classes.

    Positions are divided into rounds with one image of each class. The classes of a round are
    permuted by (seed, round). In round r class c, with n_c images, shows image ``r mod n_c`` of the
    permutation of its epoch ``r div n_c``, which depends on (seed, class, epoch): no image of a class
    repeats before all have been shown. In any interval of positions the counts of two classes differ
    by at most 2, and by 0 in whole rounds. Classes without images are left out.
    """

    def __init__(self, labels: npt.NDArray[np.int64], *, seed: int) -> None:
        self.seed = seed
        counts = np.bincount(labels)
        self.classes = np.flatnonzero(counts)
        self._counts = counts[self.classes].astype(np.int64)
        by_class = np.argsort(labels, kind="stable").astype(np.int64, copy=False)
        self._members = np.split(by_class, np.cumsum(self._counts)[:-1])
        self._rounds = max(1, _BLOCK // len(self.classes))
        self._blocks: dict[int, npt.NDArray[np.int64]] = {}
        self._epochs: list[dict[int, npt.NDArray[np.int64]]] = [{} for _ in self.classes]

    def at(self, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The images at these positions, int64 ``[n]``."""
        rounds, places = np.divmod(positions, len(self.classes))
        turns = np.empty(len(positions), dtype=np.int64)
        blocks = rounds // self._rounds
        for block in np.unique(blocks):
            here = np.flatnonzero(blocks == block)
            turns[here] = self._block(int(block))[rounds[here] % self._rounds, places[here]]
        epochs, offsets = np.divmod(rounds, self._counts[turns])
        order = np.lexsort((epochs, turns))
        changes = np.diff(turns[order]).astype(bool) | np.diff(epochs[order]).astype(bool)
        images = np.empty(len(positions), dtype=np.int64)
        for group in np.split(order, np.flatnonzero(changes) + 1):
            turn, epoch = int(turns[group[0]]), int(epochs[group[0]])
            images[group] = self._epoch(turn, epoch)[offsets[group]]
        return images

    def _block(self, block: int) -> npt.NDArray[np.int64]:
        """The classes of several rounds: ``[rounds, classes]``."""
        if block not in self._blocks:
            self._blocks = {b: kept for b, kept in self._blocks.items() if b == block - 1}
            size = (self._rounds, len(self.classes))
            drawn = random_words(self.seed, "data/classes", block, count=size[0] * size[1])
            order = np.argsort(drawn.reshape(size), axis=1, kind="stable")
            self._blocks[block] = order.astype(np.int64, copy=False)
        return self._blocks[block]

    def _epoch(self, turn: int, epoch: int) -> npt.NDArray[np.int64]:
        """The images of a class in the order of one of its epochs."""
        members = self._members[turn]
        if len(members) == 1:
            return members
        orders = self._epochs[turn]
        if epoch not in orders:
            for old in [e for e in orders if e != epoch - 1]:
                del orders[old]
            stream = f"data/class/{self.classes[turn]}"
            words = random_words(self.seed, stream, epoch, count=len(members))
            orders[epoch] = members[order_of(words)]
        return orders[epoch]


class WindowedOrder:
    """The image at each position of a run over shards, which are opened a few at a time.

    An epoch shows every image once. Its shards are permuted by (seed, epoch) and taken in windows of
    ``window`` shards; the images of a window are permuted by (seed, epoch, window). So a batch is of at
    most two windows, and neither a reader nor a run that resumes has to remember anything.

    Args:
        sizes: images of each shard; image indices count through the shards.
        window: shards of a window.
        seed: the run's seed.
    """

    def __init__(self, sizes: Sequence[int], *, window: int, seed: int) -> None:
        self.seed, self.window = seed, window
        self._sizes = np.array(sizes, dtype=np.int64)
        self._starts = np.cumsum(self._sizes) - self._sizes
        self._total = int(self._sizes.sum())
        self._plans: dict[int, tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]] = {}
        self._windows: dict[tuple[int, int], npt.NDArray[np.int64]] = {}
        self._lock = Lock()  # batches are read ahead by a thread

    def at(self, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The images at these positions, int64 ``[n]``."""
        images = np.empty(len(positions), dtype=np.int64)
        with self._lock:
            epochs, offsets = np.divmod(positions, self._total)
            for epoch in np.unique(epochs):
                in_epoch = np.flatnonzero(epochs == epoch)
                _, ends = self._plan(int(epoch))
                windows = np.searchsorted(ends, offsets[in_epoch], side="right")
                for window in np.unique(windows):
                    here = in_epoch[windows == window]
                    start = int(ends[window - 1]) if window else 0
                    images[here] = self._images(int(epoch), int(window))[offsets[here] - start]
        return images

    def shards_from(self, position: int) -> tuple[list[int], list[int]]:
        """The shards of the window at a position, and those of the next one."""
        epoch, offset = divmod(position, self._total)
        with self._lock:
            shards, ends = self._plan(epoch)
            window = int(np.searchsorted(ends, offset, side="right"))
            begin = window * self.window
            here = shards[begin : begin + self.window]
            following = shards[begin + self.window : begin + 2 * self.window]
            if not len(following):
                following = self._plan(epoch + 1)[0][: self.window]
            return here.tolist(), following.tolist()

    def _plan(self, epoch: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The shards of an epoch in their order, and the position at which each window ends."""
        if epoch not in self._plans:
            self._plans = {e: plan for e, plan in self._plans.items() if abs(e - epoch) == 1}
            words = random_words(self.seed, "data/shards", epoch, count=len(self._sizes))
            shards = order_of(words)
            firsts = np.arange(0, len(shards), self.window)
            ends = np.cumsum(np.add.reduceat(self._sizes[shards], firsts))
            self._plans[epoch] = shards, ends
        return self._plans[epoch]

    def _images(self, epoch: int, window: int) -> npt.NDArray[np.int64]:
        """The images of a window in their order."""
        key = epoch, window
        if key not in self._windows:
            begin = window * self.window
            shards = self._plan(epoch)[0][begin : begin + self.window]
            images = np.concatenate(
                [self._starts[shard] + np.arange(self._sizes[shard]) for shard in shards]
            )
            words = random_words(self.seed, f"data/shards/{epoch}", window, count=len(images))
            for old in list(self._windows)[:-1]:  # a batch may be of two
                del self._windows[old]
            self._windows[key] = images[order_of(words)]
        return self._windows[key]


def apportion(total: int, shares: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """``total`` in whole numbers by these shares, largest remainders first: equal shares differ by 1.

    Args:
        total: the sum of the result.
        shares: 0 or more each; their sum does not matter, unless it is 0, which gives zeros.
    """
    weights = np.asarray(shares, dtype=np.float64)
    exact = weights * total / max(float(weights.sum()), np.finfo(np.float64).tiny)
    counts = np.floor(exact).astype(np.int64)
    missing = total - int(counts.sum()) if weights.any() else 0
    counts[np.argsort(-(exact - counts), kind="stable")[:missing]] += 1
    return counts


@dataclass(frozen=True)
class Balance:
    """Imbalance of the classes of a set.

    Args:
        class_names: in label order.
        counts: images of each class.
    """

    class_names: tuple[str, ...]
    counts: tuple[int, ...]

    @property
    def ratio(self) -> float:
        """Size of the largest class divided by that of the smallest non-empty one."""
        return max(self.counts) / min(count for count in self.counts if count)

    @property
    def effective_classes(self) -> float:
        """exp(H), H = -sum p ln p over the classes' shares: the effective number of classes."""
        shares = np.array([count for count in self.counts if count], dtype=np.float64)
        shares /= shares.sum()
        return float(np.exp(-(shares * np.log(shares)).sum()))

    @property
    def tail(self) -> tuple[tuple[str, int], ...]:
        """Classes with less than half of the mean number of images, the smallest first."""
        limit = sum(self.counts) / len(self.counts) / 2
        small = [
            (count, name)
            for name, count in zip(self.class_names, self.counts, strict=True)
            if count < limit
        ]
        return tuple((name, count) for count, name in sorted(small))

    @property
    def wants_balancing(self) -> bool:
        """Whether ``data.balanced=true`` is advised."""
        return self.ratio >= LARGE_RATIO


def balance_of(class_names: tuple[str, ...], counts: npt.NDArray[np.int64]) -> Balance:
    """The :class:`Balance` of a scan's or a set's classes."""
    return Balance(class_names, tuple(int(count) for count in counts))
