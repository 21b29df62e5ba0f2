"""The progress of a run: a moving line on a terminal, plain lines in a log file."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

from reacgan.files import PATIENCE


class Progress:
    """Prints the progress of a run.

    Args:
        total: images the run will see.
        start: images seen when this process begins.
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
        """Training begins now; the time before it does not count towards the estimate."""
        self._began = time.perf_counter()
        self._first = None

    def say(self, text: str) -> None:
        """A line that stays."""
        if self.quiet:
            return
        self._write(("\n" if self._shown else "") + text + "\n")
        self._shown = False

    def report(self, line: Mapping[str, Any]) -> None:
        """Print a line of the journal."""
        if self.quiet:
            return
        text = self._describe(line)
        if self.moving:
            width = self._columns() - 1
            if (
                len(text) > width
            ):  # a wrapped line would stay on the screen; no number is cut in two
                text = text[:width].rpartition("  ")[0]
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
        """Where the reader or the terminal is gone, printing ends and the run goes on."""
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
        """Images a second since the first line, pauses included; the steps before it are slower.

        For the first line itself: ``training``, the speed in the journal.
        """
        now = time.perf_counter()
        if self._first is None or seen <= self._first[1]:
            self._first = now, seen
        began, before = self._first
        measured = (seen - before) / (now - began) if seen > before and now > began else training
        return max(measured, 1e-9)


@contextmanager
def told_if_long(what: str, *, quiet: bool) -> Iterator[None]:
    """Say what is going on where the block takes longer than :data:`reacgan.files.PATIENCE` seconds."""

    def tell() -> None:
        Progress(0, 0, quiet=quiet).say(f"{what}: {PATIENCE:.0f} s so far ...")

    timer = threading.Timer(PATIENCE, tell)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def duration(seconds: float) -> str:
    """``1h02m``, ``3m20s`` or ``12s``."""
    whole = max(round(seconds), 0)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return f"{hours}h{minutes:02d}m"
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"
