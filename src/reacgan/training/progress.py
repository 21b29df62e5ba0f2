"""What a person sees of a run: a moving line on a terminal, plain lines in a log file."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from typing import Any, TextIO


class Progress:
    """Prints a run's course.

    Args:
        total: images the run will see.
        start: images seen when this process took it up.
        deadline: seconds this process may train, or None.
        quiet: print nothing.
        stream: where to; standard error by default, so that results can be piped.
    """

    def __init__(
        self,
        total: int,
        start: int,
        *,
        deadline: float | None = None,
        quiet: bool = False,
        stream: TextIO | None = None,
    ) -> None:
        self.total = total
        self.start = start
        self.deadline = deadline
        self.quiet = quiet
        self.stream = stream or sys.stderr
        self.moving = self.stream.isatty() and os.environ.get("TERM") != "dumb"
        self._began = time.perf_counter()
        self._first: tuple[float, int] | None = None
        self._shown = False

    def begin(self) -> None:
        """Training begins now: what was opened, built and read before is no measure of what is left."""
        self._began = time.perf_counter()
        self._first = None

    def say(self, text: str) -> None:
        """A line that stays."""
        if self.quiet:
            return
        self._write(("\n" if self._shown else "") + text + "\n")
        self._shown = False

    def report(self, line: Mapping[str, Any]) -> None:
        """One journal line in plain words."""
        if self.quiet:
            return
        text = self._describe(line)
        if self.moving:
            room = self._columns() - 1
            if len(text) > room:  # a wrapped line would stay on the screen; no number is cut in two
                text = text[:room].rpartition("  ")[0]
            self._write("\r\x1b[2K" + text)
            self._shown = True
        else:
            self._write(text + "\n")

    def close(self) -> None:
        """End a moving line."""
        if self._shown and not self.quiet:
            self._write("\n")
            self._shown = False

    def _write(self, text: str) -> None:
        """A reader or a terminal that has gone ends the telling, never the run."""
        try:
            self.stream.write(text)
            self.stream.flush()
        except (OSError, ValueError):
            self.quiet = True

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self.stream.fileno()).columns or 80
        except (OSError, ValueError):
            return 80

    def _describe(self, line: Mapping[str, Any]) -> str:
        seen = int(line["images_seen"])
        left = (self.total - seen) / self._speed(seen, line["images_per_second"])
        if self.deadline is not None:
            left = min(left, self.deadline - (time.perf_counter() - self._began))
        losses = "  ".join(
            f"{name} {line[name]:.3f}" for name in line if "/" in name and "score" not in name
        )
        return (
            f"{seen:>11,} images {seen / self.total:4.0%}  {line['images_per_second']:,.0f}/s  "
            f"ETA {duration(left)}  {losses}"
        )

    def _speed(self, seen: int, training: float) -> float:
        """Images a second, pauses included, since the first line: the steps before it are slower.

        Of the first line itself ``training``, the speed that its journal has.
        """
        now = time.perf_counter()
        if self._first is None or seen <= self._first[1]:
            self._first = now, seen
        began, before = self._first
        measured = (seen - before) / (now - began) if seen > before and now > began else training
        return max(measured, 1e-9)


def duration(seconds: float) -> str:
    """``1h02m``, ``3m20s`` or ``12s``."""
    whole = max(round(seconds), 0)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return f"{hours}h{minutes:02d}m"
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"
