"""What a run reports: means kept on the device, read every so many images, one JSON line each."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from reacgan.files import naming, write_text
from reacgan.history import read_records

Position = tuple[int, dict[str, Tensor], dict[str, int]]
"""When the last line was read, and what was added since."""


class NonFiniteError(FloatingPointError):
    """A loss or weight became infinite or NaN; names it and the images seen. It was not saved.

    Args:
        names: what was found not to be finite.
        when: the images seen.
        first: what came before all that, where it is known.
    """

    of_a_step = True
    """Whether going over the steps may find where it came from."""

    def __init__(self, names: Iterable[str], when: str, first: str = "") -> None:
        self.names = list(names)
        self.when = when
        self.first = first
        cause = f" ({first})" if first else ""
        super().__init__(
            f"{', '.join(self.names)} became non-finite {when} images seen{cause}. The last checkpoint is "
            "from before that, but would come here again: train in another --out with a lower learning "
            "rate (--set d_optimizer.lr=... g_optimizer.lr=...) or in float32."
        )


class Journal:
    """Running means of loss parts, on the device until :meth:`read`.

    Args:
        path: the run's ``journal.jsonl``; None keeps nothing (processes other than the main one).
        images_seen: where this process takes up the run; later lines of an earlier process, which
            will be made again, are dropped.
    """

    def __init__(self, path: Path | None, images_seen: int) -> None:
        self.path = path
        self.read_at = images_seen
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        self._marks: dict[str, Any] = {}
        self._clock = time.perf_counter()
        self._drop_later()

    def _drop_later(self) -> None:
        if self.path is not None and self.path.exists():
            earlier = [
                line for line in read_records(self.path) if line["images_seen"] <= self.read_at
            ]
            write_text(self.path, "".join(json.dumps(line) + "\n" for line in earlier))

    def back_to(self, images_seen: int) -> None:
        """The run goes on from an earlier moment: later lines, which will be made again, are dropped."""
        self.read_at = images_seen
        self._sums.clear()
        self._counts.clear()
        self._drop_later()
        self.start_clock()

    def add(self, parts: Mapping[str, Tensor]) -> None:
        """Add one step's parts; no transfer to the host."""
        known = [name for name in parts if name in self._sums]
        if known:
            totals = [self._sums[name] for name in known]
            values = [parts[name].detach() for name in known]
            self._sums.update(zip(known, torch._foreach_add(totals, values), strict=True))
        for name, value in parts.items():
            if name not in self._sums:
                self._sums[name] = value.detach().clone()
            self._counts[name] = self._counts.get(name, 0) + 1

    def read(self, images_seen: int) -> dict[str, float]:
        """Means since the last read; raises :class:`NonFiniteError` where one is not finite."""
        means = self._means()
        self._sums.clear()
        self._counts.clear()
        if wrong := _not_finite(means):
            raise NonFiniteError(wrong, f"between {self.read_at:,} and {images_seen:,}")
        return means

    def check(self, images_seen: int) -> None:
        """As :meth:`read`, but nothing is read."""
        if wrong := _not_finite(self._means()):
            raise NonFiniteError(wrong, f"between {self.read_at:,} and {images_seen:,}")

    def _means(self) -> dict[str, float]:
        return {name: float(total) / self._counts[name] for name, total in self._sums.items()}

    def position(self) -> Position:
        """What :meth:`return_to` needs to come back to this moment of the run."""
        return self.read_at, dict(self._sums), dict(self._counts)

    def return_to(self, position: Position, images_seen: int) -> None:
        """As :meth:`back_to`, with what had not been read at that moment."""
        self.back_to(images_seen)
        self.read_at, sums, counts = position
        self._sums.update(sums)
        self._counts.update(counts)

    def start_clock(self) -> None:
        """Training begins now: what came before does not count as its time."""
        self._clock = time.perf_counter()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """The time in this block (samples, saving) does not count as training."""
        began = time.perf_counter()
        yield
        self._clock += time.perf_counter() - began

    def write(self, images_seen: int, means: Mapping[str, float], **facts: Any) -> dict[str, Any]:
        """Append a line and return it; speed is of training since the last line, pauses left out."""
        now = time.perf_counter()
        line = {
            "images_seen": images_seen,
            "images_per_second": round((images_seen - self.read_at) / (now - self._clock), 2),
            **{name: round(value, 6) for name, value in means.items()},
            **facts,
            **self._marks,
        }
        self._marks.clear()
        self.read_at, self._clock = images_seen, now
        self._append(line)
        return line

    def mark(self, name: str, value: Any) -> None:
        """Write this in the next line, unless the last line with this name says the same."""
        lines = read_records(self.path) if self.path is not None else []
        values = [line[name] for line in lines if name in line]
        if not values or values[-1] != value:
            self._marks[name] = value

    def note(self, event: Mapping[str, Any], *, at: int | None = None) -> None:
        """Append what happened at a moment (None: that of the last line), as a line with ``event``."""
        seen = self.read_at if at is None else at
        self._append({"images_seen": seen, "event": dict(event)})

    def _append(self, line: Mapping[str, Any]) -> None:
        if self.path is not None:
            with naming(self.path), self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")


def _not_finite(means: Mapping[str, float]) -> list[str]:
    return [name for name, value in means.items() if not math.isfinite(value)]
