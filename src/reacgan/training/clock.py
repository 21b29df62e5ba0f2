"""The wall clock of a call: what its parts have taken, and what still has to fit into its minutes.

It decides when a call stops, and what is said of the time left; no bit of a state depends on it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

_RECENT = 3
"""Durations of a part that are kept: an estimate is the longest of them."""
MARGIN = 1.25
"""Estimates are times this much: other work on the machine comes and goes."""
_LEAST = 1.5
"""Seconds that closing files and the process itself take at the end."""


class WallClock:
    """Durations of the parts of a run in this process, by name.

    Args:
        minutes: that the call may take; None for as long as it needs.
        began: when the call began, by :func:`time.monotonic`; None for now.
    """

    def __init__(self, minutes: float | None = None, began: float | None = None) -> None:
        self.began = time.monotonic() if began is None else began
        self.seconds = None if minutes is None else 60 * minutes
        self._recent: dict[str, deque[float]] = {}
        self._totals: dict[str, float] = {}
        self._lap = time.monotonic()
        self._thread = threading.get_ident()

    def left(self) -> float | None:
        """Seconds until the minutes are over, negative after that; None without a limit."""
        if self.seconds is None:
            return None
        return self.began + self.seconds - time.monotonic()

    @contextmanager
    def measuring(self, part: str) -> Iterator[None]:
        """The block is such a part; where it raises nothing is learned from it."""
        began = time.monotonic()
        yield
        now = time.monotonic()
        self.learn(part, now - began)
        if threading.get_ident() == self._thread:
            self._lap = now

    def lap(self) -> None:
        """A cycle has ended: it began with the one before, or with the end of what came between."""
        now = time.monotonic()
        self.learn("cycle", now - self._lap)
        self._lap = now

    def begin(self) -> None:
        """The first cycle begins."""
        self._lap = time.monotonic()

    def learn(self, part: str, seconds: float) -> None:
        """A part took so long, or is expected to."""
        self._recent.setdefault(part, deque(maxlen=_RECENT)).append(seconds)
        self._totals[part] = self._totals.get(part, 0.0) + seconds

    def knows(self, part: str) -> bool:
        """Whether there is an estimate of a part."""
        return part in self._recent

    def cost(self, part: str) -> float:
        """Seconds that a part takes at most, by the last ones; 0 for what was not met yet."""
        return MARGIN * max(self._recent.get(part, (0.0,)))

    def total(self, part: str) -> float:
        """Seconds that all parts of a name took."""
        return self._totals.get(part, 0.0)

    def costs(self, *parts: str) -> float:
        """Seconds of one of each, and of closing what is open."""
        return _LEAST + sum(self.cost(part) for part in parts)
