"""A bar with the time that is left on a terminal; a few plain lines where output goes to a file."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from reacgan.cli import streams

if TYPE_CHECKING:
    from rich.progress import Progress

_SECONDS = 30.0
"""Between two plain lines."""


class Report(Protocol):
    """What a bar is told."""

    def __call__(self, done: int, total: int) -> None:
        """So many are done, of so many."""
        ...


@contextlib.contextmanager
def bar(what: str, *, quiet: bool = False) -> Iterator[Report]:
    """Within the block, the function it gives shows what is done on standard error.

    Args:
        what: is counted, such as ``images``.
        quiet: show nothing.
    """
    if quiet:
        yield lambda done, total: None
    elif streams.line_moves():
        with _moving(what) as progress:
            task = progress.add_task(what, total=None)
            yield lambda done, total: progress.update(task, completed=done, total=total)
    else:
        yield _Lines(what)


def _moving(what: str) -> Progress:
    from rich.console import Console  # noqa: PLC0415 - slow to import
    from rich.progress import (  # noqa: PLC0415 - as above
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    return Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(what),
        TimeRemainingColumn(elapsed_when_finished=True),
        console=Console(stderr=True),
    )


class _Lines:
    """A line at every tenth of the whole, or where half a minute has gone."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.began = self.shown = 0.0
        self.first: int | None = None
        self.tenth = 0

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if self.first is None:  # what came before, such as loading, is no part of the estimate
            self.first, self.began, self.shown = done, now, now
        first = self.first
        due = done * 10 // max(total, 1) > self.tenth and now - self.shown > 1
        if done == first or not (due or now - self.shown > _SECONDS or done == total):
            return
        self.tenth, self.shown = done * 10 // max(total, 1), now
        left = (now - self.began) / (done - first) * (total - done)
        more = f", about {_in_words(left)} left" if done < total else ""
        streams.tell(f"{done:,} of {total:,} {self.what}{more}")


def _in_words(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
